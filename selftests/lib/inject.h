/* SPDX-License-Identifier: GPL-2.0 */
/* Allocations of the kernel that fail, where it has been built for that. */
#ifndef SELFTESTS_INJECT_H
#define SELFTESTS_INJECT_H

/* Skips the test where there is no such thing; ends with the test. */
void need_injection(void);
/* @kind: failslab or fail_page_alloc; @file: an attribute of it */
void inject(const char *kind, const char *file, unsigned long long value);
/* How many it is still to make fail, of those that "times" said. */
unsigned int inject_left(const char *kind);
/* Allocations with @start to @end in their call chain, quietly. */
void inject_only(unsigned long long start, unsigned long long end);
/* The @nth allocation of this thread fails. */
void fail_nth(unsigned int nth);
/* How many more until one fails: 0 if it did. Ends the injection. */
unsigned int fail_left(void);
void stop_injecting(void);
/* Where a module's text is. */
void find_module(const char *name, unsigned long long *start, unsigned long long *end);

#endif /* SELFTESTS_INJECT_H */
