// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the counters of energy, early enough that none wraps unseen, and splits
 * what they say among VMs, the host and idle. The model is in
 * Documentation/design.rst, its arithmetic in energy_split.c.
 */
#include "energy.h"

#include <linux/cpumask.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "clock.h"
#include "compat_tick.h"
#include "energy_cpu.h"
#include "energy_source.h"
#include "health.h"
#include "maps.h"
#include "ran.h"
#include "registry.h"

#define LEAST_INTERVAL_MS	10
#define MOST_INTERVAL_MS	10000

static char *energy_source = "auto";
module_param(energy_source, charp, 0444);
MODULE_PARM_DESC(energy_source, "auto, none, or test:BUSY_UW,IDLE_UW[,SPEED] for energy that is made up (default auto)");

static const struct energy_source *source;
static const char *why;		/* there is none */

/* One counter and what is known of its CPUs. All under vm_mutex. */
static struct energy_domain {
	int id;			/* the source's name for it */
	int reader;		/* a CPU that is online; negative: there is none now */
	unsigned int cpus;
	unsigned int cpus_before; /* at the last reading */
	unsigned int sampled;	/* of them, those whose busy time is known */
	bool based;		/* counter.last is of the last reading */
	bool valid;		/* the rest is of this one */
	u64 last_ns;
	u64 span_ns, nj, busy_ns;
	struct energy_counter counter;
	struct energy_idle idle;
	struct energy_split split;
} domains[ENERGY_DOMAINS];

static unsigned int nr_domains, max_domains;
static struct energy_cpu *cpus;
static u64 (*weights)[ENERGY_RULES];	/* by VM and domain */
static cpumask_var_t busy_cpus;
static u64 reading, last_reading_ns, reading_took_ns;
static bool reading_on;
static struct energy_account package_total, idle_total, host_total, vms_total;

bool kvm_meter_energy_known(void)
{
	return source;
}

bool kvm_meter_energy_made_up(void)
{
	return source && source->made_up;
}

const char *kvm_meter_energy_source_name(void)
{
	return source ? source->name : why;
}

static int domain_of(int cpu)
{
	int id = source->domain(cpu);
	unsigned int i;

	for (i = 0; i < nr_domains; i++)
		if (domains[i].id == id)
			return i;
	if (nr_domains == max_domains)
		return -1;
	memset(&domains[i], 0, sizeof(domains[i]));
	domains[i].id = id;
	domains[i].counter.shift = source->shift;
	return nr_domains++;
}

/* Any CPU of a package will do, so that it does not matter if one goes. */
static void find_readers(void)
{
	struct energy_domain *d;
	int cpu;

	for (d = domains; d < domains + nr_domains; d++) {
		d->reader = -1;
		d->cpus_before = d->cpus;
		d->cpus = 0;
		d->sampled = 0;
	}
	for_each_possible_cpu(cpu) {
		struct energy_cpu *c = &cpus[cpu];

		c->sampled = false;
		c->vm_ns = 0;
		if (!cpu_online(cpu)) {
			c->based = false;
			continue;
		}
		if (c->domain < 0)
			c->domain = domain_of(cpu);
		if (c->domain < 0)
			continue;
		d = &domains[c->domain];
		d->reader = cpu;
		d->cpus++;
	}
}

/* What the package drew since the last reading; what is no reading counts as lost. */
static void read_counter(struct energy_domain *d)
{
	u64 now;
	u32 raw;

	memset(&d->split, 0, sizeof(d->split));
	d->valid = false;
	d->busy_ns = 0;
	/* None is online, or it goes just now: the counter goes on, the next one has it. */
	if (d->reader < 0 || source->read(d->reader, &raw))
		return;
	now = meter_clock();
	d->span_ns = now - d->last_ns;
	d->last_ns = now;
	if (!d->based) {
		d->based = true;
		d->counter.last = raw;
		return;
	}
	d->valid = true;
	d->nj = energy_counter_nj(&d->counter, raw);
	if (d->span_ns > energy_wrap_ms(d->counter.shift) * NSEC_PER_MSEC ||
	    !energy_plausible(d->nj, d->span_ns)) {
		health_count(HEALTH_energy_gaps);
		d->nj = 0;
		d->span_ns = 0;
	}
}

