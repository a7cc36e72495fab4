// SPDX-License-Identifier: GPL-2.0
#include "cgroup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

static char dir[PATH_MAX - 64];

static const char *in_dir(const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return path;
}

void cgroup_create(const char *name)
{
	if (!file_exists(CGROUP_ROOT "/cgroup.controllers") &&
	    mount("none", CGROUP_ROOT, "cgroup2", 0, NULL))
		tap_skip("no cgroup v2: %s", strerror(errno));
	snprintf(dir, sizeof(dir), CGROUP_ROOT "/%s", name);
	rmdir(dir);
	if (write_file(CGROUP_ROOT "/cgroup.subtree_control", "+cpu"))
		tap_skip("no cpu controller in cgroup v2");
	REQUIRE(!mkdir(dir, 0755), "mkdir %s: %s", dir, strerror(errno));
	tap_at_end(cgroup_remove);
}

void cgroup_remove(void)
{
	char pid[32];

	/* What is still inside goes back to the root. */
	cgroup_leave(getpid());
	while (read_file(in_dir("cgroup.procs"), pid, 16) > 0) {
		pid[strcspn(pid, "\n")] = 0;
		if (write_file(CGROUP_ROOT "/cgroup.procs", pid))
			break;
	}
	rmdir(dir);
}

static void move(const char *path, pid_t pid)
{
	char text[32];
	int ret;

	snprintf(text, sizeof(text), "%d", pid);
	ret = write_file(path, text);
	EXPECT(!ret, "%s: %s", path, strerror(-ret));
}

void cgroup_enter(pid_t pid)
{
	move(in_dir("cgroup.procs"), pid);
}

void cgroup_leave(pid_t pid)
{
	move(CGROUP_ROOT "/cgroup.procs", pid);
}

void cgroup_set(const char *file, const char *value)
{
	int ret = write_file(in_dir(file), value);

	REQUIRE(!ret, "%s to %s: %s", value, in_dir(file), strerror(-ret));
}

__u64 cgroup_stat(const char *file, const char *key)
{
	long long v = file_key(in_dir(file), key);

	REQUIRE(v >= 0, "no %s in %s", key, in_dir(file));
	return v;
}

__u64 cgroup_id(void)
{
	struct stat st;

	REQUIRE(!stat(dir, &st), "stat %s: %s", dir, strerror(errno));
	return st.st_ino;
}
