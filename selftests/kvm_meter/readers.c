// SPDX-License-Identifier: GPL-2.0
/* Readers of all kinds while VMs are born, run and die: no torn record. */
#include "meter.h"
#include "vmm.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECONDS	10
#define VMS	8	/* at least */

/* What a reader process found; in a shared page. */
struct found {
	volatile __u64 reads, torn, busy;
	char what[256];
};

static void complain(struct found *f, const char *what, __u64 a, __u64 b)
{
	if (!f->torn++)
		snprintf(f->what, sizeof(f->what), "%.200s: %llu and %llu", what, a, b);
}

/* A whole record by the protocol of the public header, or false. */
static bool copy_record(const struct kvm_meter_vcpu *rec, struct kvm_meter_vcpu *out)
{
	for (int i = 0; i < KVM_METER_READ_TRIES; i++) {
		__u64 seq = kvm_meter_read_begin(rec);

		memcpy(out, rec, sizeof(*out));
		if (!kvm_meter_read_retry(rec, seq))
			return true;
	}
	return false;
}

static void check_record(const struct kvm_meter_vcpu *rec, struct found *f)
{
	static struct kvm_meter_vcpu copy;
	struct kvm_meter_vcpu_head h;
	__u64 sum = 0, hist = 0;

	if (!__kvm_meter_load(&rec->vm_id))
		return;
	f->reads++;
	if (!kvm_meter_read(rec, &h)) {
		sum = h.guest_ns + h.host_ns + h.steal_ns + h.idle_ns;
		if (h.state != KVM_METER_ENDED && sum != h.wall_ns)
			complain(f, "sum of the four and wall_ns", sum, h.wall_ns);
		if (h.entries - h.exits > 1)
			complain(f, "entries and exits", h.entries, h.exits);
		if (h.throttled_ns > h.steal_ns)
			complain(f, "throttled_ns and steal_ns", h.throttled_ns, h.steal_ns);
		if (h.blocked_ns > h.idle_ns)
			complain(f, "blocked_ns and idle_ns", h.blocked_ns, h.idle_ns);
	}
	if (!copy_record(rec, &copy)) {
		f->busy++;
		return;
	}
	if (!copy.vm_id)
		return;
	sum = 0;
	for (int i = 0; i < KVM_METER_REASONS; i++) {
		sum += copy.reasons[i].count;
		for (int b = 0; b < KVM_METER_HIST; b++)
			hist += copy.reasons[i].hist[b];
	}
	if (sum != copy.exits)
		complain(f, "sum over reasons and exits", sum, copy.exits);
	if (hist > copy.exits || copy.exits - hist > 1)
		complain(f, "sum over histograms and exits", hist, copy.exits);
}

static void map_reader(void *arg)
{
	struct meter_map map;

	meter_map_open(&map, "kvm_meter_vcpu");
	for (;;)
		for (__u32 i = 0; i < map.max_entries; i++)
			check_record(meter_map_at(&map, i), arg);
}

static void vm_reader(void *arg)
{
	struct meter_map map[2];
	struct kvm_meter_vm vm;
	struct found *f = arg;
	__u64 sum;

	meter_map_open(&map[0], "kvm_meter_vm");
	meter_map_open(&map[1], "kvm_meter_ended");
	for (int m = 0;; m ^= 1) {
		for (__u32 i = 0; i < map[m].max_entries; i++) {
			const struct kvm_meter_vm *rec = meter_map_at(&map[m], i);

			if (!__kvm_meter_load(&rec->vm_id) || !meter_vm_read(rec, &vm))
				continue;
			f->reads++;
			sum = 0;
			for (int r = 0; r < KVM_METER_REASONS; r++)
				sum += vm.reasons[r].count;
			if (sum != vm.exits)
				complain(f, "sum over a VM's reasons and exits", sum, vm.exits);
			if (vm.guest_ns + vm.host_ns + vm.steal_ns + vm.idle_ns != vm.wall_ns)
				complain(f, "sum of a VM's four and wall_ns",
					 vm.guest_ns + vm.host_ns + vm.steal_ns + vm.idle_ns,
					 vm.wall_ns);
		}
	}
}

/* Anything may vanish; what can be read has to look like something. */
static void read_tree(const char *path, struct found *f)
{
	char sub[512], buf[8192];
	struct dirent *e;
	ssize_t len;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR) {
			read_tree(sub, f);
			continue;
		}
		len = read_file(sub, buf, sizeof(buf));
		f->reads++;
		if (len < 0 && len != -ENOENT && len != -ENODEV)
			complain(f, sub, -len, 0);
		else if (len > 0 && buf[len - 1] != '\n')
			complain(f, sub, len, buf[len - 1]);
	}
	closedir(dir);
}

static void sysfs_reader(void *arg)
{
	for (;;)
		read_tree(METER_SYSFS, arg);
}

static void live_and_die(void)
{
	struct vm *vm = vm_create(3, VM_IRQCHIP);

	vcpu_program(&vm->vcpus[0], guest_spin_io, 1, 0);
	vcpu_program(&vm->vcpus[1], guest_spin_cpuid, 1, 0);
	vcpu_program(&vm->vcpus[2], guest_timer, ~0ull, 500000);
	for (int i = 0; i < 3; i++)
		vcpu_start(&vm->vcpus[i], -1);
	sleep_ms(100 + raw_ns() % 200);
	vm_destroy(vm);
}

/* Exits as fast as it can, for as long as the test: a sum is never at rest. */
static void live_on(void *arg)
{
	struct vm *vm = vm_create(2, 0);

	(void)arg;
	for (int i = 0; i < 2; i++) {
		vcpu_program(&vm->vcpus[i], i ? guest_spin_io : guest_spin_cpuid, 1, 0);
		vcpu_start(&vm->vcpus[i], -1);
	}
	vcpu_join(&vm->vcpus[0]);
}

static void test_all(void)
{
	static void (*const readers[])(void *arg) = {
		map_reader, map_reader, vm_reader, sysfs_reader, sysfs_reader,
	};
	static const char *const names[] = { "map", "map", "VM map", "sysfs", "sysfs" };
	struct found *found[ARRAY_SIZE(readers)];
	pid_t pid[ARRAY_SIZE(readers)];
	unsigned int vms = 0;
	pid_t busy;
	__u64 end;

	meter_reload("max_vcpus=64");
	for (unsigned int i = 0; i < ARRAY_SIZE(readers); i++) {
		found[i] = shared_page();
		pid[i] = spawn(readers[i], found[i]);
	}
	busy = spawn(live_on, NULL);
	end = raw_ns() + repeats(SECONDS) * slowness() * NSEC_PER_SEC;
	while (vms < VMS || raw_ns() < end) {
		live_and_die();
		vms++;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(readers); i++) {
		end_child(pid[i]);
		tap_diag("%s reader: %llu reads, %llu gave up", names[i], found[i]->reads,
			 found[i]->busy);
		EXPECT(found[i]->reads > 100, "%s reader got to read little", names[i]);
		EXPECT(!found[i]->torn, "%s reader: %llu torn, the first: %s", names[i],
		       found[i]->torn, found[i]->what);
	}
	end_child(busy);
	tap_diag("%u VMs lived and died", vms);
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "no reader sees a torn record while VMs live and die", test_all, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
