// SPDX-License-Identifier: GPL-2.0
/* What kvm_harden refuses: every kind of nonsense, with its errno, and nothing changes. */
#include "model.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY	65534

static struct model *m;
static struct model_vm *a;

static void one_vm(void)
{
	m = model_new();
	a = model_vm(m, 1, 0);
}

static void too_long(char *buf, size_t size, const char *word)
{
	size_t len = 0;

	while (len + strlen(word) + 1 < size)
		len += snprintf(buf + len, size - len, "%s", word);
}

/* A write of @text to @path gives @error, and @path reads as before. */
static void refused(const char *text, int error, const char *path)
{
	char before[256] = "", after[256] = "";
	int ret;

	harden_file(before, sizeof(before), "%s", path);
	ret = harden_write(text, "%s", path);
	EXPECT(ret == -error, "\"%.40s\" to %s: %s, expected %s", text, path, strerror(-ret),
	       strerror(error));
	harden_file(after, sizeof(after), "%s", path);
	EXPECT(!strcmp(before, after), "\"%.40s\" to %s: was %s, is %s", text, path, before,
	       after);
}

static void taken(const char *text, const char *path, const char *reads)
{
	harden_set(text, "%s", path);
	harden_expect(reads, "%s", path);
}

static void test_mode(void)
{
	static const char *const bad[] = {
		"\n", " ", "x\n", "ON\n", "1\n", "0\n", "onn\n", "on on\n", " on\n", "on\n\n",
		"dry run\n", "dryrun\n", "dry-run on\n", "-1\n", "off,on\n",
	};
	char text[3000];

	one_vm();
	for (int i = 0; i < 2; i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(bad); k++)
			refused(bad[k], EINVAL, "flush/mode");
		too_long(text, sizeof(text), "on");
		refused(text, EINVAL, "flush/mode");
		taken("dry-run\n", "flush/mode", "dry-run");
	}
	taken("on", "flush/mode", "on");
	taken("off\n", "flush/mode", "off");
}

static const char *const bad_policies[] = {
	"\n", " ", ",", ", ,", "x\n", "IBPB\n", "ibpbl1d\n", "ibpb ibpb\n", "l1d,l1d\n",
	"host\n", "host host\n", "host,\n", "ibpb host host\n", "none ibpb\n", "ibpb none\n",
	"none none\n", "none host\n", "default ibpb\n", "ibpb default\n", "default none\n",
	"default default\n", "ibpb x\n", "0\n", "1\n", "-1\n", "3\n", "ibpb;l1d\n", "ibpb+l1d\n",
	"ibpb|l1d\n", "all\n", "ib\n", "nones\n", "defaults\n",
};

static void test_policy(void)
{
	static const struct {
		const char *text, *reads;
	} good[] = {
		{ "none", "none" }, { "none\n", "none" }, { "\tnone ,", "none" },
		{ "default\n", "default" }, { "ibpb\n", "ibpb" }, { "l1d", "l1d" },
		{ "l1d ibpb\n", "ibpb l1d" }, { "host,l1d,ibpb\n", "ibpb l1d host" },
		{ "l1d,\thost\n", "l1d host" }, { ",ibpb,\n", "ibpb" },
	};
	char text[3000], path[64];

	one_vm();
	snprintf(path, sizeof(path), "vms/%llu/flush", a->id);
	harden_expect("default", "%s", path);
	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		taken(good[i].text, path, good[i].reads);
		for (unsigned int k = 0; k < ARRAY_SIZE(bad_policies); k++)
			refused(bad_policies[k], EINVAL, path);
	}
	too_long(text, sizeof(text), "ibpb ");
	refused(text, EINVAL, path);
	too_long(text, sizeof(text), "x");
	refused(text, EINVAL, path);
	too_long(text, sizeof(text), " ");
	refused(text, EINVAL, path);
}

static void test_default(void)
{
	one_vm();
	for (unsigned int k = 0; k < ARRAY_SIZE(bad_policies); k++)
		refused(bad_policies[k], EINVAL, "flush/default");
	/* The default cannot be itself. */
	refused("default\n", EINVAL, "flush/default");
	taken("none\n", "flush/default", "none");
	refused("default\n", EINVAL, "flush/default");
	taken("host ibpb\n", "flush/default", "ibpb host");
	taken("l1d ibpb\n", "flush/default", "ibpb l1d");
}

