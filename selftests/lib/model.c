// SPDX-License-Identifier: GPL-2.0
#include "model.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_OWN	0x4000000000000000ull
#define TOKEN_NO_SLOT	0x2000000000000000ull	/* the module's own is an address */

/* What came since the last entry on a CPU. */
struct pending {
	unsigned int ibpb, l1d;
	bool told;
	struct witness_event event;
};

struct model *model_new(void)
{
	struct model *m = calloc(1, sizeof(*m));

	REQUIRE(m, "out of memory");
	m->def = harden_available();
	harden_set("off\n", "flush/mode");
	harden_set(harden_policy_text(m->def), "flush/default");
	return m;
}

struct model_vm *model_vm_bare(struct model *m, unsigned int nr_vcpus, unsigned int flags)
{
	struct model_vm *vm = &m->vms[m->nr];

	REQUIRE(m->nr < MODEL_VMS && nr_vcpus <= MODEL_VCPUS, "too many for the model");
	memset(vm, 0, sizeof(*vm));
	vm->policy = KVM_HARDEN_DEFAULT;
	vm->vm = vm_create_ids(nr_vcpus, m->nr * MODEL_VCPUS, flags);
	vm->v = vm->vm->vcpus;
	m->nr++;
	return vm;
}

/* The vCPU's id says which VM of this process it is. */
void model_vm_find(struct model *m, struct model_vm *vm)
{
	unsigned int first = (vm - m->vms) * MODEL_VCPUS;
	__u64 ids[MODEL_VMS], end = raw_ns() + METER_APPEARS_MS * NSEC_PER_MSEC;

	while (!vm->id && raw_ns() < end) {
		unsigned int nr = meter_vms(getpid(), ids, MODEL_VMS);

		for (unsigned int i = nr; i-- && !vm->id;)
			if (meter_exists("vms/%llu/vcpus/%u", ids[i], first))
				vm->id = ids[i];
		if (!vm->id)
			sleep_ms(10);
	}
	REQUIRE(vm->id, "the VM with vCPU %u did not appear in sysfs", first);
	harden_wait_vm(vm->id);
}

static struct model_vm *vm_that_ran(struct model *m, unsigned int nr_vcpus, unsigned int flags)
{
	struct model_vm *vm = model_vm_bare(m, nr_vcpus, flags);

	for (unsigned int i = 0; i < nr_vcpus; i++) {
		vcpu_program(&vm->v[i], guest_io, 2, 0);
		vcpu_run(&vm->v[i]);
	}
	return vm;
}

struct model_vm *model_vm(struct model *m, unsigned int nr_vcpus, unsigned int flags)
{
	struct model_vm *vm = vm_that_ran(m, nr_vcpus, flags);

	model_vm_find(m, vm);
	return vm;
}

void model_many(struct model *m, unsigned int nr)
{
	__u64 began = raw_ns();
	unsigned int first = m->nr;

	for (unsigned int i = 0; i < nr; i++)
		vm_that_ran(m, 1, 0);
	for (unsigned int i = 0; i < nr; i++)
		model_vm_find(m, &m->vms[first + i]);
	tap_diag("%u VMs in %llu ms", nr, (raw_ns() - began) / NSEC_PER_MSEC);
}

void model_vm_end(struct model *m, struct model_vm *vm)
{
	if (vm->id)
		harden_counters(vm->id, &vm->end);
	vm->gone = true;
	witness_mark("gone %d", (int)(vm - m->vms));
	vm_destroy(vm->vm);
	vm->vm = NULL;
}

void model_begin(struct model *m, const char *mode)
{
	char line[16];

	harden_set("off\n", "flush/mode");
	for (unsigned int i = 0; i < m->nr; i++)
		if (m->vms[i].id)
			harden_counters(m->vms[i].id, &m->vms[i].before);
	harden_counters(HARDEN_TOTALS, &m->before);
	snprintf(line, sizeof(line), "%s\n", mode);
	harden_set(line, "flush/mode");
	witness_start(false);
	m->on = true;
	witness_mark("mode %s", mode);
}

void model_domain(struct model *m, struct model_vm *vm, __u32 domain)
{
	char line[16];

	snprintf(line, sizeof(line), "%u\n", domain);
	harden_set(line, "vms/%llu/domain", vm->id);
	if (!m->on)
		vm->domain = domain;
	else
		witness_mark("domain %d %u", (int)(vm - m->vms), domain);
}

