// SPDX-License-Identifier: GPL-2.0
/* No-go zones against the guest's CPU: each way to touch memory, each action. */
#include "scene.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const denies[] = { "rwx", "w", "wx", "x", "rw" };

/* Code that returns GUEST_MARK, where the attack calls it. */
static void put_code(struct scene *s, const struct attack *a)
{
	memcpy(s->secret + a->offset, guest_return_mark,
	       guest_return_mark_end - guest_return_mark);
}

static void put_idt(struct scene *s, const struct attack *a)
{
	(void)a;
	vm_gate(s->vm, s->gpa, GUEST_INT, guest_int);
}

/* Descriptors that were accessed, so that loading one does not change it. */
static void put_gdt(struct scene *s, const struct attack *a)
{
	(void)a;
	memcpy(s->secret, s->mem + GUEST_GDT, 24);
	s->secret[8 + 5] |= 1;
	s->secret[16 + 5] |= 1;
}

static const struct attack reads[] = {
	{ "a load", guest_read, 8, 1, 'r', .gain = GAIN_LOOT },
	{ "a load from the last word", guest_read, SCENE_ZONE_SIZE - 8, 1, 'r', .gain = GAIN_LOOT },
	{ "a load from before into it", guest_read, -4, 1, 'r', .gain = GAIN_LOOT },
	{ "a string load", guest_read_string, 0x1000, 1, 'r', .gain = GAIN_LOOT },
	{ "a string load from before into it", guest_read_string, -4, 1, 'r', .gain = GAIN_LOOT },
	{ "an SSE load", guest_read_sse, 0x123, 1, 'r', .gain = GAIN_LOOT },
};

static const struct attack writes[] = {
	{ "a store", guest_write, 8, 1, 'w', .gain = GAIN_CHANGE },
	{ "a store to the last word", guest_write, SCENE_ZONE_SIZE - 8, 1, 'w', .gain = GAIN_CHANGE },
	{ "a store from before into it", guest_write, -4, 1, 'w', .gain = GAIN_CHANGE },
	{ "a string store", guest_write_string, 0x1000, 64, 'w', .gain = GAIN_CHANGE },
	{ "a string store through both pages", guest_write_string, 0, 0x2000, 'w', .gain = GAIN_CHANGE },
	{ "a locked exchange", guest_write_locked, 0x40, 1, 'w', .gain = GAIN_CHANGE },
	/* Its fault would have to go to the same stack. */
	{ "a push", guest_push, 0x1008, 1, 'w', .gain = GAIN_CHANGE, .delivery = true },
};

static const struct attack calls[] = {
	{ "a call", guest_call, 0x100, 1, 'x', .gain = GAIN_MARK, .prepare = put_code },
	{ "a call to the last bytes", guest_call, SCENE_ZONE_SIZE - 6, 1, 'x', .gain = GAIN_MARK,
	  .prepare = put_code },
	{ "an instruction from before into it", guest_call, -2, 1, 'x', .gain = GAIN_MARK,
	  .prepare = put_code },
};

/* What the CPU reads by itself. */
static const struct attack tables[] = {
	{ "a page table", guest_read, 0, 1, 'r', .gain = GAIN_LOOT, .walked = true },
	{ "an interrupt gate", guest_idt, 0, 1, 'r', .gain = GAIN_MARK, .delivery = true,
	  .prepare = put_idt },
	{ "a segment descriptor", guest_segment, 0, 1, 'r', .gain = GAIN_MARK, .delivery = true,
	  .prepare = put_gdt },
};

/* With each deny that there is; those that do not cover it leave it alone. */
static void prove_all(const struct attack *a, unsigned int nr, const char *action)
{
	struct scene *s = scene_create(BACK_SHARED, 0);

	for (unsigned int i = 0; i < nr; i++)
		for (unsigned int d = 0; d < ARRAY_SIZE(denies); d++)
			if (zone_supported(denies[d]) || !harden_exists("zones"))
				attack_prove(s, &a[i], denies[d], action);
	scene_over(s);
}

static void test_read_stop(void) { prove_all(reads, ARRAY_SIZE(reads), "stop"); }
static void test_read_fault(void) { prove_all(reads, ARRAY_SIZE(reads), "fault"); }
static void test_read_log(void) { prove_all(reads, ARRAY_SIZE(reads), "log"); }
static void test_write_stop(void) { prove_all(writes, ARRAY_SIZE(writes), "stop"); }
static void test_write_fault(void) { prove_all(writes, ARRAY_SIZE(writes), "fault"); }
static void test_write_log(void) { prove_all(writes, ARRAY_SIZE(writes), "log"); }
static void test_call_stop(void) { prove_all(calls, ARRAY_SIZE(calls), "stop"); }
static void test_call_fault(void) { prove_all(calls, ARRAY_SIZE(calls), "fault"); }
static void test_call_log(void) { prove_all(calls, ARRAY_SIZE(calls), "log"); }

