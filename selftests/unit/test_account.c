// SPDX-License-Identifier: GPL-2.0
/* How records change, and that nobody reads one half changed. */
#include "../../kvm_meter/account.c"

#include <pthread.h>
#include <stdlib.h>

#include "util.h"

/* Many threads on few CPUs, and the sanitizers: long enough to meet. */
#define RACE_MS		1500

static struct kvm_meter_vcpu rec;

static __u64 four(const struct kvm_meter_vcpu_head *h)
{
	return h->guest_ns + h->host_ns + h->steal_ns + h->idle_ns;
}

static void open_record(__u64 vm_id, __u64 now)
{
	struct kvm_meter_vcpu_head ident = {
		.vm_id = vm_id, .vcpu_id = 3, .tid = 77, .clock_mult = 1ull << 32, .cpu = 5,
	};

	account_open(&rec, &ident, now, KVM_METER_HOST);
}

static bool stable(void)
{
	return !kvm_meter_read_retry(&rec, kvm_meter_read_begin(&rec));
}

static void test_open_clear(void)
{
	struct kvm_meter_vcpu_head out;

	EXPECT_EQ(kvm_meter_read(&rec, &out), (__u64)-1, "read of a free slot");
	for (int life = 1; life <= 3; life++) {
		__u64 seq = rec.seq;

		open_record(life, 1000);
		EXPECT(stable(), "after open");
		EXPECT_EQ(rec.vm_id, life, "vm_id");
		EXPECT_EQ(rec.first_ns, 1000, "first_ns");
		account_entry_fast(&rec, &rec.reasons[0], 1100);
		account_exit_fast(&rec, &rec.reasons[2], 1500);
		account_entry_fast(&rec, &rec.reasons[2], 1600);
		account_exit_fast(&rec, &rec.reasons[2], 1700);
		account_move(&rec, 1800, KVM_METER_IDLE);
		EXPECT(stable(), "after updates");
		EXPECT_EQ(rec.guest_ns, 500, "guest_ns");
		EXPECT_EQ(rec.host_ns, 300, "host_ns");
		EXPECT_EQ(rec.reasons[2].count, 2, "count");
		EXPECT_EQ(rec.reasons[2].time_ns, 100, "time_ns");
		EXPECT(!kvm_meter_read(&rec, &out), "read");
		EXPECT_EQ(out.exits, 2, "exits");
		EXPECT_EQ(out.entries, 2, "entries");
		EXPECT_EQ(four(&out), out.wall_ns, "sum of the four");
		account_clear(&rec);
		EXPECT(stable(), "after clear");
		EXPECT(rec.seq > seq, "the sequence went back");
		EXPECT_EQ(rec.vm_id | rec.exits | rec.guest_ns | rec.reasons[2].count, 0, "rest");
		EXPECT_EQ(rec.state, KVM_METER_FREE, "state");
		EXPECT_EQ(kvm_meter_read(&rec, &out), (__u64)-1, "read of a wiped slot");
	}
}

/* A wait is in the histogram once it is over, and in the times at once. */
static void test_waits(void)
{
	struct kvm_meter_vcpu_head out;
	static struct kvm_meter_vm vm;

	open_record(9, 1000);
	account_wait(&rec, 2000, KVM_METER_STEAL, KVM_METER_WAIT_STARVED, false);
	EXPECT_EQ(rec.preemptions, 1, "preemptions");
	EXPECT_EQ(rec.waits, 0, "waits while the first one lasts");
	out = *account_head(&rec);
	kvm_meter_charge(&out, 2700);
	EXPECT_EQ(out.starved_ns, 700, "starved_ns of a wait that lasts");
	account_move(&rec, 3000, KVM_METER_HOST);
	EXPECT_EQ(rec.waits, 1, "waits");
	EXPECT_EQ(rec.starved, 1, "starved");
	EXPECT_EQ(rec.wait_hist[kvm_meter_hist_bucket(1000)], 1, "its bucket");
	EXPECT_EQ(rec.starved_ns, 1000, "starved_ns");
	EXPECT_EQ(rec.steal_idle_ns, 0, "steal_idle_ns");
	account_move(&rec, 4000, KVM_METER_IDLE);
	account_wait(&rec, 5000, KVM_METER_THROTTLED, KVM_METER_WAIT_IDLE, true);
	account_move(&rec, 5001, KVM_METER_HOST);
	EXPECT_EQ(rec.wakeups, 1, "wakeups");
	EXPECT_EQ(rec.waits, 2, "waits");
	EXPECT_EQ(rec.starved, 1, "starved after a wait that the guest knows of");
	EXPECT_EQ(rec.wait_hist[0], 1, "the shortest bucket");
	EXPECT_EQ(rec.steal_idle_ns, 1, "steal_idle_ns");
	EXPECT_EQ(rec.throttled_ns, 1, "throttled_ns");
	EXPECT_EQ(rec.steal_ns, 1001, "steal_ns");
	/* A clock that stands before the wait began. */
	account_wait(&rec, 6000, KVM_METER_STEAL, 0, false);
	account_move(&rec, 5500, KVM_METER_ENDED);
	EXPECT_EQ(rec.waits, 3, "waits, one with a clock that went back");
	EXPECT_EQ(rec.wait_hist[0], 2, "its bucket");
	EXPECT_EQ(rec.steal_ns, 1001, "steal_ns");
	account_sum_arrays(&vm, &rec);
	account_sum_arrays(&vm, &rec);
	EXPECT_EQ(vm.wait_hist[0], 4, "the VM's histogram");
	account_clear(&rec);
	EXPECT_EQ(rec.wait_hist[0] | rec.waits | rec.wait_kind, 0, "after clear");
}