static void test_domain(void)
{
	static const struct {
		const char *text;
		int error;
	} bad[] = {
		{ "\n", EINVAL }, { " ", EINVAL }, { "x\n", EINVAL }, { "-1\n", EINVAL },
		{ "-0\n", EINVAL }, { "1 1\n", EINVAL }, { "1x\n", EINVAL }, { "0x1\n", EINVAL },
		{ "1.0\n", EINVAL }, { "1\n\n", EINVAL }, { " 1\n", EINVAL },
		{ "4294967296\n", ERANGE }, { "99999999999999999999\n", ERANGE },
		{ "18446744073709551616\n", ERANGE }, { "default\n", EINVAL },
	};
	static const struct {
		const char *text, *reads;
	} good[] = {
		{ "1\n", "1" }, { "4294967295", "4294967295" }, { "007\n", "7" }, { "+1\n", "1" },
		{ "0\n", "0" },
	};
	char text[3000], path[64];

	one_vm();
	snprintf(path, sizeof(path), "vms/%llu/domain", a->id);
	harden_expect("0", "%s", path);
	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		taken(good[i].text, path, good[i].reads);
		for (unsigned int k = 0; k < ARRAY_SIZE(bad); k++)
			refused(bad[k].text, bad[k].error, path);
	}
	too_long(text, sizeof(text), "1");
	refused(text, ERANGE, path);
}

/* Without assume= there is what CPUID announces only. */
static void test_unavailable(void)
{
	char path[64], buf[256] = "";
	bool real_ibpb;

	harden_reload(NULL, "");
	one_vm();
	harden_file(buf, sizeof(buf), "flush/available");
	tap_diag("%s", buf);
	real_ibpb = harden_available() & KVM_HARDEN_IBPB;
	EXPECT(harden_available() & KVM_HARDEN_L1D, "an L1D can always be flushed");
	EXPECT(!strstr(buf, "assumed"), "assumed without assume=");
	harden_expect("off", "status");
	harden_set("on\n", "flush/mode");
	harden_expect("on", "status");
	harden_set("off\n", "flush/mode");
	snprintf(path, sizeof(path), "vms/%llu/flush", a->id);
	if (!real_ibpb) {
		refused("ibpb\n", EOPNOTSUPP, path);
		refused("l1d,ibpb\n", EOPNOTSUPP, path);
		refused("ibpb host\n", EOPNOTSUPP, path);
		refused("ibpb\n", EOPNOTSUPP, "flush/default");
		/* Nonsense is nonsense first. */
		refused("ibpb ibpb\n", EINVAL, path);
		EXPECT(!harden_exists("flush/ibpb_cost_ns"), "a cost of what is not there");
		harden_expect("l1d", "flush/default");
	}
	taken("l1d\n", path, "l1d");
	EXPECT(harden_u64("flush/l1d_cost_ns"), "l1d_cost_ns is 0");
	harden_reload(NULL, HARDEN_ASSUME);
}

static void test_assume(void)
{
	static const char *const bad[] = {
		"assume=x", "assume=IBPB", "assume=ibpb,x", "assume=ibpb;l1d", "assume=l1dd",
		"assume=1", "assume=ibpb+l1d", "assume=none",
		"mode=x", "mode=", "mode=1", "mode=ON", "mode=onn",
		"fail_init_step=x", "fail_init_step=",
	};
	char buf[256] = "";
	int ret;

	ret = harden_unload();
	REQUIRE(!ret, "rmmod: %s", strerror(-ret));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ret = harden_load(bad[i]);
		EXPECT(ret == -EINVAL, "insmod %s: %s", bad[i], strerror(-ret));
		EXPECT(!harden_loaded() && !file_exists(HARDEN_SYSFS), "%s left something", bad[i]);
		if (!ret)
			harden_unload();
	}
	ret = harden_load("assume=l1d,ibpb mode=dry-run");
	REQUIRE(!ret, "insmod: %s", strerror(-ret));
	harden_expect("dry-run", "flush/mode");
	harden_file(buf, sizeof(buf), "flush/available");
	tap_diag("%s", buf);
	EXPECT_EQ(harden_available(), HARDEN_PRIMITIVES, "available");
	if (strstr(buf, "assumed")) {
		harden_file(buf, sizeof(buf), "status");
		EXPECT(strstr(buf, "dry-run, NOT PROTECTED"), "status: %s", buf);
	}
	EXPECT_EQ(-harden_load(HARDEN_ASSUME), EEXIST, "errno of a second insmod");
	harden_expect("dry-run", "flush/mode");
	harden_unload();
	ret = harden_load("mode=on");
	REQUIRE(!ret, "insmod: %s", strerror(-ret));
	harden_expect("on", "flush/mode");
	harden_reload(NULL, HARDEN_ASSUME);
}