static void prove_tables(const char *action)
{
	struct scene *s = scene_create(BACK_SHARED, 0);

	for (unsigned int i = 0; i < ARRAY_SIZE(tables); i++)
		attack_prove(s, &tables[i], "rwx", action);
	scene_over(s);
}

static void test_tables_stop(void) { prove_tables("stop"); }
static void test_tables_fault(void) { prove_tables("fault"); }
static void test_tables_log(void) { prove_tables("log"); }

static void test_kill(void)
{
	bool zones = attack_prove_kill(&reads[0], "rwx");

	zones &= attack_prove_kill(&writes[0], "w");
	zones &= attack_prove_kill(&calls[0], "x");
	zones &= attack_prove_kill(&tables[0], "rwx");
	zones &= attack_prove_kill(&tables[1], "rwx");
	if (!zones)
		tap_skip("no zones in this kvm_harden");
}

/* Anonymous memory, of its own and in huge pages, at each action. */
static void prove_backing(enum backing backing)
{
	static const char *const actions[] = { "stop", "fault", "log" };
	struct scene *s = scene_create(backing, 0);

	for (unsigned int i = 0; i < ARRAY_SIZE(actions); i++) {
		attack_prove(s, &reads[0], "rwx", actions[i]);
		attack_prove(s, &reads[2], "rwx", actions[i]);
		attack_prove(s, &writes[0], "w", actions[i]);
		attack_prove(s, &writes[4], "rwx", actions[i]);
		attack_prove(s, &calls[0], "wx", actions[i]);
		attack_prove(s, &calls[2], "x", actions[i]);
		attack_prove(s, &tables[0], "rwx", actions[i]);
	}
	scene_over(s);
}

static void test_private(void) { prove_backing(BACK_PRIVATE); }
static void test_huge(void) { prove_backing(BACK_HUGE); }
static void test_memfd(void) { prove_backing(BACK_MEMFD); }

/* Another vCPU that reads it all the time, while the zone comes and goes. */
static void test_other_vcpu(void)
{
	struct vm *vm = vm_create(2, 0);
	struct vcpu *a = &vm->vcpus[0], *b = &vm->vcpus[1];
	__u64 gpa = SCENE_ZONE, id;
	long long zone = 0;
	int reason;

	need_cpus(2);
	vcpu_program(a, guest_spin, 1, 0);
	vcpu_start(a, 0);
	id = meter_wait_pid(getpid());
	harden_wait_vm(id);
	pin_thread(0, 1);
	for (unsigned int i = 0; i < repeats(50); i++) {
		*(volatile __u64 *)(vm->mem + gpa) = i + 1;
		vcpu_program(b, guest_read, 1, gpa);
		vcpu_run(b);
		EXPECT_EQ(b->data->loot, i + 1, "what the guest read before");
		zone = zone_create(id, gpa, 0x1000, "rwx", "stop", NULL);
		if (zone == -ENOENT)
			break;
		REQUIRE(zone > 0, "zone: %s (%s)", strerror(-zone), zone_last_error());
		vcpu_program(b, guest_read, 1, gpa);
		reason = vcpu_run_once(b);
		EXPECT(reason == KVM_EXIT_INTERNAL_ERROR, "the other vCPU: exit reason %d", reason);
		EXPECT_EQ(b->data->loot, 0, "what the guest read");
		EXPECT_EQ(zone_u64(zone, "last_vcpu"), b->id, "last_vcpu");
		REQUIRE(!zone_remove(zone), "zone %lld cannot be removed", zone);
	}
	EXPECT(a->data->progress, "the first vCPU did not run");
	a->data->stop = 1;
	vcpu_join(a);
	vm_destroy(vm);
	if (zone == -ENOENT)
		tap_skip("no zones in this kvm_harden");
}

static const struct tap_test tests[] = {
	{ "loads are stopped", test_read_stop, 120 },
	{ "loads fault", test_read_fault, 120 },
	{ "loads are logged", test_read_log, 120 },
	{ "stores are stopped", test_write_stop, 120 },
	{ "stores fault", test_write_fault, 120 },
	{ "stores are logged", test_write_log, 120 },
	{ "calls are stopped", test_call_stop, 120 },
	{ "calls fault", test_call_fault, 120 },
	{ "calls are logged", test_call_log, 120 },
	{ "tables that the CPU reads are out of its reach", test_tables_stop, 0 },
	{ "the same with action=fault", test_tables_fault, 0 },
	{ "the same with action=log", test_tables_log, 0 },
	{ "any way ends the VMM with action=kill", test_kill, 0 },
	{ "memory that is private", test_private, 120 },
	{ "memory in huge pages", test_huge, 120 },
	{ "memory of a memfd", test_memfd, 120 },
	{ "another vCPU meets a zone that has just come", test_other_vcpu, 120 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
