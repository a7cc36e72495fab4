// SPDX-License-Identifier: GPL-2.0
#include "zone_parse.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <stdio.h>
#include <string.h>
#endif

#define BLANKS	" \t\n"

const char * const zone_actions[ZONE_ACTIONS] = {
	[ZONE_STOP] = "stop",
	[ZONE_FAULT] = "fault",
	[ZONE_KILL] = "kill",
	[ZONE_LOG] = "log",
};

static const char * const ways[ZONE_WAYS] = { "emulator", "paravirt", "device", "alias" };

/* A value: text that ends with the field. */
struct value {
	const char *text;
	size_t len;
};

static int digit(char c, unsigned int base)
{
	int d = -1;

	if (c >= '0' && c <= '9')
		d = c - '0';
	else if (c >= 'a' && c <= 'f')
		d = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		d = c - 'A' + 10;
	return d < (int)base ? d : -1;
}

static int parse_number(struct value v, unsigned int base, u64 *out)
{
	u64 n = 0;
	size_t i;

	if (base == 16 && v.len > 2 && v.text[0] == '0' && (v.text[1] | 0x20) == 'x') {
		v.text += 2;
		v.len -= 2;
	}
	if (!v.len)
		return -EINVAL;
	for (i = 0; i < v.len; i++) {
		int d = digit(v.text[i], base);

		if (d < 0 || n > (~0ull - d) / base)
			return -EINVAL;
		n = n * base + d;
	}
	*out = n;
	return 0;
}

static int parse_vm(struct value v, struct zone_spec *spec)
{
	return parse_number(v, 10, &spec->vm) ?: spec->vm ? 0 : -EINVAL;
}

static int parse_gpa(struct value v, struct zone_spec *spec)
{
	return parse_number(v, 16, &spec->gpa);
}

static int parse_size(struct value v, struct zone_spec *spec)
{
	return parse_number(v, 16, &spec->size);
}

static int parse_deny(struct value v, struct zone_spec *spec)
{
	size_t i;

	for (i = 0; i < v.len; i++) {
		u32 bit = v.text[i] == 'r' ? ZONE_R : v.text[i] == 'w' ? ZONE_W :
			  v.text[i] == 'x' ? ZONE_X : 0;

		if (!bit || (spec->deny & bit))
			return -EINVAL;
		spec->deny |= bit;
	}
	return spec->deny ? 0 : -EINVAL;
}

static int find_word(const char *const *words, int n, const char *text, size_t len)
{
	int i;

	for (i = 0; i < n; i++)
		if (strlen(words[i]) == len && !memcmp(words[i], text, len))
			return i;
	return -EINVAL;
}

static int parse_action(struct value v, struct zone_spec *spec)
{
	int i = find_word(zone_actions, ZONE_ACTIONS, v.text, v.len);

	if (i < 0)
		return i;
	spec->action = i;
	return 0;
}

static int parse_name(struct value v, struct zone_spec *spec)
{
	size_t i;

	if (!v.len || v.len >= ZONE_NAME_LEN)
		return -EINVAL;
	for (i = 0; i < v.len; i++)
		if (v.text[i] <= ' ' || v.text[i] > '~')
			return -EINVAL;
	memcpy(spec->name, v.text, v.len);
	return 0;
}

static int parse_allow(struct value v, struct zone_spec *spec)
{
	size_t at = 0;

	do {
		size_t len = 0;
		int i;

		while (at + len < v.len && v.text[at + len] != ',')
			len++;
		i = find_word(ways, ZONE_WAYS, v.text + at, len);
		if (i < 0 || (spec->allow & (1u << i)))
			return -EINVAL;
		spec->allow |= 1u << i;
		at += len + 1;
	} while (at <= v.len);
	return 0;
}

static const struct {
	const char *name, *why;
	int (*parse)(struct value v, struct zone_spec *spec);
	bool needed;
} fields[] = {
	{ "vm", "vm= takes the id of a VM, as in vms/", parse_vm, true },
	{ "gpa", "gpa= takes a hexadecimal number", parse_gpa, true },
	{ "size", "size= takes a hexadecimal number", parse_size, true },
	{ "deny", "deny= takes letters of rwx, each once", parse_deny, true },
	{ "action", "action= takes stop, fault, kill or log", parse_action, true },
	{ "name", "name= takes up to 31 printable characters without blanks", parse_name, false },
	{ "allow", "allow= takes emulator, paravirt, device or alias, with commas between",
	  parse_allow, false },
};

#define FIELDS	(sizeof(fields) / sizeof(*fields))

static int find_field(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < FIELDS; i++) {
		size_t n = strlen(fields[i].name);

		if (len > n && text[n] == '=' && !memcmp(text, fields[i].name, n))
			return i;
	}
	return -EINVAL;
}

static int check(const struct zone_spec *spec, const char **why)
{
	*why = "gpa and size are hexadecimal, multiples of 0x1000, size is not 0";
	if (!spec->size || (spec->gpa | spec->size) & 0xfff)
		return -EINVAL;
	*why = "gpa + size is beyond what a guest can address (52 bits)";
	if (spec->gpa >> 52 || spec->size > (1ull << 52) - spec->gpa)
		return -EINVAL;
	return 0;
}

/**
 * zone_parse() - Read the description of a zone
 * @text: fields "name=value", apart by blanks, in any order
 * @spec: filled in
 * @why: what is wrong with it
 *
 * Return: 0 or -EINVAL.
 */
int zone_parse(const char *text, struct zone_spec *spec, const char **why)
{
	u32 seen = 0;
	size_t i;

	memset(spec, 0, sizeof(*spec));
	for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
		size_t len = strcspn(text, BLANKS), skip;
		int f = find_field(text, len);

		*why = "the fields are vm= gpa= size= deny= action= [name=] [allow=], each once";
		if (f < 0 || (seen & (1u << f)))
			return -EINVAL;
		seen |= 1u << f;
		*why = fields[f].why;
		skip = strlen(fields[f].name) + 1;
		if (fields[f].parse((struct value){ text + skip, len - skip }, spec))
			return -EINVAL;
		text += len;
	}
	for (i = 0; i < FIELDS; i++) {
		if (!fields[i].needed || (seen & (1u << i)))
			continue;
		*why = "vm=, gpa=, size=, deny= and action= are all needed";
		return -EINVAL;
	}
	return check(spec, why);
}

int zone_print_deny(char *buf, size_t size, u32 deny)
{
	return scnprintf(buf, size, "%s%s%s", deny & ZONE_R ? "r" : "", deny & ZONE_W ? "w" : "",
			 deny & ZONE_X ? "x" : "");
}

int zone_print_ways(char *buf, size_t size, u32 set)
{
	int i, len = 0;

	for (i = 0; i < ZONE_WAYS; i++)
		if (set & (1u << i))
			len += scnprintf(buf + len, size - len, "%s%s", len ? " " : "", ways[i]);
	return len;
}
