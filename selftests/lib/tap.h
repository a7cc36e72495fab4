/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TAP 13 output in kselftest's manner. Each test runs in a child process of
 * its own, so that a crash or a hang is a failure of that test alone and all
 * that it left running dies with it.
 */
#ifndef SELFTESTS_TAP_H
#define SELFTESTS_TAP_H

#include <stdbool.h>
#include <stddef.h>

struct tap_test {
	const char *name;
	void (*fn)(void);
	unsigned int timeout;	/* seconds; 0: the default */
};

struct tap_suite {
	const struct tap_test *tests;
	unsigned int nr;
	void (*setup)(void);	/* may skip: tap_skip() skips all tests */
	void (*cleanup)(void);
};

/* Exit status of a test's process. */
enum { TAP_PASS = 0, TAP_FAIL = 1, TAP_SKIP = 4, TAP_AGAIN = 5 };

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define TAP_PRINTF(a, b) __attribute__((format(printf, a, b)))

int tap_main(const struct tap_suite *suite, int argc, char **argv);

void tap_diag(const char *fmt, ...) TAP_PRINTF(1, 2);
void tap_skip(const char *fmt, ...) TAP_PRINTF(1, 2) __attribute__((noreturn));
/*
 * End the test: it is not known what it would have said, as the machine below
 * went wrong. It is run again, a few times at most; then it has failed.
 */
void tap_again(const char *fmt, ...) TAP_PRINTF(1, 2) __attribute__((noreturn));
void tap_fail(bool fatal, const char *file, int line, const char *fmt, ...)
	TAP_PRINTF(4, 5);
/* Run by the test's process before it ends, also after a fatal failure. */
void tap_at_end(void (*fn)(void));
bool tap_failed(void);
/* In a child process: what fails there is not the test's failure, and not shown. */
void tap_do_not_count(void);

/* Go on after a failure. */
#define EXPECT(cond, ...)						\
	do {								\
		if (!(cond))						\
			tap_fail(false, __FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* End the test after a failure. */
#define REQUIRE(cond, ...)						\
	do {								\
		if (!(cond)) {						\
			tap_fail(true, __FILE__, __LINE__, __VA_ARGS__); \
			__builtin_unreachable();			\
		}							\
	} while (0)

#define EXPECT_EQ(got, want, what)					\
	do {								\
		unsigned long long __g = (got), __w = (want);		\
									\
		EXPECT(__g == __w, "%s: %llu, expected %llu", what, __g, __w); \
	} while (0)

/* |got - want| <= tol; the tolerance is printed with the failure. */
#define EXPECT_NEAR(got, want, tol, what)				\
	do {								\
		long long __g = (got), __w = (want), __t = (tol);	\
		long long __d = __g > __w ? __g - __w : __w - __g;	\
									\
		EXPECT(__d <= __t, "%s: %lld, expected %lld +- %lld",	\
		       what, __g, __w, __t);				\
	} while (0)

#endif /* SELFTESTS_TAP_H */
