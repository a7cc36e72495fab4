// SPDX-License-Identifier: GPL-2.0
#include "policy.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#endif

#include <kvm_harden/abi.h>

static const struct {
	const char *name;
	u32 bit;
} words[] = {
	{ "ibpb", KVM_HARDEN_IBPB },
	{ "l1d", KVM_HARDEN_L1D },
	{ "host", KVM_HARDEN_HOST },
};

#define PRIMITIVES	(KVM_HARDEN_IBPB | KVM_HARDEN_L1D)
#define BLANKS		" ,\t\n"

static u32 word_bit(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strlen(words[i].name) == len && !memcmp(words[i].name, word, len))
			return words[i].bit;
	return 0;
}

/**
 * kvm_harden_policy_parse() - Read a policy
 * @text: none, default, or any of ibpb, l1d and host, apart by blanks or commas
 * @available: primitives that there are
 * @policy: KVM_HARDEN_*; not touched on an error
 *
 * Return: 0; -EINVAL if it is not a policy, "host" without anything to do among
 * them; -EOPNOTSUPP if it asks for a primitive that is not there.
 */
int kvm_harden_policy_parse(const char *text, u32 available, u32 *policy)
{
	u32 bits = 0, alone = 0;
	unsigned int count = 0;

	for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
		size_t len = strcspn(text, BLANKS);
		u32 bit = word_bit(text, len);

		if (len == 4 && !memcmp(text, "none", len))
			alone = 1;
		else if (len == 7 && !memcmp(text, "default", len))
			alone = KVM_HARDEN_DEFAULT;
		else if (!bit || (bits & bit))
			return -EINVAL;
		bits |= bit;
		count++;
		text += len;
	}
	if (!count || (alone && count > 1))
		return -EINVAL;
	if (alone) {
		*policy = alone & KVM_HARDEN_DEFAULT;
		return 0;
	}
	if (!(bits & PRIMITIVES))
		return -EINVAL;
	if (bits & PRIMITIVES & ~available)
		return -EOPNOTSUPP;
	*policy = bits;
	return 0;
}

/** kvm_harden_policy_print() - The text that parses to a policy, with a newline */
int kvm_harden_policy_print(char *buf, size_t size, u32 policy)
{
	size_t i, len = 0;

	if (policy & KVM_HARDEN_DEFAULT)
		return scnprintf(buf, size, "default\n");
	if (!policy)
		return scnprintf(buf, size, "none\n");
	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (policy & words[i].bit)
			len += scnprintf(buf + len, size - len, "%s%s", len ? " " : "",
					 words[i].name);
	len += scnprintf(buf + len, size - len, "\n");
	return len;
}
