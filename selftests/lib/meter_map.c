// SPDX-License-Identifier: GPL-2.0
/* The maps by bpf(2) alone: no library stands between the test and the ABI. */
#include "meter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_TRIES	100000

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	int ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

int bpf_map_fd(__u32 id)
{
	union bpf_attr attr = { .map_id = id };

	return sys_bpf(BPF_MAP_GET_FD_BY_ID, &attr);
}

int bpf_map_update(int fd, __u32 key, const void *value)
{
	union bpf_attr attr = {
		.map_fd = fd,
		.key = (unsigned long)&key,
		.value = (unsigned long)value,
	};

	return sys_bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

void meter_map_open(struct meter_map *m, const char *name)
{
	map_open_id(m, meter_u64("maps/%s", name), name);
}

void map_open_id(struct meter_map *m, __u32 id, const char *name)
{
	struct bpf_map_info info = {};
	union bpf_attr attr = {};
	long page = sysconf(_SC_PAGESIZE);
	int ret;

	memset(m, 0, sizeof(*m));
	m->id = id;
	m->fd = bpf_map_fd(m->id);
	REQUIRE(m->fd >= 0, "map %s, id %u: %s", name, m->id, strerror(-m->fd));
	attr.info.bpf_fd = m->fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (unsigned long)&info;
	ret = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	REQUIRE(!ret, "info of map %s: %s", name, strerror(-ret));
	/* A map's name has 15 characters at most. */
	REQUIRE(!strncmp(info.name, name, sizeof(info.name) - 1), "map %u is called %s, not %s",
		m->id, info.name, name);
	m->value_size = info.value_size;
	m->max_entries = info.max_entries;
	m->stride = (info.value_size + 7) & ~7ul;
	m->len = (m->stride * m->max_entries + page - 1) & -page;
	m->mem = mmap(NULL, m->len, PROT_READ, MAP_SHARED, m->fd, 0);
	REQUIRE(m->mem != MAP_FAILED, "mmap of %s: %s", name, strerror(errno));
}

void meter_map_close(struct meter_map *m)
{
	munmap(m->mem, m->len);
	close(m->fd);
}

const struct kvm_meter_vcpu *meter_vcpu(const struct meter_map *m, __u64 vm, unsigned int vcpu)
{
	for (__u32 i = 0; i < m->max_entries; i++) {
		const struct kvm_meter_vcpu *rec = meter_map_at(m, i);

		if (rec->vm_id == vm && rec->vcpu_id == vcpu && rec->state != KVM_METER_FREE)
			return rec;
	}
	REQUIRE(false, "vCPU %u of VM %llu is not in kvm_meter_vcpu", vcpu, vm);
	return NULL;
}

bool meter_vm_read(const struct kvm_meter_vm *rec, struct kvm_meter_vm *out)
{
	for (int i = 0; i < READ_TRIES; i++) {
		__u64 seq = __kvm_meter_load(&rec->seq);

		if (seq & 1)
			continue;
		__kvm_meter_rmb();
		memcpy(out, rec, sizeof(*out));
		__kvm_meter_rmb();
		if (__kvm_meter_load(&rec->seq) == seq)
			return out->vm_id;
	}
	return false;
}

static bool find_ended(const struct meter_map *m, __u64 vm, struct kvm_meter_vm *out)
{
	for (__u32 i = 0; i < m->max_entries; i++) {
		const struct kvm_meter_vm *rec = meter_map_at(m, i);

		if (rec->vm_id == vm && meter_vm_read(rec, out) && out->vm_id == vm &&
		    out->ended_ns)
			return true;
	}
	return false;
}

void meter_wait_ended(const struct meter_map *m, __u64 vm, struct kvm_meter_vm *out)
{
	REQUIRE(WAIT_FOR(find_ended(m, vm, out), METER_APPEARS_MS),
		"VM %llu left no record in kvm_meter_ended", vm);
}

/*
 * An emulated CPU that is taken away in the middle of an update leaves readers
 * on the others to wait for its return.
 */
void meter_read(const struct kvm_meter_vcpu *rec, struct kvm_meter_vcpu_head *out)
{
	REQUIRE(WAIT_FOR(!kvm_meter_read(rec, out), 1000),
		"no consistent copy: VM %llu, vCPU %u, state %u, seq %llu, begun %llu", rec->vm_id,
		rec->vcpu_id, rec->state, rec->seq, rec->entries + rec->exits + rec->moves);
}

static bool read_raw(const struct kvm_meter_vcpu *rec, struct meter_raw *out)
{
	__u64 done = kvm_meter_read_begin(rec);

	memcpy(&out->h, rec, sizeof(out->h));
#define COPY(name, desc) memcpy(out->name, rec->name, sizeof(out->name));
	KVM_METER_HISTS(COPY)
#undef COPY
	return !kvm_meter_read_retry(rec, done);
}

void meter_read_raw(const struct kvm_meter_vcpu *rec, struct meter_raw *out)
{
	bool got = false;

	for (int i = 0; i < READ_TRIES && !got; i++)
		got = read_raw(rec, out);
	REQUIRE(WAIT_FOR(got || read_raw(rec, out), 1000), "no consistent copy of VM %llu, vCPU %u",
		rec->vm_id, rec->vcpu_id);
}

__u64 meter_hist_sum(const __u64 *hist)
{
	__u64 sum = 0;

	for (int i = 0; i < KVM_METER_HIST; i++)
		sum += hist[i];
	return sum;
}

void meter_snap(const struct kvm_meter_vcpu *rec, struct meter_snap *s)
{
	__u64 best = ~0ull;
	struct meter_snap now;

	/* The emulated CPU may be taken away in between: take the best of some. */
	for (int i = 0; i < 8; i++) {
		__u64 before = raw_ns();

		meter_read(rec, &now.h);
		now.slack = raw_ns() - before;
		now.raw = before + now.slack / 2;
		if (now.slack < best) {
			best = now.slack;
			*s = now;
		}
	}
}

void meter_check_pair(const struct kvm_meter_vcpu_head *a, const struct kvm_meter_vcpu_head *b)
{
	__u64 sum = b->guest_ns + b->host_ns + b->steal_ns + b->idle_ns;
	__u64 off = sum > b->wall_ns ? sum - b->wall_ns : b->wall_ns - sum;

	EXPECT(off <= b->wall_ns / 1000 + 1000, "the four add up to %llu, wall_ns is %llu", sum,
	       b->wall_ns);
	EXPECT(b->throttled_ns <= b->steal_ns, "throttled_ns %llu > steal_ns %llu",
	       b->throttled_ns, b->steal_ns);
	EXPECT(b->blocked_ns <= b->idle_ns, "blocked_ns %llu > idle_ns %llu", b->blocked_ns,
	       b->idle_ns);
#define MONOTONIC(name, desc)						\
	EXPECT(b->name >= a->name, #name " went back from %llu to %llu", a->name, b->name);
	KVM_METER_COUNTERS(MONOTONIC)
#undef MONOTONIC
}

void meter_diag_delta(const char *what, const struct meter_snap *a, const struct meter_snap *b)
{
	char text[4096];
	int len = snprintf(text, sizeof(text), "%s, in %llu us:", what, (b->raw - a->raw) / 1000);

#define SHOW(name, desc)						\
	if (b->h.name != a->h.name)					\
		len += snprintf(text + len, sizeof(text) - len, " %s %llu", #name,	\
				b->h.name - a->h.name);
	KVM_METER_COUNTERS(SHOW)
#undef SHOW
	tap_diag("%s", text);
}
