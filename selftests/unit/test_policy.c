// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef __u32 u32;

#include "scnprintf.h"

#include "../../kvm_harden/policy.c"

#include "tap.h"

#define BOTH	(KVM_HARDEN_IBPB | KVM_HARDEN_L1D)
#define MAGIC	0x12345678

/* In a piece of memory that ends with it, for the sanitizer. */
static int parse(const char *text, u32 available, u32 *policy)
{
	char *copy = strdup(text);
	int ret;

	*policy = MAGIC;
	ret = kvm_harden_policy_parse(copy, available, policy);
	free(copy);
	return ret;
}

static void good(const char *text, u32 want)
{
	u32 policy;
	int ret = parse(text, BOTH, &policy);

	EXPECT(!ret && policy == want, "\"%s\": %d, %x, expected %x", text, ret, policy, want);
}

static void bad(const char *text, u32 available, int error)
{
	u32 policy;
	int ret = parse(text, available, &policy);

	EXPECT(ret == -error, "\"%s\": %d, expected %d", text, ret, -error);
	EXPECT(policy == MAGIC, "\"%s\" was refused, and %x taken", text, policy);
}

static void test_good(void)
{
	good("none", 0);
	good("none\n", 0);
	good(" none\t\n", 0);
	good("default", KVM_HARDEN_DEFAULT);
	good("ibpb", KVM_HARDEN_IBPB);
	good("l1d\n", KVM_HARDEN_L1D);
	good("ibpb l1d", BOTH);
	good("l1d,ibpb", BOTH);
	good("l1d , ibpb ,\n", BOTH);
	good("host ibpb", KVM_HARDEN_IBPB | KVM_HARDEN_HOST);
	good("l1d\nhost", KVM_HARDEN_L1D | KVM_HARDEN_HOST);
	good("ibpb l1d host\n", BOTH | KVM_HARDEN_HOST);
}

static void test_bad(void)
{
	static const char *const texts[] = {
		"", "\n", " ", ",,", "x", "0", "-1", "IBPB", "ibpbl1d", "ibp", "ibpbx", "l1", "hos",
		"non", "nonee", "defaul", "defaults", "host", "host host", "ibpb ibpb",
		"ibpb,l1d,ibpb", "none ibpb", "ibpb none", "none none", "none,default",
		"default ibpb", "ibpb default", "host none", "default host", "default default",
		"ibpb+l1d", "ibpb;l1d", "ibpb l1d x", "\x01", "\xff\xff", "ibpb\x7f",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++)
		bad(texts[i], BOTH, EINVAL);
}

static void test_unavailable(void)
{
	u32 policy;

	bad("ibpb", KVM_HARDEN_L1D, EOPNOTSUPP);
	bad("ibpb l1d", KVM_HARDEN_L1D, EOPNOTSUPP);
	bad("l1d host", KVM_HARDEN_IBPB, EOPNOTSUPP);
	bad("ibpb", 0, EOPNOTSUPP);
	/* Nonsense first. */
	bad("ibpb ibpb", 0, EINVAL);
	bad("host", 0, EINVAL);
	EXPECT(!parse("none", 0, &policy) && !policy, "none is always to be had");
	EXPECT(!parse("default", 0, &policy) && policy == KVM_HARDEN_DEFAULT, "default too");
	EXPECT(!parse("l1d host", KVM_HARDEN_L1D, &policy), "l1d host");
}

static void test_print(void)
{
	static const struct {
		u32 policy;
		const char *text;
	} cases[] = {
		{ 0, "none\n" }, { KVM_HARDEN_DEFAULT, "default\n" }, { KVM_HARDEN_IBPB, "ibpb\n" },
		{ KVM_HARDEN_L1D, "l1d\n" }, { BOTH, "ibpb l1d\n" },
		{ BOTH | KVM_HARDEN_HOST, "ibpb l1d host\n" },
		{ KVM_HARDEN_L1D | KVM_HARDEN_HOST, "l1d host\n" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].text);
		char *buf = malloc(len + 1);
		u32 policy;

		EXPECT_EQ(kvm_harden_policy_print(buf, len + 1, cases[i].policy), len, "length");
		EXPECT(!strcmp(buf, cases[i].text), "%s, expected %s", buf, cases[i].text);
		EXPECT(!parse(buf, BOTH, &policy) && policy == cases[i].policy, "%s is not read",
		       buf);
		free(buf);
		for (size_t size = 1; size <= len; size++) {
			buf = malloc(size);
			EXPECT_EQ(kvm_harden_policy_print(buf, size, cases[i].policy), size - 1,
				  "length in too little room");
			EXPECT(!memcmp(buf, cases[i].text, size - 1), "%s", buf);
			free(buf);
		}
	}
}

/* Whatever is taken reads as what was meant. */
static void test_random(void)
{
	static const char *const parts[] = {
		"ibpb", "l1d", "host", "none", "default", " ", ",", "\n", "x", "ib", "\xfe",
	};
	unsigned int taken = 0;

	srandom(5);
	for (int i = 0; i < 100000; i++) {
		u32 available = random() & BOTH, policy, again;
		char text[64] = "", printed[64];

		for (int n = random() % 7; n > 0; n--)
			strcat(text, parts[random() % ARRAY_SIZE(parts)]);
		if (parse(text, available, &policy)) {
			EXPECT(policy == MAGIC, "\"%s\" was refused, and taken", text);
			continue;
		}
		taken++;
		EXPECT(!(policy & BOTH & ~available), "\"%s\" gave %x of %x", text, policy,
		       available);
		EXPECT(!(policy & KVM_HARDEN_HOST) || policy & BOTH, "\"%s\" gave %x", text,
		       policy);
		EXPECT(!(policy & KVM_HARDEN_DEFAULT) || policy == KVM_HARDEN_DEFAULT,
		       "\"%s\" gave %x", text, policy);
		kvm_harden_policy_print(printed, sizeof(printed), policy);
		EXPECT(!parse(printed, available, &again) && again == policy, "\"%s\": %s", text,
		       printed);
	}
	EXPECT(taken > 1000, "%u texts were policies", taken);
}

static const struct tap_test tests[] = {
	{ "policies", test_good, 0 },
	{ "nonsense", test_bad, 0 },
	{ "what the CPU does not have", test_unavailable, 0 },
	{ "printed and read", test_print, 0 },
	{ "random text", test_random, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
