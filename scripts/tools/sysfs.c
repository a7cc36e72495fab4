// SPDX-License-Identifier: GPL-2.0
/* One value per file. */
#include "kvmmeter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool km_sysfs_str(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, len - 1);
	close(fd);
	if (n < 0)
		return false;
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return true;
}

bool km_sysfs_u64(const char *path, ull *val)
{
	char buf[64], *end;

	if (!km_sysfs_str(path, buf, sizeof(buf)))
		return false;
	errno = 0;
	*val = strtoull(buf, &end, 10);
	if (errno || end == buf || *end) {
		errno = EPROTO;
		return false;
	}
	return true;
}
