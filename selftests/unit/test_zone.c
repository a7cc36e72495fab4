// SPDX-License-Identifier: GPL-2.0
/* The union of zones against one worked out place by place, and their texts. */
#include <errno.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scnprintf.h"

#include "../../kvm_harden/zone_map.c"
#include "../../kvm_harden/zone_parse.c"

#include "tap.h"

#define PLACES	64
#define RANGES	12

/* What ranges say of a place: -1 none does, otherwise all that is denied. */
static int at(const struct zone_seg *segs, unsigned int n, u64 place)
{
	int deny = -1;

	for (unsigned int i = 0; i < n; i++)
		if (segs[i].start <= place && place < segs[i].end)
			deny = (deny < 0 ? 0 : deny) | segs[i].deny;
	return deny;
}

static void check_union(const struct zone_seg *in, unsigned int n)
{
	struct zone_edge *edges = malloc(2 * n * sizeof(*edges) + 1);
	struct zone_seg *out = malloc(2 * n * sizeof(*out) + 1);
	unsigned int count = zone_union(in, n, edges, out);

	for (u64 place = 0; place <= PLACES; place++) {
		const struct zone_seg *seg = zone_find(out, count, place);
		int want = at(in, n, place);
		int got = seg && seg->start <= place ? (int)seg->deny : -1;

		EXPECT(got == want, "%u ranges, place %llu: %d, expected %d", n, place, got, want);
	}
	for (unsigned int i = 1; i < count; i++)
		EXPECT(out[i].start > out[i - 1].end || (out[i].start == out[i - 1].end &&
							 out[i].deny != out[i - 1].deny),
		       "ranges %u and %u are one or overlap", i - 1, i);
	free(edges);
	free(out);
}

static void test_union(void)
{
	struct zone_seg in[RANGES];

	srand(1);
	for (int round = 0; round < 20000; round++) {
		unsigned int n = rand() % (RANGES + 1);

		for (unsigned int i = 0; i < n; i++) {
			in[i].start = rand() % PLACES;
			in[i].end = in[i].start + 1 + rand() % (PLACES - in[i].start);
			in[i].deny = rand() % 16;
		}
		check_union(in, n);
	}
}

static void good(const char *text, u64 vm, u64 gpa, u64 size, u32 deny, enum zone_action action,
		 const char *name, u32 allow)
{
	struct zone_spec s;
	const char *why = "";
	int ret = zone_parse(text, &s, &why);

	EXPECT(!ret, "\"%s\": %d, %s", text, ret, why);
	EXPECT(ret || (s.vm == vm && s.gpa == gpa && s.size == size && s.deny == deny &&
		       s.action == action && !strcmp(s.name, name) && s.allow == allow),
	       "\"%s\" was read as something else", text);
}

static void test_good(void)
{
	good("vm=1 gpa=1000 size=2000 deny=rwx action=stop", 1, 0x1000, 0x2000, 7, ZONE_STOP, "",
	     0);
	good("action=kill\tdeny=xw size=0X1000 gpa=0xFF000 vm=12 name=a=b\n", 12, 0xff000, 0x1000,
	     6, ZONE_KILL, "a=b", 0);
	good("vm=2 gpa=0 size=ffffffffff000 deny=w action=log allow=alias,emulator", 2, 0,
	     0xffffffffff000, 2, ZONE_LOG, "", ZONE_ALIAS | ZONE_EMULATOR);
	good(" vm=3  gpa=ffffffffff000 size=1000 deny=r action=fault ", 3, 0xffffffffff000, 0x1000,
	     1, ZONE_FAULT, "", 0);
}

#define REST	" deny=w action=stop"

static void test_bad(void)
{
	static const char *const texts[] = {
		"", "\n", "vm=1", "vm=1 gpa=1000 size=1000 deny=w", "vm=0 gpa=0 size=1000" REST,
		"vm= gpa=0 size=1000" REST, "vm=1 gpa= size=1000" REST, "vm=1 gpa=0 size=" REST,
		"vm=1 gpa=0x size=1000" REST, "vm=1 gpa=g size=1000" REST,
		"vm=1 gpa=1 size=1000" REST, "vm=1 gpa=0 size=0" REST, "vm=1 gpa=0 size=fff" REST,
		"vm=1 gpa=ffffffffff000 size=2000" REST, "vm=1 gpa=10000000000000 size=1000" REST,
		"vm=1 gpa=10000000000001000 size=1000" REST, "vm=0x1 gpa=0 size=1000" REST,
		"vm=18446744073709551616 gpa=0 size=1000" REST, "vm=-1 gpa=0 size=1000" REST,
		"vm=1 vm=1 gpa=0 size=1000" REST, "vm=1 gpa=0 size=1000 x" REST,
		"vm=1 gpa=0 size=1000 x=1" REST, "vm=1 gpa=0 size=1000 name=" REST,
		"vm=1 gpa=0 size=1000 name=0123456789012345678901234567890x" REST,
		"vm=1 gpa=0 size=1000 name=\x7f" REST, "vm=1 gpa=0 size=1000 allow=" REST,
		"vm=1 gpa=0 size=1000 allow=alias," REST, "vm=1 gpa=0 size=1000 allow=,alias" REST,
		"vm=1 gpa=0 size=1000 allow=alias,alias" REST,
		"vm=1 gpa=0 size=1000 allow=all" REST, "vm=1 gpa=0 size=1000 deny= action=stop",
		"vm=1 gpa=0 size=1000 deny=ww action=stop",
		"vm=1 gpa=0 size=1000 deny=rwxx action=stop",
		"vm=1 gpa=0 size=1000 deny=W action=stop", "vm=1 gpa=0 size=1000 deny=w action=",
		"vm=1 gpa=0 size=1000 deny=w action=halt",
		"vm=1 gpa=0 size=1000 deny=w action=stops", "vm=1,gpa=0,size=1000" REST,
	};
	struct zone_spec s;
	const char *why;

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		why = NULL;
		EXPECT(zone_parse(texts[i], &s, &why) == -EINVAL, "\"%s\" was taken", texts[i]);
		EXPECT(why && *why, "\"%s\" was refused without a reason", texts[i]);
	}
}

static void test_print(void)
{
	char buf[64];

	zone_print_deny(buf, sizeof(buf), ZONE_X | ZONE_R);
	EXPECT(!strcmp(buf, "rx"), "deny: %s", buf);
	buf[0] = '\0';
	EXPECT(!zone_print_ways(buf, sizeof(buf), 0), "no ways: %s", buf);
	zone_print_ways(buf, sizeof(buf), ZONE_ALIAS | ZONE_EMULATOR);
	EXPECT(!strcmp(buf, "emulator alias"), "ways: %s", buf);
}

static const struct tap_test tests[] = {
	{ "the union of ranges", test_union, 0 },
	{ "texts that are zones", test_good, 0 },
	{ "texts that are none", test_bad, 0 },
	{ "what is printed", test_print, 0 },
};

int main(int argc, char **argv)
{
	const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