void model_policy(struct model *m, struct model_vm *vm, __u32 policy)
{
	harden_set(harden_policy_text(policy), "vms/%llu/flush", vm->id);
	if (!m->on)
		vm->policy = policy;
	else
		witness_mark("policy %d %u", (int)(vm - m->vms), policy);
}

void model_default(struct model *m, __u32 policy)
{
	harden_set(harden_policy_text(policy), "flush/default");
	if (!m->on)
		m->def = policy;
	else
		witness_mark("default 0 %u", policy);
}

void model_mode(struct model *m, const char *mode)
{
	(void)m;
	harden_set(mode, "flush/mode");
	witness_mark("mode %s", mode);
}

void model_urgent(int cpu)
{
	struct sched_param param = { .sched_priority = 10 };

	pin_thread(0, cpu);
	REQUIRE(!sched_setscheduler(0, SCHED_FIFO, &param), "SCHED_FIFO: %s", strerror(errno));
}

static __u64 token_of(const struct model *m, const struct model_vm *vm)
{
	if (!vm->id)
		return TOKEN_NO_SLOT | (vm - m->vms);
	return vm->domain ? vm->domain : TOKEN_OWN | vm->id;
}

static __u32 policy_of(const struct model *m, const struct model_vm *vm)
{
	return vm->policy & KVM_HARDEN_DEFAULT ? m->def : vm->policy;
}

static __u32 leaving_policy(const struct model *m, const struct model_core *core)
{
	if (!core->token)
		return m->def | core->policy;
	if (m->vms[core->vm].gone)
		return core->policy | core->earlier;
	return policy_of(m, &m->vms[core->vm]) | core->earlier;
}

/* Who had the core last is foreign to whoever comes next; what he asked for counts. */
static void forget(struct model *m, struct model_core *core)
{
	if (!core->token)
		return;
	core->policy = leaving_policy(m, core);
	core->earlier = 0;
	core->token = 0;
	core->vm = MODEL_NOBODY;
	core->moved = false;
}

/* Nobody can have the id of a dead VM again, but its address. */
static void replay_gone(struct model *m, unsigned int i)
{
	m->vms[i].gone = true;
	for (int c = 0; c < MODEL_CPUS && !m->vms[i].id; c++)
		if (m->cores[c].vm == (int)i)
			forget(m, &m->cores[c]);
}

/* Who leaves a domain leaves cores that are foreign to those who stay. */
static void replay_domain(struct model *m, unsigned int i, __u32 domain)
{
	__u32 old = m->vms[i].domain;

	for (int c = 0; c < MODEL_CPUS && old && old != domain; c++)
		if (m->cores[c].token == old)
			forget(m, &m->cores[c]);
	for (int c = 0; c < MODEL_CPUS; c++)
		m->cores[c].moved |= m->cores[c].vm == (int)i && old != domain;
	m->vms[i].domain = domain;
}

static void replay_mark(struct model *m, const char *mark)
{
	unsigned int i, value;

	if (sscanf(mark, "domain %u %u", &i, &value) == 2) {
		replay_domain(m, i, value);
	} else if (sscanf(mark, "policy %u %u", &i, &value) == 2) {
		m->vms[i].policy = value;
	} else if (sscanf(mark, "default %u %u", &i, &value) == 2) {
		m->def = value;
	} else if (sscanf(mark, "empty %u", &value) == 1) {
		for (i = 0; i < MODEL_CPUS; i++)
			if (m->cores[i].token == value)
				forget(m, &m->cores[i]);
	} else if (sscanf(mark, "gone %u", &i) == 1) {
		replay_gone(m, i);
	} else if (!strncmp(mark, "mode ", 5)) {
		m->dry = !strncmp(mark + 5, "dry-run", 7);
		for (i = 0; i < MODEL_CPUS; i++)
			forget(m, &m->cores[i]);
	}
}

#define BOTH(m, vm, name, n)						\
	do {								\
		(m)->want.name += (n);					\
		(vm)->want.name += (n);					\
	} while (0)

/*
 * On a core of siblings a vCPU on the fast path is seen to have left its guest at the
 * next entry only. If its VM has been given another domain by then, the core is foreign;
 * if it was seen to leave before, the core is that of its former domain.
 */
