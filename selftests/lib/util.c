// SPDX-License-Identifier: GPL-2.0
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOWNESS_DEBUG	6

unsigned int slowness(void)
{
	const char *debug = getenv("RIG_DEBUG");

	return debug && !strcmp(debug, "1") ? SLOWNESS_DEBUG : 1;
}

__u64 clock_ns(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

__u64 raw_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_RAW);
}

__u64 thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * NSEC_PER_MSEC };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

void burn_ns(__u64 ns)
{
	__u64 end = raw_ns() + ns;

	while (raw_ns() < end)
		;
}

unsigned int repeats(unsigned int all)
{
	const char *full = getenv("FULL");

	return full && !strcmp(full, "1") ? all : (all + 4) / 5;
}

int nr_cpus_online(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

void need_cpus(int nr)
{
	if (nr_cpus_online() < nr)
		tap_skip("needs %d CPUs", nr);
}

void pin_thread(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	REQUIRE(!sched_setaffinity(tid, sizeof(set), &set), "pin %d to CPU %d: %s",
		tid, cpu, strerror(errno));
}

void unpin_thread(pid_t tid)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	sched_setaffinity(tid, sizeof(set), &set);
}

ssize_t read_file(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t ret;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size - 1) {
		ret = read(fd, buf + len, size - 1 - len);
		if (ret < 0) {
			ret = -errno;
			close(fd);
			return ret;
		}
		if (!ret)
			break;
		len += ret;
	}
	close(fd);
	buf[len] = 0;
	return len;
}

int write_file(const char *path, const char *text)
{
	ssize_t len = strlen(text);
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		ret = -errno;
	close(fd);
	return ret;
}

bool file_exists(const char *path)
{
	return !access(path, F_OK);
}

long long file_key(const char *path, const char *key)
{
	size_t len = strlen(key);
	char buf[8192];

	if (read_file(path, buf, sizeof(buf)) < 0)
		return -1;
	for (char *p = buf; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, len) && p[len] == ' ')
			return strtoll(p + len + 1, NULL, 10);
	}
	return -1;
}

pid_t spawn(void (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(0);
		fn(arg);
		_exit(0);
	}
	return pid;
}

void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int wait_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return -1;
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	if (WEXITSTATUS(status) == TAP_AGAIN)
		tap_again("in child %d", pid);
	return WEXITSTATUS(status);
}

int run_shell(char *buf, size_t size, const char *fmt, ...)
{
	char cmd[2048], rest[512];
	size_t len = 0, got;
	va_list ap;
	FILE *f;
	int ret;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	fflush(stdout);
	f = popen(cmd, "r");
	REQUIRE(f, "popen: %s", strerror(errno));
	if (buf) {
		while (len < size - 1 && (got = fread(buf + len, 1, size - 1 - len, f)))
			len += got;
		buf[len] = 0;
	}
	while (fread(rest, 1, sizeof(rest), f))
		;
	ret = pclose(f);
	return WIFEXITED(ret) ? WEXITSTATUS(ret) : -1;
}

const char *kernel_image(void)
{
	static char path[256];
	char buf[256];

	run_shell(buf, sizeof(buf), "ls /boot/vmlinuz-$(uname -r) "
		  "/usr/lib/modules/$(uname -r)/vmlinuz 2>/dev/null | head -n 1");
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(buf, "\n"), buf);
	if (!*path)
		tap_skip("no kernel image for the guest");
	return path;
}

void need_command(const char *name)
{
	if (run_shell(NULL, 0, "command -v %s >/dev/null", name))
		tap_skip("no %s", name);
}

void *shared_page(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}
