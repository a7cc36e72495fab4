/* SPDX-License-Identifier: GPL-2.0 */
/* A cgroup of version 2 for a test; gone when the test ends. */
#ifndef SELFTESTS_CGROUP_H
#define SELFTESTS_CGROUP_H

#include <linux/types.h>
#include <sys/types.h>

/* Makes <mount>/@name with the cpu controller, or skips the test. */
void cgroup_create(const char *name);
void cgroup_remove(void);
void cgroup_enter(pid_t pid);
void cgroup_leave(pid_t pid);		/* back to the root cgroup */
void cgroup_set(const char *file, const char *value);
__u64 cgroup_stat(const char *file, const char *key);
__u64 cgroup_id(void);

#endif /* SELFTESTS_CGROUP_H */
