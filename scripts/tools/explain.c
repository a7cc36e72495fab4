// SPDX-License-Identifier: GPL-2.0
/* kvmmeter explain: what the numbers of a VM say, in plain words */
#include "kvmmeter.h"
#include "out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double percent(ull part, ull whole)
{
	return whole ? 100.0 * part / whole : 0;
}

static void advice(const struct km_sum *s)
{
	double steal = percent(s->steal_ns, s->wall_ns);
	double host = percent(s->host_ns, s->guest_ns + s->host_ns);

	if (percent(s->throttled_ns, s->wall_ns) >= 5)
		printf("  Its cpu.max held it back for %.0f%% of the time: raise it, or sell it more.\n",
		       percent(s->throttled_ns, s->wall_ns));
	if (steal - percent(s->throttled_ns, s->wall_ns) >= 5)
		printf("  It wanted more CPU than it got: others on this host had it for %.0f%% of the time.\n",
		       steal - percent(s->throttled_ns, s->wall_ns));
	if (percent(s->blocked_ns, s->wall_ns) >= 5)
		printf("  For %.0f%% of the time it was stuck in the host (swap, userfaultfd, a lock), not halted.\n",
		       percent(s->blocked_ns, s->wall_ns));
	if (host >= 20 && s->guest_ns + s->host_ns > s->wall_ns / 20)
		printf("  Of the CPU time spent on it, %.0f%% went to KVM and the VMM: look at its exit reasons.\n",
		       host);
}

static void explain(const struct km *km, const char *raw, ull id, unsigned int vcpus,
		    const struct km_sum *s, const struct kvm_meter_vm *rec, bool ended)
{
	const char *is = ended ? "was" : "has been";
	char name[4 * KM_NAME_LEN], a[OUT_LEN], b[OUT_LEN];
	unsigned int order[KVM_METER_REASONS], n, i, most = 0;

	out_escape(raw, name, sizeof(name));
	printf("%s (VM %llu) %s here with %u vCPU%s for %s of vCPU time.\n", name, id, is, vcpus,
	       vcpus == 1 ? "" : "s", out_ns(s->wall_ns, a));
	printf("  It computed for %s (%.1f%%) and slept for %s ", out_ns(s->guest_ns, a),
	       percent(s->guest_ns, s->wall_ns), out_ns(s->idle_ns, b));
	printf("(%.1f%%).\n", percent(s->idle_ns, s->wall_ns));
	printf("  KVM and the VMM worked %s for it (%.1f%%); ", out_ns(s->host_ns, a),
	       percent(s->host_ns, s->wall_ns));
	printf("it waited %s for a CPU (%.1f%%).\n", out_ns(s->steal_ns, b),
	       percent(s->steal_ns, s->wall_ns));
	printf("  Beside its vCPUs the VMM worked %s, and kernel threads %s.\n", out_ns(s->vmm_ns, a),
	       out_ns(s->vhost_ns, b));
	printf("  Its disks took %s bytes and gave %s; ", out_count(s->disk_write_bytes, a),
	       out_count(s->disk_read_bytes, b));
	printf("it sent %s bytes and received %s.\n", out_count(s->net_tx_bytes, a),
	       out_count(s->net_rx_bytes, b));
	n = km_top_reasons(s->r, order, KVM_METER_REASONS);
	for (i = 0; i < n; i++)
		if (s->r[order[i]].count > s->r[order[most]].count)
			most = i;
	if (n) {
		const struct kvm_meter_vm_reason *r = &s->r[order[most]];

		printf("  It left the guest %s times for %u reasons, mostly for %s: ",
		       out_count(s->exits, a), n, km_reason_name(km, order[most]));
		printf("%s times, %s each.\n", out_count(r->count, a),
		       out_ns(r->count ? r->time_ns / r->count : 0, b));
	}
	if (km_has_energy(rec))
		printf("  Its vCPUs used %s of the host's energy.\n", km_energy(rec, a, sizeof(a)));
	advice(s);
	printf("\n");
}

int cmd_explain(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	struct kvm_meter_vm rec;
	struct km_ident id;
	struct km_snap s;
	struct km_sum sum;
	unsigned int shown = 0;
	struct km km;
	uint32_t i, r;

	if (argc > 2)
		km_usage("explain takes one VM at most");
	if (only && !strncmp(only, "--", 2))
		km_usage("explain is for people and takes no %s; see 'show VM --json'", only);
	km_open(&km);
	km_snap_take(&km, &s, NULL);
	for (i = 0; i < s.nvm; i++) {
		if (!km_matches(s.vm[i].id, &s.vm[i].rec, &s.vm[i].ident, only))
			continue;
		km_vm_total(&s.vm[i], &sum);
		explain(&km, s.vm[i].ident.name, s.vm[i].id, s.vm[i].nvcpu, &sum,
			&s.vm[i].rec, false);
		shown++;
	}
	for (i = 0; i < km.ended.n; i++) {
		if (!km_read_vm(&km.ended, i, &rec))
			continue;
		km_identify(&rec, &id);
		if (!km_matches(rec.vm_id, &rec, &id, only))
			continue;
#define COPY(field, desc) sum.field = rec.field;
		KVM_METER_COUNTERS(COPY)
		KVM_METER_VM_COUNTERS(COPY)
#undef COPY
		for (r = 0; r < KVM_METER_REASONS; r++)
			sum.r[r] = rec.reasons[r];
		explain(&km, id.name, rec.vm_id, rec.vcpus, &sum, &rec, true);
		shown++;
	}
	if (!shown && only)
		km_die("no VM has the id, name, uuid or pid '%s': see 'kvmmeter list' and 'kvmmeter ended'",
		       only);
	if (!shown)
		puts("No VM has run under KVM since the meter came.");
	km_snap_free(&s);
	return 0;
}

int cmd_slot(int argc, char **argv)
{
	const struct km_vm *vm = NULL;
	struct km_snap s;
	struct km km;
	unsigned int i;

	if (argc < 2 || argc > 3)
		km_usage("slot wants a VM and, if not its first one, a vCPU");
	km_open(&km);
	km_snap_take(&km, &s, NULL);
	vm = km_find_vm(&s, argv[1]);
	for (i = 0; i < vm->nvcpu; i++) {
		if (argc == 3 && vm->vcpu[i].h.vcpu_id != strtoul(argv[2], NULL, 10))
			continue;
		printf("%u\n", vm->vcpu[i].slot);
		return 0;
	}
	km_die("VM %llu has no such vCPU: see 'kvmmeter show %llu'", (ull)vm->id, (ull)vm->id);
}