static void replay_moved(struct model *m, struct model_core *core, const struct pending *p)
{
	if (core->moved && p->told && !p->event.from)
		forget(m, core);
	core->moved = false;
}

static void make_siblings_stale(struct model *m, int cpu, __u32 left)
{
	for (int i = 0; i < MODEL_CPUS; i++) {
		if (i == cpu || cpu_core(i) != cpu_core(cpu))
			continue;
		m->cpus[i].stale = true;
		m->cpus[i].left |= left;
	}
}

static void replay_entry(struct model *m, const struct witness_event *e, struct pending *p)
{
	static __u64 cost[2];
	struct model_core *core = &m->cores[cpu_core(e->cpu)];
	struct model_cpu *cpu = &m->cpus[e->cpu];
	struct model_vm *vm = &m->vms[e->vcpu / MODEL_VCPUS];
	__u32 policy = policy_of(m, vm), wanted = 0, got;
	__u64 token = token_of(m, vm), from;
	int from_vm;
	bool change;

	replay_moved(m, core, p);
	from = core->token;
	from_vm = core->vm;
	change = core->token != token || policy & KVM_HARDEN_HOST;
	REQUIRE(vm - m->vms < m->nr, "an entry of vCPU %u, which is nobody's", e->vcpu);
	if (!cost[0]) {
		cost[0] = harden_u64("flush/ibpb_cost_ns");
		cost[1] = harden_u64("flush/l1d_cost_ns");
	}
	m->entries++;
	if (change)
		make_siblings_stale(m, e->cpu, leaving_policy(m, core));
	if (change || cpu->stale) {
		wanted = (policy | cpu->left | (change ? leaving_policy(m, core) : 0)) &
			 HARDEN_PRIMITIVES;
		cpu->missing = HARDEN_PRIMITIVES & ~wanted;
	} else {
		wanted = policy & cpu->missing;
		cpu->missing &= ~wanted;
	}
	if (cpu->stale && !change) {
		from = 0;
		from_vm = MODEL_NOBODY;
	}
	if (change)
		core->earlier = 0;
	else if (core->vm != vm - m->vms)
		core->earlier = leaving_policy(m, core);
	core->token = token;
	core->vm = vm - m->vms;
	core->policy = policy;
	change = change || cpu->stale;
	cpu->stale = false;
	cpu->left = 0;

	/* What the module said of it. */
	EXPECT(p->told == (change || wanted), "entry %llu, %llu ns, CPU %d, VM %d after %d: %s", m->entries,
	       e->ns, e->cpu, (int)(vm - m->vms), from_vm,
	       change ? "a switch that the module did not see" :
	       wanted ? "a flush that was missing still is" : "no switch, says the model");
	if (!p->told) {
		EXPECT(!p->ibpb && !p->l1d, "entry %llu: %u IBPB and %u L1D flushes for nothing",
		       m->entries, p->ibpb, p->l1d);
		return;
	}
	if (vm->id) {
		EXPECT(p->event.to == token, "entry %llu: into %#llx, expected %#llx", m->entries,
		       p->event.to, token);
	}
	EXPECT_EQ(p->event.vm, vm->id, "VM of the switch");
	EXPECT_EQ(p->event.vcpu, e->vcpu, "vCPU of the switch");
	if (from_vm == MODEL_NOBODY || m->vms[from_vm].id) {
		EXPECT(p->event.from == from, "entry %llu: from %#llx, expected %#llx", m->entries,
		       p->event.from, from);
	}
	EXPECT_EQ(p->event.from_vm, from_vm == MODEL_NOBODY ? 0 : m->vms[from_vm].id, "from_vm");
	EXPECT(!(p->event.flush & p->event.covered), "entry %llu: flushed and covered", m->entries);
	EXPECT(!p->event.covered || harden_kvm_flushes(), "covered by nothing");
	EXPECT((p->event.flush | p->event.covered) == wanted,
	       "entry %llu: flush %x, covered %x, expected %x", m->entries, p->event.flush,
	       p->event.covered, wanted);

	/* What it did, by the witness. */
	got = m->dry ? 0 : p->event.flush;
	EXPECT_EQ(p->ibpb, !!(got & KVM_HARDEN_IBPB), "writes of IA32_PRED_CMD at an entry");
	EXPECT_EQ(p->l1d, !!(got & KVM_HARDEN_L1D), "writes of IA32_FLUSH_CMD at an entry");

	/* What it has to count. */
	BOTH(m, vm, switches, change);
	BOTH(m, vm, covered, __builtin_popcount(p->event.covered));
	BOTH(m, vm, flush_ns, p->event.took);
	wanted &= ~p->event.covered;
	BOTH(m, vm, ibpb, !!(wanted & KVM_HARDEN_IBPB));
	BOTH(m, vm, l1d, !!(wanted & KVM_HARDEN_L1D));
	if (m->dry) {
		EXPECT(!p->event.took, "a dry run that took time");
		BOTH(m, vm, predicted_ns, (wanted & KVM_HARDEN_IBPB ? cost[0] : 0) +
		     (wanted & KVM_HARDEN_L1D ? cost[1] : 0));
	}
}

