// SPDX-License-Identifier: GPL-2.0
/* KVM's binary statistics: the counters that KVM itself keeps. */
#include "vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

__u64 kvm_stat(int fd, const char *name)
{
	struct kvm_stats_header head;
	struct kvm_stats_desc *desc;
	bool found = false;
	__u64 value = 0;
	size_t size;
	int stats;

	stats = ioctl(fd, KVM_GET_STATS_FD, NULL);
	REQUIRE(stats >= 0, "KVM_GET_STATS_FD: %s", strerror(errno));
	REQUIRE(pread(stats, &head, sizeof(head), 0) == sizeof(head), "stats header");
	size = sizeof(*desc) + head.name_size;
	desc = malloc(size);
	REQUIRE(desc, "out of memory");
	for (__u32 i = 0; i < head.num_desc && !found; i++) {
		REQUIRE(pread(stats, desc, size, head.desc_offset + i * size) == (ssize_t)size,
			"stats descriptor");
		if (strcmp(desc->name, name))
			continue;
		found = pread(stats, &value, sizeof(value), head.data_offset + desc->offset) ==
			sizeof(value);
	}
	free(desc);
	close(stats);
	REQUIRE(found, "KVM has no statistic %s", name);
	return value;
}
