/* SPDX-License-Identifier: GPL-2.0 */
/* No-go zones as a test sees them: their files and their tracepoint. */
#ifndef SELFTESTS_ZONE_H
#define SELFTESTS_ZONE_H

#include "harden.h"

#define ZONE_VIOLATIONS	64	/* of a trace, at most */

/* What stays open with each deny, so that it has to be allowed. */
const char *zone_allow(const char *deny);
/* Is @deny one of what zones/available has? */
bool zone_supported(const char *deny);

/*
 * The zone's id or -errno; -ENOENT: this kvm_harden has no zones. @extra is
 * " name=..." or " allow=..." or both, or NULL.
 */
long long zone_create(__u64 vm, __u64 gpa, __u64 size, const char *deny, const char *action,
		      const char *extra);
/* Why the last one was refused. */
const char *zone_last_error(void);
int zone_remove(__u64 id);		/* 0 or -errno */
int zone_disarm(void);			/* 0 or -errno: all of them */
bool zone_exists(__u64 id);
__u64 zone_u64(__u64 id, const char *file);
/* The text of a file in a static buffer, "" if it cannot be read. */
const char *zone_text(__u64 id, const char *file);
int zone_set_state(__u64 id, const char *state);	/* 0 or -errno */
/* The first word of state. */
void zone_expect_state(__u64 id, const char *state);

struct zone_violation {
	__u64 vm, gpa, rip, zone;
	unsigned int vcpu;
	char access[4];
	char action[8];
};

/* The trace of violations, from now on. */
void zone_trace_start(void);
/* Those since, at most ZONE_VIOLATIONS: how many; stops it. */
unsigned int zone_trace_stop(struct zone_violation *v);

/* The VMM's own access, caught: 0, -EFAULT (SIGSEGV) or -EIO (SIGBUS). */
int vmm_peek(const volatile void *p, __u64 *value);
int vmm_poke(volatile void *p, __u64 value);

#endif /* SELFTESTS_ZONE_H */