static void replay(struct model *m, const struct witness *w)
{
	struct pending pending[MODEL_CPUS] = {};

	for (int i = 0; i < MODEL_CPUS; i++)
		m->cores[i] = (struct model_core) { .vm = MODEL_NOBODY };
	memset(m->cpus, 0, sizeof(m->cpus));
	for (unsigned int i = 0; i < m->nr; i++)
		m->vms[i].gone = false;
	for (unsigned int i = 0; i < w->nr; i++) {
		const struct witness_event *e = &w->events[i];
		struct pending *p = &pending[e->cpu];

		switch (e->kind) {
		case WITNESS_MSR:
			EXPECT_EQ(e->value, 1, "value of the MSR");
			p->ibpb += e->msr == MSR_PRED_CMD;
			p->l1d += e->msr == MSR_FLUSH_CMD;
			m->msr_writes++;
			break;
		case WITNESS_SWITCH:
			EXPECT(!p->told, "two switches for an entry");
			p->told = true;
			p->event = *e;
			break;
		case WITNESS_ENTRY:
			replay_entry(m, e, p);
			memset(p, 0, sizeof(*p));
			break;
		case WITNESS_MARK:
			replay_mark(m, e->mark);
			break;
		case WITNESS_EXIT:
			break;
		}
	}
	for (int i = 0; i < MODEL_CPUS; i++)
		EXPECT(!pending[i].told && !pending[i].ibpb && !pending[i].l1d,
		       "a flush on CPU %d that no entry followed", i);
}

static void compare(const char *who, const struct harden_counters *before,
		    const struct harden_counters *want, const struct harden_counters *now)
{
	char what[64];

#define CMP(name, desc)							\
	snprintf(what, sizeof(what), "%s: %s", who, #name);		\
	EXPECT_EQ(now->name - before->name, want->name, what);
	KVM_HARDEN_COUNTERS(CMP)
#undef CMP
}

void model_end(struct model *m)
{
	struct harden_counters now;
	struct model_vm *vms = m->vms;
	struct witness w;
	__u64 in_vms = 0;
	char who[32];

	harden_counters(HARDEN_TOTALS, &now);
	for (unsigned int i = 0; i < m->nr; i++)
		if (vms[i].id && !vms[i].gone)
			harden_counters(vms[i].id, &vms[i].end);
	witness_stop(&w);
	harden_set("off\n", "flush/mode");
	/* As it was at the beginning: the marks say it all again. */
	replay(m, &w);
	for (unsigned int i = 0; i < m->nr; i++) {
		snprintf(who, sizeof(who), "VM %u, %llu", i, vms[i].id);
		in_vms += vms[i].want.switches;
		if (vms[i].id)
			compare(who, &vms[i].before, &vms[i].want, &vms[i].end);
	}
	compare("total", &m->before, &m->want, &now);
#define GOT(name, desc)	m->got.name = now.name - m->before.name;
	KVM_HARDEN_COUNTERS(GOT)
#undef GOT
	tap_diag("%llu entries, %llu switches, %llu IBPB, %llu L1D, %u MSR writes seen",
		 m->entries, m->got.switches, m->got.ibpb, m->got.l1d, m->msr_writes);
	EXPECT_EQ(in_vms, m->got.switches, "switches of all VMs");
	witness_free(&w);
}