static void each_attribute(void (*fn)(const char *path, bool writable))
{
	static const char *const ro[] = {
		"version", "abi_version", "status", "flush/available", "flush/kvm",
		"flush/ibpb_cost_ns", "flush/l1d_cost_ns", "maps/kvm_harden_vm",
	};
	static const char *const counters[] = {
#define NAME(name, desc) #name,
		KVM_HARDEN_COUNTERS(NAME)
#undef NAME
	};
	char path[128];

	for (unsigned int i = 0; i < ARRAY_SIZE(ro); i++)
		fn(ro[i], false);
	fn("flush/mode", true);
	fn("flush/default", true);
	for (unsigned int i = 0; i < ARRAY_SIZE(counters); i++) {
		snprintf(path, sizeof(path), "flush/%s", counters[i]);
		fn(path, false);
		snprintf(path, sizeof(path), "vms/%llu/%s", a->id, counters[i]);
		fn(path, false);
	}
	snprintf(path, sizeof(path), "vms/%llu/domain", a->id);
	fn(path, true);
	snprintf(path, sizeof(path), "vms/%llu/flush", a->id);
	fn(path, true);
}

static void try_root(const char *path, bool writable)
{
	char full[256];
	struct stat st;

	snprintf(full, sizeof(full), HARDEN_SYSFS "/%s", path);
	REQUIRE(!stat(full, &st), "%s: %s", full, strerror(errno));
	EXPECT((st.st_mode & 07777) == (writable ? 0644 : 0444), "%s has mode %o", path,
	       st.st_mode & 07777);
	if (!writable) {
		/* Root may open what is 0444; sysfs refuses it then. */
		int ret = harden_write("1\n", "%s", path);

		EXPECT(ret == -EACCES || ret == -EIO || ret == -EPERM, "a write of %s: %s", path,
		       strerror(-ret));
	}
}

static void try_user(const char *path, bool writable)
{
	char buf[256];

	(void)writable;
	EXPECT_EQ(-harden_write("1\n", "%s", path), EACCES, path);
	EXPECT(harden_file(buf, sizeof(buf), "%s", path) >= 0, "a user cannot read %s", path);
}

static void as_user(void *arg)
{
	(void)arg;
	REQUIRE(!setgid(NOBODY) && !setuid(NOBODY), "setuid");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	each_attribute(try_user);
}

static void test_read_only(void)
{
	one_vm();
	each_attribute(try_root);
}

static void test_user(void)
{
	one_vm();
	EXPECT_EQ(wait_child(spawn(as_user, NULL)), 0, "status of the user's process");
}

/* Nonsense under running guests: the flushes go on as they were told to. */
static void test_running(void)
{
	struct model_vm *b;
	char path[64];

	need_cpus(2);
	one_vm();
	b = model_vm(m, 1, 0);
	model_begin(m, "on");
	for (int i = 0; i < 2; i++) {
		struct model_vm *vm = i ? b : a;

		vcpu_program(vm->v, guest_spin_io, 0, 0);
		vm->v->yield = true;
		vcpu_start(vm->v, 1);
	}
	snprintf(path, sizeof(path), "vms/%llu/domain", a->id);
	for (unsigned int k = 0; k < ARRAY_SIZE(bad_policies); k++) {
		refused(bad_policies[k], EINVAL, "flush/default");
		refused(bad_policies[k], EINVAL, "flush/mode");
		refused("x\n", EINVAL, path);
	}
	a->v->data->stop = 1;
	b->v->data->stop = 1;
	vcpu_join(a->v);
	vcpu_join(b->v);
	model_end(m);
	EXPECT(m->got.switches > 2, "%llu switches", m->got.switches);
}

static const struct tap_test tests[] = {
	{ "bad modes are refused", test_mode, 0 },
	{ "bad policies are refused", test_policy, 0 },
	{ "bad defaults are refused", test_default, 0 },
	{ "bad domains are refused", test_domain, 0 },
	{ "what the CPU does not have is refused", test_unavailable, 0 },
	{ "bad parameters are refused", test_assume, 0 },
	{ "what is read-only cannot be written", test_read_only, 0 },
	{ "a user can write nothing", test_user, 0 },
	{ "nonsense under running guests", test_running, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
