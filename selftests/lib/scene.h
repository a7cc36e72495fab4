/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where an attack takes place: a VM with a secret in its memory, and a zone
 * around the secret. Each attack has to succeed before the zone is there, fail
 * while it is, and succeed again when it is gone; what it was after is then
 * what it was before.
 */
#ifndef SELFTESTS_SCENE_H
#define SELFTESTS_SCENE_H

#include "zone.h"

enum backing {
	BACK_SHARED,		/* anonymous, shared */
	BACK_PRIVATE,		/* anonymous */
	BACK_HUGE,		/* anonymous, huge pages; the zone amid one of them */
	BACK_MEMFD,
	BACK_MEMFD_PRIVATE,	/* a private mapping of a memfd */
};

#define SCENE_ZONE	(GUEST_SPARE + 0x10000)
#define SCENE_ZONE_SIZE	0x2000
#define SCENE_BESIDE	64	/* bytes before and after the zone that are no secret */
#define SCENE_OUT	256
/* Bytes of a secret have this bit, what is around them has not. */
#define SCENE_SECRET	0x80

/* How a run of the guest ended. */
enum scene_end {
	SCENE_RAN,		/* the program came to its end */
	SCENE_STOPPED,		/* KVM_EXIT_INTERNAL_ERROR of a violation */
	SCENE_MMIO,		/* KVM asked the VMM to do the access itself */
	SCENE_FAILED,		/* KVM_RUN failed: error */
	SCENE_ODD,		/* another exit: reason */
};

struct scene {
	struct vm *vm;
	struct vcpu *v;
	__u64 id;		/* the VM's */
	char *mem;
	__u64 mem_size;
	int memfd;		/* -1: none */
	__u64 gpa, size;	/* of the secret, and the zone */
	char *secret;		/* where it is in the VMM */
	char *before;		/* a copy of the secret */
	__u64 zone;		/* its id, 0: none */
	bool no_zones;		/* this kvm_harden has none: half of the test was left out */
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	/* What the VMM serves, and what the last run gave. */
	__u64 mmio_in;
	int reason, error;
	unsigned int nr_out;
	__u8 out[SCENE_OUT];	/* what the guest sent to GUEST_PORT and GUEST_MMIO */
};

/* harden_main() of programs that make and remove many zones. */
int scene_main(const struct tap_test *tests, unsigned int nr, int argc, char **argv);

struct scene *scene_create(enum backing backing, unsigned int flags);
/* In memory of the caller's: @size bytes, of which the zone is at @gpa. */
struct scene *scene_create_in(void *mem, __u64 size, __u64 gpa, unsigned int flags);
void scene_destroy(struct scene *s);
/* Skips the test if half of it was left out. */
void scene_over(struct scene *s);

/* Put the secret where it belongs. */
void scene_fill(struct scene *s);
/* Remember it, as it is now. */
void scene_remember(struct scene *s);
bool scene_intact(struct scene *s);
void scene_expect_intact(struct scene *s, const char *when);
/* Are there bytes of the secret among them? */
bool scene_leaked(const void *bytes, size_t len);

/* Zone around the secret; false if this kvm_harden has no zones. */
bool scene_zone(struct scene *s, const char *deny, const char *action);
/* The same without REQUIRE(): 0 or -errno. */
int scene_try_zone(struct scene *s, const char *deny, const char *action);
void scene_unzone(struct scene *s);

enum scene_end scene_run(struct scene *s, const char *program, __u64 count, __u64 arg);
enum scene_end scene_go_on(struct scene *s);
const char *scene_end_text(struct scene *s, enum scene_end end);

/* Guest and VMM both get at the secret; neither does. */
void scene_expect_open(struct scene *s, const char *when);
void scene_expect_closed(struct scene *s, const char *when);
/*
 * Open, closed while there is a zone, and open again, with all that is around
 * it as it was.
 */
void scene_prove(struct scene *s, const char *deny);
/* The same of the guest only, through guest-physical address @gpa. */
bool scene_guest_reads(struct scene *s, __u64 gpa);
bool scene_guest_writes(struct scene *s, __u64 gpa);
/* Everything a guest can do there, CPU and emulator: does it get to the secret? */
bool scene_guest_steals(struct scene *s, __u64 gpa);
/* It writes wherever it can; whether that worked the memory shows. */
void scene_guest_spoils(struct scene *s, __u64 gpa);

/* --- attack.c: attacks by guest programs --- */
enum gain {
	GAIN_LOOT,		/* the secret is in loot */
	GAIN_OUT,		/* the VMM got to see it */
	GAIN_CHANGE,		/* it is not what it was */
	GAIN_MARK,		/* loot is GUEST_MARK */
	GAIN_GUESS,		/* loot is 1 */
};

struct attack {
	const char *name;
	const char *program;
	long offset;		/* from the zone's beginning */
	__u64 count;
	char access;		/* r, w or x */
	enum gain gain;
	bool emulated;		/* by KVM, and not by the CPU */
	bool walked;		/* arg is a virtual address, its page table is in the zone */
	bool delivery;		/* while an event is delivered: no fault is possible */
	void (*prepare)(struct scene *s, const struct attack *a);
};

/* Of a scene without a zone: did it get what it was after? */
bool attack_succeeds(struct scene *s, const struct attack *a);
/* All of the above; the zone denies @deny, and @a is what it denies or not. */
void attack_prove(struct scene *s, const struct attack *a, const char *deny, const char *action);
/* action=kill, in a process of its own; false if this kvm_harden has no zones. */
bool attack_prove_kill(const struct attack *a, const char *deny);

#endif /* SELFTESTS_SCENE_H */
