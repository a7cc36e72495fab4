// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against KVM's instruction emulator, which reads and writes the
 * guest's memory through the VMM's mapping and asks no page table of the guest's.
 */
#include "scene.h"

#include <string.h>

/* The device answers what the secret has there, so that the guess is right. */
static void guess_right(struct scene *s, const struct attack *a)
{
	memcpy(&s->mmio_in, s->secret + a->offset, sizeof(s->mmio_in));
}

static const struct attack reads[] = {
	{ "OUTSB", guest_outs, 8, 1, 'r', .gain = GAIN_OUT, .emulated = true },
	{ "REP OUTSB", guest_outs, 0x1000, 16, 'r', .gain = GAIN_OUT, .emulated = true },
	{ "REP OUTSB from before into it", guest_outs, -8, 16, 'r', .gain = GAIN_OUT, .emulated = true },
	{ "REP OUTSB from one page to the next", guest_outs, 0xff8, 16, 'r', .gain = GAIN_OUT,
	  .emulated = true },
	{ "REP OUTSB through a page table", guest_outs, 0, 16, 'r', .gain = GAIN_OUT, .emulated = true,
	  .walked = true },
};

static const struct attack writes[] = {
	{ "INSB", guest_ins, 8, 1, 'w', .gain = GAIN_CHANGE, .emulated = true },
	{ "REP INSB", guest_ins, 0x1000, 16, 'w', .gain = GAIN_CHANGE, .emulated = true },
	{ "REP INSB from before into it", guest_ins, -8, 16, 'w', .gain = GAIN_CHANGE, .emulated = true },
	{ "MOVSB from a device", guest_from_mmio, 8, 1, 'w', .gain = GAIN_CHANGE, .emulated = true },
	{ "REP MOVSB from a device", guest_from_mmio, 0x1000, 16, 'w', .gain = GAIN_CHANGE,
	  .emulated = true },
	{ "REP MOVSB from a device from before into it", guest_from_mmio, -8, 16, 'w',
	  .gain = GAIN_CHANGE, .emulated = true },
};

/*
 * Which of the two is read first, the memory or the device, depends on the CPU:
 * the access that is denied is the CPU's own or the emulator's.
 */
static const struct attack mixed[] = {
	{ "CMPSQ with a device", guest_compare, 0x18, 1, 'r', .gain = GAIN_GUESS,
	  .emulated = true, .prepare = guess_right },
	{ "CMPSQ of a device", guest_compare_device, 0x18, 1, 'r', .gain = GAIN_GUESS,
	  .emulated = true, .prepare = guess_right },
	{ "REP MOVSB to a device from before into it", guest_to_mmio, -8, 16, 'r',
	  .gain = GAIN_OUT, .emulated = true },
};

/* The CPU loads before it finds the device, so that this is its own access. */
static const struct attack to_mmio = {
	"REP MOVSB to a device", guest_to_mmio, 8, 16, 'r', .gain = GAIN_OUT,
};

static void prove(const struct attack *a, unsigned int nr, const char *deny, const char *action)
{
	struct scene *s = scene_create(BACK_SHARED, 0);

	for (unsigned int i = 0; i < nr; i++)
		attack_prove(s, &a[i], deny, action);
	scene_over(s);
}

static void test_read_stop(void) { prove(reads, ARRAY_SIZE(reads), "rwx", "stop"); }
static void test_read_fault(void) { prove(reads, ARRAY_SIZE(reads), "rwx", "fault"); }
static void test_read_log(void) { prove(reads, ARRAY_SIZE(reads), "rwx", "log"); }
static void test_mixed(void) { prove(mixed, ARRAY_SIZE(mixed), "rwx", "stop"); }
static void test_write_stop(void) { prove(writes, ARRAY_SIZE(writes), "rwx", "stop"); }
static void test_write_fault(void) { prove(writes, ARRAY_SIZE(writes), "w", "fault"); }
static void test_write_log(void) { prove(writes, ARRAY_SIZE(writes), "w", "log"); }
static void test_write_wx(void) { prove(writes, ARRAY_SIZE(writes), "wx", "stop"); }
/* A read does not mind a zone that denies writes. */
static void test_read_of_w(void) { prove(reads, ARRAY_SIZE(reads) - 1, "w", "stop"); }

static void test_cpu_first(void)
{
	static const char *const actions[] = { "stop", "fault", "log" };
	struct scene *s = scene_create(BACK_SHARED, 0);

	for (unsigned int i = 0; i < ARRAY_SIZE(actions); i++)
		attack_prove(s, &to_mmio, "rwx", actions[i]);
	scene_over(s);
}

static void test_kill(void)
{
	bool zones = attack_prove_kill(&reads[0], "rwx");

	zones &= attack_prove_kill(&mixed[0], "rwx");
	zones &= attack_prove_kill(&mixed[1], "rwx");
	zones &= attack_prove_kill(&writes[1], "w");
	zones &= attack_prove_kill(&writes[3], "rwx");
	if (!zones)
		tap_skip("no zones in this kvm_harden");
}

static void prove_backing(enum backing backing)
{
	struct scene *s = scene_create(backing, 0);

	for (unsigned int i = 0; i < ARRAY_SIZE(reads); i++)
		attack_prove(s, &reads[i], "rwx", "stop");
	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++)
		attack_prove(s, &writes[i], "w", "stop");
	scene_over(s);
}

static void test_private(void) { prove_backing(BACK_PRIVATE); }
static void test_huge(void) { prove_backing(BACK_HUGE); }
static void test_memfd(void) { prove_backing(BACK_MEMFD); }

static const struct tap_test tests[] = {
	{ "reads are stopped", test_read_stop, 120 },
	{ "reads with action=fault are stopped", test_read_fault, 120 },
	{ "reads with action=log are stopped", test_read_log, 120 },
	{ "reads beside a device are stopped", test_mixed, 120 },
	{ "writes are stopped", test_write_stop, 120 },
	{ "writes with action=fault are stopped", test_write_fault, 120 },
	{ "writes with action=log are stopped", test_write_log, 120 },
	{ "writes are stopped by deny=wx", test_write_wx, 120 },
	{ "reads are none of deny=w", test_read_of_w, 120 },
	{ "a move to a device is the CPU's access", test_cpu_first, 0 },
	{ "any way ends the VMM with action=kill", test_kill, 0 },
	{ "memory that is private", test_private, 120 },
	{ "memory in huge pages", test_huge, 120 },
	{ "memory of a memfd", test_memfd, 120 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