static void sample_cpus(void)
{
	int cpu;

	cpumask_clear(busy_cpus);
	for_each_online_cpu(cpu) {
		struct energy_cpu *c = &cpus[cpu];

		/* As long as the counter has no base, nothing else has one. */
		if (c->domain < 0 || !domains[c->domain].based)
			continue;
		if (!domains[c->domain].valid && c->based)
			continue;
		kvm_meter_energy_cpu_sample(c, cpu);
		if (!c->sampled)
			continue;
		domains[c->domain].sampled++;
		domains[c->domain].busy_ns += c->busy_ns;
		if (c->busy_ns > c->span_ns / 128)
			cpumask_set_cpu(cpu, busy_cpus);
	}
	kvm_meter_energy_cpu_speeds(cpus, busy_cpus, source);
	for_each_online_cpu(cpu)
		kvm_meter_energy_cpu_weigh(cpus, cpu);
}

/* What a vCPU ran on a CPU, into the sums of its VM and of the package. */
static bool take_time(int cpu, u64 ns, void *vm_weights)
{
	u64 (*sums)[ENERGY_RULES] = vm_weights;
	struct energy_cpu *c = &cpus[cpu];

	if (c->domain < 0 || !domains[c->domain].valid)
		return false;
	c->vm_ns += ns;
	energy_weigh(sums[c->domain], c->weight, ns);
	energy_weigh(domains[c->domain].split.total, c->weight, ns);
	return true;
}

static u64 (*weights_of(const struct meter_vm *vm))[ENERGY_RULES]
{
	return weights + (vm - meter_vms) * max_domains;
}

static void take_vm(struct meter_vm *vm)
{
	u64 (*sums)[ENERGY_RULES] = weights_of(vm);
	struct meter_vcpu *v;

	vm->energy.reading = reading;
	/* Before its times are taken: they are final then. */
	if (READ_ONCE(vm->state) == METER_VM_ENDED)
		vm->energy.settled = true;
	memset(sums, 0, max_domains * sizeof(*sums));
	rcu_read_lock();
	list_for_each_entry_rcu(v, &vm->vcpus, link)
		kvm_meter_ran_collect(v, take_time, sums);
	rcu_read_unlock();
}

static void take_host(void)
{
	int cpu;

	for_each_online_cpu(cpu) {
		struct energy_cpu *c = &cpus[cpu];

		if (c->domain >= 0 && domains[c->domain].valid)
			energy_weigh(domains[c->domain].split.total, c->weight,
				     kvm_meter_energy_cpu_host_ns(c));
	}
}

/* The idle part first. A package in which nobody ran was idle altogether. */
static void split_idle(struct energy_domain *d, u64 lag_ns)
{
	u64 idle;

	if (!d->valid)
		return;
	/* A CPU that went or came took energy, and nobody knows for how long. */
	if (d->span_ns && d->sampled == d->cpus && d->cpus == d->cpus_before)
		energy_idle_feed(&d->idle, d->span_ns, d->nj, d->busy_ns, d->cpus);
	else
		energy_idle_drop(&d->idle);
	idle = energy_idle_take(&d->idle, d->span_ns, d->nj, lag_ns, &d->split.slack_nj);
	if (!d->split.total[ENERGY_BILLED])
		idle = d->nj;
	d->split.nj = d->nj - idle;
	energy_add(&package_total, d->nj);
	energy_add(&idle_total, idle);
}

static void bill(struct meter_vm *vm)
{
	u64 (*sums)[ENERGY_RULES] = weights_of(vm);
	u64 nj, error_nj;
	unsigned int i;

	for (i = 0; i < nr_domains; i++) {
		if (!domains[i].valid)
			continue;
		nj = energy_share(&domains[i].split, sums[i], &error_nj);
		energy_add(&vm->energy.used, nj);
		energy_add(&vm->energy.error, error_nj);
		energy_add(&vms_total, nj);
	}
}

static void publish(void)
{
	struct kvm_meter_info *info = kvm_meter_map_info();
	u64 uw = 0, error_uw = 0;
	unsigned int i;

	for (i = 0; i < nr_domains; i++) {
		const struct energy_idle *idle = &domains[i].idle;

		uw += idle->uw;
		error_uw += max(idle->uw - idle->low_uw, idle->high_uw - idle->uw);
	}
	info->energy_seq++;
	barrier();
	info->package_uj = package_total.uj;
	info->idle_uj = idle_total.uj;
	info->host_uj = host_total.uj;
	info->vms_uj = vms_total.uj;
	info->idle_uw = uw;
	info->idle_error_uw = error_uw;
	info->readings = reading;
	barrier();
	info->energy_seq++;
}

