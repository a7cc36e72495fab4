// SPDX-License-Identifier: GPL-2.0
#include "energy.h"

#include <string.h>

static bool try_totals(struct energy_totals *t)
{
#define READ(type, name, desc) t->name = meter_u64("energy/" #name);
	KVM_METER_ENERGY(READ)
#undef READ
	/* Those that were read first and last. */
	return meter_u64("energy/package_uj") == t->package_uj &&
	       meter_u64("energy/readings") == t->readings;
}

void energy_totals(struct energy_totals *t)
{
	__u64 sum;

	REQUIRE(WAIT_FOR(try_totals(t), 10000), "energy/ does not stand still");
	sum = t->idle_uj + t->vms_uj + t->host_uj;
	EXPECT(sum <= t->package_uj && t->package_uj <= sum + 2,
	       "idle %llu, VMs %llu and host %llu are %llu uJ, the packages %llu", t->idle_uj,
	       t->vms_uj, t->host_uj, sum, t->package_uj);
}

void energy_wait(unsigned int nr, struct energy_totals *t)
{
	__u64 from = meter_u64("energy/readings");

	REQUIRE(WAIT_FOR(meter_u64("energy/readings") > from + nr, 30000),
		"no %u readings after %llu", nr, from);
	energy_totals(t);
}

void energy_expect_status(void)
{
	char text[128] = "";

	meter_file(text, sizeof(text), "status");
	EXPECT(!strcmp(text, MADE_UP), "status: %s", text);
	meter_file(text, sizeof(text), "energy/source");
	EXPECT(strstr(text, "test") && strstr(text, "not to be billed"), "source: %s", text);
	EXPECT_EQ(meter_u64("health/energy_gaps"), 0, "health/energy_gaps");
}

void energy_load(const char *params)
{
	int ret;

	meter_cleanup();
	ret = meter_load(params);
	REQUIRE(!ret, "insmod kvm_meter %s: %s", params, strerror(-ret));
	energy_expect_status();
}

void energy_learn(void)
{
	struct energy_totals t;

	pin_thread(0, 0);
	sleep_ms(300);
	burn_ns(300 * NSEC_PER_MSEC);
	sleep_ms(200);
	energy_totals(&t);
	EXPECT_NEAR(t.idle_uw, IDLE_UW, t.idle_error_uw + IDLE_UW / 50, "idle_uw");
	EXPECT(t.idle_error_uw < IDLE_UW / 10, "idle_error_uw %llu", t.idle_error_uw);
}

void energy_load_and_learn(const char *params)
{
	need_cpus(2);
	energy_load(params);
	energy_learn();
}
