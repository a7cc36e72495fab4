// SPDX-License-Identifier: GPL-2.0
#include "../../kvm_meter/escape.c"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

static void expect(const char *in, size_t size, const char *want)
{
	char *out = malloc(size);	/* the sanitizer watches its end */
	size_t len = escape_text(out, size, in);

	EXPECT(!strcmp(out, want), "\"%s\", expected \"%s\"", out, want);
	EXPECT_EQ(len, strlen(want), "length");
	free(out);
}

static void test_text(void)
{
	expect("", 1, "");
	expect("qemu-system-x86", 64, "qemu-system-x86");
	expect("a b", 64, "a b");
	expect("a\nb", 64, "a\\x0ab");
	expect("\x1b[2J", 64, "\\x1b[2J");
	expect("\\x0a", 64, "\\x5cx0a");
	expect("\x7f\x80\xff", 64, "\\x7f\\x80\\xff");
	expect("~ ", 64, "~ ");
}

static void test_full(void)
{
	expect("abc", 1, "");
	expect("abc", 3, "ab");
	expect("abc", 4, "abc");
	expect("\n", 4, "");
	expect("\n", 5, "\\x0a");
	expect("a\n", 5, "a");
	/* The longest process name fits. */
	expect("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 64,
	       "\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a");
}

static void test_random(void)
{
	char in[64];

	srandom(3);
	for (int i = 0; i < 20000; i++) {
		size_t n = random() % (sizeof(in) - 1), size = 1 + random() % 100;
		char *out = malloc(size);

		for (size_t j = 0; j < n; j++)
			in[j] = 1 + random() % 255;
		in[n] = 0;
		EXPECT(escape_text(out, size, in) < size, "longer than its room");
		for (char *p = out; *p; p++)
			EXPECT(*p >= ' ' && *p < 0x7f, "byte %02x", (unsigned char)*p);
		free(out);
	}
}

static const struct tap_test tests[] = {
	{ "escape: what a person may see", test_text, 0 },
	{ "escape: no room, and never half a sequence", test_full, 0 },
	{ "escape: random bytes", test_random, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