static void energy_read(void)
{
	struct energy_domain *d;
	struct meter_vm *vm;
	u64 began, lag_ns;
	unsigned int i;

	lockdep_assert_held(&vm_mutex);
	reading++;
	began = meter_clock();
	find_readers();
	for (d = domains; d < domains + nr_domains; d++)
		read_counter(d);
	sample_cpus();
	for (i = 0; i < meter_vcpu_slots; i++) {
		vm = &meter_vms[i];
		if (READ_ONCE(vm->state) != METER_VM_FREE)
			take_vm(vm);
		cond_resched();
	}
	take_host();
	/* Counters and times are not of the same moment. */
	lag_ns = source->lag_ns + COMPAT_IDLE_LAG_NS + meter_clock() - began;
	for (d = domains; d < domains + nr_domains; d++)
		split_idle(d, lag_ns);
	for (i = 0; i < meter_vcpu_slots; i++) {
		vm = &meter_vms[i];
		if (vm->energy.reading == reading)
			bill(vm);
		cond_resched();
	}
	for (d = domains; d < domains + nr_domains; d++)
		if (d->valid)
			energy_add(&host_total, energy_rest(&d->split));
	last_reading_ns = meter_clock();
	reading_took_ns = last_reading_ns - began;
	publish();
}

static unsigned int interval_ms = 1000;

/* A counter is read twice before it can wrap, whatever was asked for. */
static unsigned long interval(void)
{
	u64 most = energy_wrap_ms(source->shift) / 2;

	return msecs_to_jiffies(min_t(u64, READ_ONCE(interval_ms), most)) ?: 1;
}

static void energy_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(energy_work, energy_fn);
static DEFINE_MUTEX(work_mutex);	/* a leaf: whether the work may be queued */
static bool work_on;

static void energy_fn(struct work_struct *work)
{
	mutex_lock(&vm_mutex);
	energy_read();
	mutex_unlock(&vm_mutex);
	queue_delayed_work(system_unbound_wq, &energy_work, interval());
}

static int interval_set(const char *text, const struct kernel_param *kp)
{
	unsigned int ms;
	int ret = kstrtouint(text, 10, &ms);

	if (ret)
		return ret;
	if (ms < LEAST_INTERVAL_MS || ms > MOST_INTERVAL_MS)
		return -EINVAL;
	mutex_lock(&work_mutex);
	WRITE_ONCE(interval_ms, ms);
	if (work_on)
		mod_delayed_work(system_unbound_wq, &energy_work, interval());
	mutex_unlock(&work_mutex);
	return 0;
}

static const struct kernel_param_ops interval_ops = {
	.set = interval_set,
	.get = param_get_uint,
};

module_param_cb(energy_interval_ms, &interval_ops, &interval_ms, 0644);
MODULE_PARM_DESC(energy_interval_ms, "time between readings of energy, 10 to 10000 ms; less where the counter needs it (default 1000)");

/**
 * kvm_meter_energy_start() - The meter is being armed
 *
 * Energy and CPU time count from here on, before the first VM is seen.
 *
 * Context: process.
 */
void kvm_meter_energy_start(void)
{
	unsigned int i;
	int cpu;

	if (!source)
		return;
	mutex_lock(&vm_mutex);
	for (i = 0; i < nr_domains; i++)
		domains[i].based = false;
	for_each_possible_cpu(cpu)
		kvm_meter_energy_cpu_reset(&cpus[cpu]);
	energy_read();
	reading_on = true;
	mutex_unlock(&vm_mutex);

	mutex_lock(&work_mutex);
	work_on = true;
	queue_delayed_work(system_unbound_wq, &energy_work, interval());
	mutex_unlock(&work_mutex);
}

/* The meter is disarmed: every VM has ended and been settled. */
void kvm_meter_energy_stop(void)
{
	if (!source)
		return;
	mutex_lock(&work_mutex);
	work_on = false;
	mutex_unlock(&work_mutex);
	cancel_delayed_work_sync(&energy_work);
	mutex_lock(&vm_mutex);
	reading_on = false;
	mutex_unlock(&vm_mutex);
}

/* As each reading adds to the error of all who ran, and interrupts CPUs. */
static u64 settle_ns(void)
{
	return clamp_t(u64, ENERGY_SETTLE_TIMES * reading_took_ns,
		       ENERGY_SETTLE_MS * NSEC_PER_MSEC, ENERGY_SETTLE_MOST_MS * NSEC_PER_MSEC);
}

