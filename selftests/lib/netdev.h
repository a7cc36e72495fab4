/* SPDX-License-Identifier: GPL-2.0 */
/* Network devices as a VMM has them: taps, macvtaps, and what they counted. */
#ifndef SELFTESTS_NETDEV_H
#define SELFTESTS_NETDEV_H

#include <linux/types.h>

#include "util.h"

#define FRAME_MIN	60

/* Load it, or skip the test. */
void need_module(const char *name);
/* A tap called @name, up; multi-queue if @queues. A descriptor of its own. */
int tun_open(const char *name, bool queues, bool vnet_hdr);
void netdev_up(const char *name);
/* A number of the device's in this thread's network namespace. */
__u64 netdev_stat(const char *name, const char *what);
/* @nr frames of @len bytes go out by the device: to who reads the tap. */
void netdev_send(const char *name, unsigned int nr, unsigned int len);
/* What the VMM writes or reads at the descriptor: bytes in all. */
__u64 tun_write(int fd, unsigned int nr, unsigned int len);
__u64 tun_read_all(int fd);
/* An Ethernet frame for @to, or for everybody. */
void frame_make(unsigned char *frame, unsigned int len, const unsigned char *to);

#endif /* SELFTESTS_NETDEV_H */
