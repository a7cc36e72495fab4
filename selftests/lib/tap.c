// SPDX-License-Identifier: GPL-2.0
#include "tap.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define TAP_TIMEOUT	60
#define TAP_AT_END	8
#define TAP_TRIES	4

/* Shared between the program and the test's process. */
static struct tap_shared {
	int failures;
	char why[256];
} *shared;

static pid_t tap_pid;
static void (*at_end[TAP_AT_END])(void);
static unsigned int nr_at_end;

void tap_diag(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("# %s\n", line);
	fflush(stdout);
	free(text);
}

void tap_at_end(void (*fn)(void))
{
	if (nr_at_end < TAP_AT_END)
		at_end[nr_at_end++] = fn;
}

static void __attribute__((noreturn)) tap_end(int result)
{
	unsigned int n = nr_at_end;

	nr_at_end = 0;
	while (getpid() == tap_pid && n)
		at_end[--n]();
	fflush(stdout);
	_exit(result);
}

void tap_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(shared->why, sizeof(shared->why), fmt, ap);
	va_end(ap);
	tap_end(TAP_SKIP);
}

void tap_again(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tap_diag("%s", text);
	tap_end(TAP_AGAIN);
}

void tap_fail(bool fatal, const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A loop of thousands of reads that all fail says so a few times. */
	if (__atomic_add_fetch(&shared->failures, 1, __ATOMIC_RELAXED) <= 10)
		tap_diag("%s:%d: %s", file, line, text);
	if (fatal)
		tap_end(TAP_FAIL);
}

bool tap_failed(void)
{
	return shared->failures;
}

void tap_do_not_count(void)
{
	static struct tap_shared mine;

	shared = &mine;
	if (!freopen("/dev/null", "w", stdout))
		_exit(TAP_FAIL);
}

/*
 * Bochs emulates some 50 million instructions a second and says that it is a
 * second, TCG as the rig uses it 62. A time limit is there to end what hangs, not
 * to measure.
 */
static unsigned int patience(unsigned int seconds)
{
	const char *accel = getenv("RIG_ACCEL");

	return accel && strcmp(accel, "kvm") ? seconds * 5 : seconds;
}

/* Run @fn in a process of its own; what it forked ends with it. */
static int tap_child(void (*fn)(void), unsigned int timeout)
{
	int status;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		tap_pid = getpid();
		alarm(timeout * slowness());
		fn();
		tap_end(shared->failures ? TAP_FAIL : TAP_PASS);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return TAP_FAIL;
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == SIGALRM)
			tap_diag("timed out after %u s", timeout * slowness());
		else
			tap_diag("killed by signal %d", WTERMSIG(status));
		return TAP_FAIL;
	}
	/* A failure before the skip stays a failure. */
	if (WEXITSTATUS(status) == TAP_SKIP)
		return shared->failures ? TAP_FAIL : TAP_SKIP;
	if (WEXITSTATUS(status) == TAP_AGAIN)
		return shared->failures ? TAP_FAIL : TAP_AGAIN;
	return WEXITSTATUS(status) ? TAP_FAIL : TAP_PASS;
}

static int tap_test(const struct tap_test *t)
{
	int result = TAP_AGAIN;

	for (int i = 0; i < TAP_TRIES && result == TAP_AGAIN; i++)
		result = tap_child(t->fn, patience(t->timeout ? t->timeout : TAP_TIMEOUT));
	return result == TAP_AGAIN ? TAP_FAIL : result;
}

static void tap_list(const struct tap_suite *suite)
{
	for (unsigned int i = 0; i < suite->nr; i++)
		printf("%s\n", suite->tests[i].name);
}

int tap_main(const struct tap_suite *suite, int argc, char **argv)
{
	unsigned int failed = 0, skipped = 0;
	const char *only = argc > 1 ? argv[1] : NULL;
	char why[sizeof(shared->why)] = "";
	int setup = TAP_PASS;

	if (only && !strcmp(only, "--list")) {
		tap_list(suite);
		return 0;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return TAP_FAIL;

	printf("TAP version 13\n1..%u\n", suite->nr);
	if (suite->setup) {
		setup = tap_child(suite->setup, TAP_TIMEOUT);
		memcpy(why, shared->why, sizeof(why));
	}
	for (unsigned int i = 0; i < suite->nr; i++) {
		const struct tap_test *t = &suite->tests[i];
		int result = setup;

		if (only && !strstr(t->name, only)) {
			printf("ok %u %s # SKIP not asked for\n", i + 1, t->name);
			continue;
		}
		if (setup == TAP_PASS) {
			result = tap_test(t);
			memcpy(why, shared->why, sizeof(why));
		}
		printf("%sok %u %s%s%s\n", result == TAP_FAIL ? "not " : "", i + 1,
		       t->name, result == TAP_SKIP ? " # SKIP " : "",
		       result == TAP_SKIP ? why : "");
		fflush(stdout);
		failed += result == TAP_FAIL;
		skipped += result == TAP_SKIP;
	}
	if (suite->cleanup)
		tap_child(suite->cleanup, TAP_TIMEOUT);
	if (failed)
		return TAP_FAIL;
	return skipped == suite->nr ? TAP_SKIP : TAP_PASS;
}