/**
 * kvm_meter_energy_settle() - Has a VM that has ended got all that it owes?
 * @vm: VM that has ended
 *
 * If not, a reading is made, for all that have ended; but not so soon after another
 * one that many VMs which come and go would make the host do nothing else.
 *
 * Context: process, vm_mutex held.
 * Return: false if it has to be asked again, in a while.
 */
bool kvm_meter_energy_settle(struct meter_vm *vm)
{
	lockdep_assert_held(&vm_mutex);
	if (!reading_on || vm->energy.settled)
		return true;
	if (meter_clock() - last_reading_ns < settle_ns())
		return false;
	energy_read();
	return true;
}

/* Its final record is written, its slots go to others. */
void kvm_meter_energy_forget(struct meter_vm *vm)
{
	struct meter_vcpu *v;

	lockdep_assert_held(&vm_mutex);
	list_for_each_entry(v, &vm->vcpus, link)
		kvm_meter_ran_forget(v);
	memset(&vm->energy, 0, sizeof(vm->energy));
}

/* Into a VM's record, as of the last reading. */
void kvm_meter_energy_fold(const struct meter_vm *vm, struct kvm_meter_vm *sum)
{
	sum->energy_uj = source ? vm->energy.used.uj : KVM_METER_NONE;
	sum->energy_error_uj = source ? vm->energy.error.uj : KVM_METER_NONE;
	if (kvm_meter_energy_made_up())
		sum->flags |= KVM_METER_VM_MADE_UP;
}

static int find_source(void)
{
	struct energy_idle_time idle;

	why = NULL;
	if (!strcmp(energy_source, "none"))
		why = "none: energy_source=none";
	else if (!strncmp(energy_source, "test:", 5))
		source = kvm_meter_energy_test(energy_source + 5);
	else if (!strcmp(energy_source, "auto"))
		source = kvm_meter_energy_rapl(&why);
	else
		source = ERR_PTR(-EINVAL);
	if (IS_ERR(source)) {
		int ret = PTR_ERR(source);

		source = NULL;
		if (ret == -EINVAL)
			pr_err("energy_source=%s: must be auto, none or test:BUSY_UW,IDLE_UW[,SPEED]\n",
			       energy_source);
		return ret;
	}
	if (source && !kvm_meter_idle_time(cpumask_first(cpu_online_mask), &idle)) {
		why = "none: the kernel does not know how long CPUs are idle (nohz=off)";
		source = NULL;
	}
	return 0;
}

static void publish_none(void)
{
	struct kvm_meter_info *info = kvm_meter_map_info();

#define NONE(type, name, desc) info->name = KVM_METER_NONE;
	KVM_METER_ENERGY(NONE)
#undef NONE
}

int kvm_meter_energy_init(void)
{
	int cpu, ret = find_source();

	if (ret)
		return ret;
	if (!source) {
		publish_none();
		return 0;
	}
	ret = kvm_meter_energy_cpu_init();
	if (ret)
		goto err;
	ret = -ENOMEM;
	max_domains = clamp_t(unsigned int, topology_max_packages(), 1, ENERGY_DOMAINS);
	cpus = kvcalloc(nr_cpu_ids, sizeof(*cpus), GFP_KERNEL);
	if (!cpus || !zalloc_cpumask_var(&busy_cpus, GFP_KERNEL))
		goto err;
	for_each_possible_cpu(cpu)
		kvm_meter_energy_cpu_reset(&cpus[cpu]);
	/* Dies may be more than packages; those that come later than this may not. */
	for_each_online_cpu(cpu) {
		if (max_domains < ENERGY_DOMAINS && domain_of(cpu) < 0) {
			max_domains++;
			domain_of(cpu);
		}
	}
	weights = kvcalloc((size_t)meter_vcpu_slots * max_domains, sizeof(*weights), GFP_KERNEL);
	if (!weights || kvm_meter_ran_init())
		goto err;
	kvm_meter_map_info()->energy_kind = source->made_up ? KVM_METER_ENERGY_MADE_UP :
							      KVM_METER_ENERGY_COUNTED;
	if (source->made_up)
		pr_warn("energy is made up: energy_source=%s\n", energy_source);
	return 0;
err:
	kvm_meter_energy_exit();
	return ret;
}

void kvm_meter_energy_exit(void)
{
	kvm_meter_energy_cpu_exit();
	kvm_meter_ran_exit();
	kvfree(weights);
	free_cpumask_var(busy_cpus);
	kvfree(cpus);
	kvm_meter_energy_test_end();
}
