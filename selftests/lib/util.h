/* SPDX-License-Identifier: GPL-2.0 */
/* Clocks, files, CPU pinning and child processes for tests. */
#ifndef SELFTESTS_UTIL_H
#define SELFTESTS_UTIL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tap.h"

#define NSEC_PER_SEC	1000000000ull
#define NSEC_PER_MSEC	1000000ull

__u64 clock_ns(int clock);
/* CLOCK_MONOTONIC_RAW: no slewing, the VMM's own idea of how long it took. */
__u64 raw_ns(void);
/* CPU time of the calling thread, of the whole process. */
__u64 thread_cpu_ns(void);
void sleep_ms(unsigned int ms);
/* Keep the CPU busy until CLOCK_MONOTONIC_RAW has advanced by @ns. */
void burn_ns(__u64 ns);

/*
 * How many times longer than elsewhere things may take here: 1, and more on the
 * rig's debug kernel (RIG_DEBUG=1), which checks every access and every lock.
 */
unsigned int slowness(void);

/* Wait until @cond holds, at most @ms; true when it does. */
#define WAIT_FOR(cond, ms)						\
	({								\
		__u64 __end = raw_ns() + (ms) * slowness() * NSEC_PER_MSEC;	\
		bool __ok;						\
									\
		while (!(__ok = (cond)) && raw_ns() < __end)		\
			sleep_ms(2);					\
		__ok || (cond);						\
	})

/*
 * How often to do what finds more, the more often it is done: @all times with
 * FULL=1 in the environment, else a fifth of that.
 */
unsigned int repeats(unsigned int all);

int nr_cpus_online(void);
void need_cpus(int nr);		/* skip the test with fewer */
void pin_thread(pid_t tid, int cpu);	/* 0: the calling thread */
void unpin_thread(pid_t tid);

/* The whole file, NUL-terminated; bytes read or -errno. */
ssize_t read_file(const char *path, char *buf, size_t size);
int write_file(const char *path, const char *text);	/* 0 or -errno */
bool file_exists(const char *path);
/* The number after "@key " in a file of `key value` lines, or -1. */
long long file_key(const char *path, const char *key);

/* A child that dies with its parent; it runs fn(arg) and exits. */
pid_t spawn(void (*fn)(void *arg), void *arg);
void end_child(pid_t pid);
int wait_child(pid_t pid);	/* exit status, or 128 + signal */
/* A shell command: its exit status; what it printed, when @buf is set. */
int run_shell(char *buf, size_t size, const char *fmt, ...) TAP_PRINTF(3, 4);

/* For guests with a Linux of this host's; skip the test without. */
const char *kernel_image(void);
void need_command(const char *name);

/* A page that parent and children share. */
void *shared_page(void);

#endif /* SELFTESTS_UTIL_H */
