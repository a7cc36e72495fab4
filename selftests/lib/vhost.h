/* SPDX-License-Identifier: GPL-2.0 */
/* vhost-net as a VMM uses it, with the queue that sends. */
#ifndef SELFTESTS_VHOST_H
#define SELFTESTS_VHOST_H

#include <linux/types.h>

struct vhost;

/* Skips the test if there is no vhost-net. @tap was opened with a vnet header. */
struct vhost *vhost_open(int tap);
/* The kernel's worker sends @nr frames of @len bytes to the tap: bytes in all. */
__u64 vhost_send(struct vhost *v, unsigned int nr, unsigned int len);
void vhost_close(struct vhost *v);

#endif /* SELFTESTS_VHOST_H */