/* An exit for PAUSE is one more exit. */
static void test_spin(void)
{
	open_record(9, 1000);
	for (int i = 0; i < 4; i++) {
		account_entry_fast(&rec, &rec.reasons[1], 2000 + i * 10);
		account_exit_spin(&rec, &rec.reasons[1], 2005 + i * 10, i & 1);
		EXPECT(stable(), "after an exit");
	}
	EXPECT_EQ(rec.spin_exits, 4, "spin_exits");
	EXPECT_EQ(rec.spin_on_preempted, 2, "spin_on_preempted");
	EXPECT_EQ(rec.exits, 4, "exits");
	EXPECT_EQ(rec.reasons[1].count, 4, "count");
	EXPECT_EQ(rec.guest_ns, 20, "guest_ns");
	account_clear(&rec);
}

static void test_sums(void)
{
	static struct kvm_meter_vm vm;
	static struct kvm_meter_owner owner;
	static struct kvm_meter_vm_reason reasons[KVM_METER_REASONS];
	struct kvm_meter_vcpu_head head = { .guest_ns = 5, .exits = 7, .migrations = 11 };

	reasons[9].count = 4;
	reasons[9].time_ns = 40;
	account_sum_head(&vm, &head);
	account_sum_head(&vm, &head);
	account_sum_reasons(vm.reasons, reasons);
	account_sum_reasons(vm.reasons, reasons);
	EXPECT_EQ(vm.guest_ns, 10, "guest_ns");
	EXPECT_EQ(vm.exits, 14, "exits");
	EXPECT_EQ(vm.migrations, 22, "migrations");
	EXPECT_EQ(vm.reasons[9].count, 8, "count");
	EXPECT_EQ(vm.reasons[9].time_ns, 80, "time_ns");
	account_sum_owner(&owner, &vm);
	account_sum_owner(&owner, &vm);
	EXPECT_EQ(owner.vms, 2, "vms");
	EXPECT_EQ(owner.exits, 28, "exits of the owner");
	/* What no VM had is not known, what one had is its. */
	owner.energy_uj = KVM_METER_NONE;
	vm.energy_uj = KVM_METER_NONE;
	account_sum_owner(&owner, &vm);
	EXPECT_EQ(owner.energy_uj, KVM_METER_NONE, "energy_uj of VMs without");
	vm.energy_uj = 5;
	account_sum_owner(&owner, &vm);
	account_sum_owner(&owner, &vm);
	vm.energy_uj = KVM_METER_NONE;
	account_sum_owner(&owner, &vm);
	EXPECT_EQ(owner.energy_uj, 10, "energy_uj of two with and two without");
}

static int stop;

/* As the module does it: entries, exits, moves, and now and then a new life. */
static void *writer(void *arg)
{
	unsigned int seed = 1;
	__u64 now = 1, lives = 0;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		open_record(++lives, now);
		for (int i = 0; i < 1000; i++) {
			unsigned int r = rand_r(&seed) % KVM_METER_REASONS;

			account_wait(&rec, now += 3, KVM_METER_STEAL, KVM_METER_WAIT_STARVED,
				     i & 1);
			account_move(&rec, now += 3, KVM_METER_HOST);
			account_entry_fast(&rec, &rec.reasons[r], now += 5);
			account_exit_fast(&rec, &rec.reasons[r], now += 7);
		}
		account_clear(&rec);
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct kvm_meter_vcpu_head h;
	struct kvm_meter_reason r;
	__u64 *reads = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__u64 seq = kvm_meter_read_begin(&rec);
		__u64 hist = 0;

		memcpy(&h, &rec, sizeof(h));
		if (!kvm_meter_read_retry(&rec, seq) && h.vm_id) {
			++*reads;
			/* Host and steal time come in threes and a five. */
			EXPECT_EQ(h.first_ns + four(&h), h.since_ns, "a torn read: sum");
			EXPECT(h.entries - h.exits <= 1, "a torn read: %llu entries, %llu exits",
			       h.entries, h.exits);
			EXPECT_EQ(h.guest_ns, h.exits * 7, "a torn read: guest_ns");
			EXPECT_EQ(h.waits + (h.state == KVM_METER_STEAL),
				  h.preemptions + h.wakeups, "a torn read: waits");
			EXPECT_EQ(h.starved_ns, h.steal_ns, "a torn read: starved_ns");
			EXPECT_EQ(h.tid, 77, "a torn read: tid");
		}
		if (kvm_meter_read_reason(&rec, 4, &r))
			continue;
		for (int b = 0; b < KVM_METER_HIST; b++)
			hist += r.hist[b];
		EXPECT(hist - r.count <= 1, "a torn read: %llu in the histogram, count %llu",
		       hist, r.count);
		if (tap_failed())
			break;
	}
	return NULL;
}

static void test_race(void)
{
	pthread_t w, r[2];
	__u64 reads[2] = {};

	pthread_create(&w, NULL, writer, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&r[i], NULL, reader, &reads[i]);
	sleep_ms(RACE_MS);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(w, NULL);
	for (int i = 0; i < 2; i++) {
		pthread_join(r[i], NULL);
		EXPECT(reads[i] > 100, "a reader read %llu records only", reads[i]);
	}
	tap_diag("%llu and %llu consistent reads", reads[0], reads[1]);
}

static const struct tap_test tests[] = {
	{ "a record's life, three times in one slot", test_open_clear, 0 },
	{ "waits, while they last and when they are over", test_waits, 0 },
	{ "exits for PAUSE", test_spin, 0 },
	{ "sums by VM and by owner", test_sums, 0 },
	{ "readers beside a writer see no torn record", test_race, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
