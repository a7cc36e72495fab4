// SPDX-License-Identifier: GPL-2.0
/*
 * Texts that are no zone: a table of them, and thousands that a generator makes.
 * None makes a zone, and none changes anything.
 */
#include "zone_vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL		(2 * ZONE_HUGE)
#define FUZZ		repeats(20000)
#define SEED		20261123u
#define MAX_TEXT	160

static struct zone_vm *z;
static __u64 standing;

/* A VM with a zone that has to stay as it is. */
static void start(void)
{
	z = zone_vm_new(1, SMALL, ZONE_ANON);
	standing = zone_must(z, ZONE_GPA + ZONE_HUGE, ZONE_PAGE, "rwx", " name=standing");
}

static unsigned int zones(void)
{
	DIR *dir = opendir(HARDEN_SYSFS "/zones");
	unsigned int nr = 0;
	struct dirent *e;

	REQUIRE(dir, "zones: %s", strerror(errno));
	while ((e = readdir(dir)))
		nr += e->d_name[0] >= '0' && e->d_name[0] <= '9';
	closedir(dir);
	return nr;
}

static void expect_unchanged(const char *when, __u64 last)
{
	EXPECT(harden_u64("zones/last_id") == last, "%.60s: last_id has changed", when);
	EXPECT(zones() == 1, "%.60s: %u zones", when, zones());
	harden_expect("armed", "zones/%llu/state", standing);
	zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, when);
	zone_expect_may(z, ZONE_GPA + ZONE_HUGE, 0, when);
}

/* One write(2) of @len bytes, whatever they are: 0 or -errno. */
static int put(const char *file, const char *text, size_t len)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), HARDEN_SYSFS "/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	REQUIRE(fd >= 0, "%s: %s", path, strerror(errno));
	ret = write(fd, text, len) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* @ stands for the VM. */
static size_t expand(char *out, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text && len < size; text++)
		len += *text == '@' ? snprintf(out + len, size - len, "vm=%llu", z->id) :
				      snprintf(out + len, size - len, "%c", *text);
	return len;
}

#define G	"gpa=0x10000000"
#define S	"size=0x1000"
#define D	"deny=rwx"
#define A	"action=stop"

static const char *const malformed[] = {
	"\n", " ", "1\n", "@", "@\n", "x", "=", "==", " = ", "zone\n",
	/* one is missing */
	G " " S " " D " " A, "@ " S " " D " " A, "@ " G " " D " " A, "@ " G " " S " " A,
	"@ " G " " S " " D, "@ " G " " S " " D " action", "@ " G " " S " " D " action=",
	/* twice */
	"@ @ " G " " S " " D " " A, "@ " G " " G " " S " " D " " A, "@ " G " " S " " S " " D " " A,
	"@ " G " " S " " D " " D " " A, "@ " G " " S " " D " " A " " A,
	"@ " G " " S " " D " " A " name=a name=a", "@ " G " " S " " D " " A " allow=alias allow=alias",
	"@ " G " " S " deny=r deny=wx " A,
	/* unknown */
	"@ " G " " S " " D " " A " x", "@ " G " " S " " D " " A " x=1", "@ " G " " S " " D " " A " =",
	"VM=1 " G " " S " " D " " A, "@ GPA=0x10000000 " S " " D " " A,
	"@ " G " " S " " D " " A " state=armed", "@ " G " " S " " D " " A " id=1",
	"@," G "," S "," D "," A, "@;" G ";" S ";" D ";" A, "@ gpa = 0x10000000 " S " " D " " A,
	"@ gpa= 0x10000000 " S " " D " " A, "@ gpa:0x10000000 " S " " D " " A,
	/* numbers */
	"vm= " G " " S " " D " " A, "vm=x " G " " S " " D " " A, "vm=-1 " G " " S " " D " " A,
	"vm=0x1 " G " " S " " D " " A, "vm=+1 " G " " S " " D " " A, "vm=1.0 " G " " S " " D " " A,
	"vm=18446744073709551616 " G " " S " " D " " A, "vm=0 " G " " S " " D " " A,
	"@ gpa= " S " " D " " A, "@ gpa=0x " S " " D " " A, "@ gpa=0X " S " " D " " A,
	"@ gpa=-1000 " S " " D " " A, "@ gpa=+10000000 " S " " D " " A,
	"@ gpa=0x0x10000000 " S " " D " " A, "@ gpa=10000000h " S " " D " " A,
	"@ gpa=1000000g " S " " D " " A, "@ gpa=0x10000000,0x10001000 " S " " D " " A,
	"@ gpa=0x10000000000000000 " S " " D " " A, "@ gpa=0x110000000000000000 " S " " D " " A,
	"@ " G " size= " D " " A, "@ " G " size=0x " D " " A, "@ " G " size=4k " D " " A,
	"@ " G " size=0 " D " " A, "@ " G " size=0x0 " D " " A, "@ " G " size=-1000 " D " " A,
	"@ " G " size=0x10000000000001000 " D " " A, "@ " G " size=1 " D " " A,
	"@ " G " size=4096 " D " " A, "@ gpa=0x10000001 " S " " D " " A,
	"@ gpa=0xfffffffffffff000 size=0x2000 " D " " A,
	"@ gpa=0xfffffffffffff000 size=0x1000 " D " " A,
	"@ gpa=0x1000 size=0xfffffffffffff000 " D " " A,
	"@ gpa=0xffffffffff000 size=0x2000 " D " " A,
	/* words */
	"@ " G " " S " deny= " A, "@ " G " " S " deny=- " A, "@ " G " " S " deny=rwxr " A,
	"@ " G " " S " deny=rr " A, "@ " G " " S " deny=RWX " A, "@ " G " " S " deny=r,w " A,
	"@ " G " " S " deny=all " A, "@ " G " " S " deny=7 " A, "@ " G " " S " deny=rwx! " A,
	"@ " G " " S " " D " action=STOP", "@ " G " " S " " D " action=stopp",
	"@ " G " " S " " D " action=sto", "@ " G " " S " " D " action=stop,kill",
	"@ " G " " S " " D " action=0", "@ " G " " S " " D " action=none",
	"@ " G " " S " " D " " A " allow=", "@ " G " " S " " D " " A " allow=,",
	"@ " G " " S " " D " " A " allow=alias,", "@ " G " " S " " D " " A " allow=,alias",
	"@ " G " " S " " D " " A " allow=alias,,device", "@ " G " " S " " D " " A " allow=alias,alias",
	"@ " G " " S " " D " " A " allow=all", "@ " G " " S " " D " " A " allow=ALIAS",
	"@ " G " " S " " D " " A " allow=alias device", "@ " G " " S " " D " " A " allow=15",
	"@ " G " " S " " D " " A " name=", "@ " G " " S " " D " " A " name=a b",
	"@ " G " " S " " D " " A " name=\"a b\"", "@ " G " " S " " D " " A " name=\x01",
	"@ " G " " S " " D " " A " name=a\x7f", "@ " G " " S " " D " " A " name=\xc3\xa4",
	"@ " G " " S " " D " " A " name=\x1b[2J", "@ " G " " S " " D " " A " name=a\rb",
	"@ " G " " S " " D " " A " name=01234567890123456789012345678901",
	/* two lines */
	"@ " G " " S " " D " " A "\n@ " G " " S " " D " " A "\n",
};

static void test_malformed(void)
{
	char text[512];
	__u64 last;

	start();
	last = harden_u64("zones/last_id");
	for (unsigned int i = 0; i < ARRAY_SIZE(malformed); i++) {
		int ret = put("zones/create", text, expand(text, sizeof(text), malformed[i]));

		EXPECT(ret == -EINVAL, "\"%s\": %s", malformed[i], ret ? strerror(-ret) : "taken");
		expect_unchanged(malformed[i], last);
		EXPECT(strcmp(zone_last_error(), "none"), "\"%s\": last_error says nothing", malformed[i]);
		last = harden_u64("zones/last_id");
	}
	meter_expect_healthy(NULL);
}

/* sysfs hands over a page at most: what is cut off may be a digit. */
static void test_too_long(void)
{
	static char text[3 * 4096];
	char field[128];
	size_t len;
	__u64 last;

	start();
	last = harden_u64("zones/last_id");
	len = expand(field, sizeof(field), "@ " G " " D " " A " size=0x10000");
	for (size_t cut = 1; cut < 4; cut++) {
		memset(text, ' ', sizeof(text));
		memcpy(text + 4096 - len + cut, field, len);
		put("zones/create", text, 4096 + cut);
		expect_unchanged("a text that is cut", last);
	}
	memset(text, 'x', sizeof(text));
	EXPECT_EQ(-put("zones/create", text, sizeof(text)), EINVAL, "errno of x...");
	memset(text, ' ', sizeof(text));
	EXPECT_EQ(-put("zones/create", text, sizeof(text)), EINVAL, "errno of blanks");
	expect_unchanged("x...", last);
}

static void test_nul(void)
{
	static const char *const tails[] = { "", "x", " " A, " deny=w" };
	char text[256];
	__u64 last;

	start();
	last = harden_u64("zones/last_id");
	for (unsigned int i = 0; i < ARRAY_SIZE(tails); i++) {
		size_t len = expand(text, sizeof(text), "@ " G " " S " " D " " A);

		strcpy(text + len + 1, tails[i]);
		EXPECT_EQ(-put("zones/create", text, len + 1 + strlen(tails[i])), EINVAL,
			  "errno of a text with a NUL in it");
		expect_unchanged("a NUL", last);
	}
}

static const char *const well_formed[] = {
	"@ " G " " S " " D " " A "\n", "@ " G " " S " " D " " A, A " " D " " S " " G " @\n",
	"\t@\t" G "  " S "\n" D " " A "\n\t", "@ gpa=10000000 size=1000 " D " " A,
	"@ gpa=0X10000000 size=0x0001000 " D " " A, "@ gpa=0x000000000000000000010000000 " S " " D " " A,
	"@ " G " " S " deny=xwr " A, "@ " G " " S " deny=wxr action=fault",
	"@ " G " " S " deny=w action=log", "@ " G " " S " " D " action=kill",
	"name=x @ " G " " S " " D " " A, "@ " G " " S " " D " " A " name=0123456789012345678901234567890",
	"@ " G " " S " " D " " A " name=!\"#$%&'()*+,-./:;<=>?@[\\]", "@ " G " " S " " D " " A " name=^_`{|}~",
	"allow=alias @ " G " " S " " D " " A, "@ " G " " S " " D " " A " allow=device,alias,paravirt,emulator",
};

/* The @ of the names is a vm= too: it has to come back as it was given. */
static void test_well_formed(void)
{
	char text[512], name[64] = "";

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(well_formed); i++) {
		size_t len = expand(text, sizeof(text), well_formed[i]);
		const char *given = strstr(text, "name=");
		int ret = put("zones/create", text, len);
		__u64 id = harden_u64("zones/last_id");

		EXPECT(!ret, "\"%s\": %s: %s", text, strerror(-ret), zone_last_error());
		if (ret)
			continue;
		if (given && sscanf(given, "name=%63s", name) == 1)
			harden_expect(name, "zones/%llu/name", id);
		else
			harden_expect("", "zones/%llu/name", id);
		EXPECT(harden_u64("zones/%llu/vm", id) == z->id, "vm of \"%s\"", text);
		harden_expect("0x10000000", "zones/%llu/gpa", id);
		harden_expect("0x1000", "zones/%llu/size", id);
		harden_expect(strstr(text, "deny=w ") ? "w" : "rwx", "zones/%llu/deny", id);
		zone_must_remove(id);
	}
	zone_expect_filled(z, ZONE_GPA, ZONE_HUGE, "after it all");
}

static __u32 rng = SEED;

static __u32 draw(__u32 below)
{
	rng = rng * 1664525u + 1013904223u;
	return (rng >> 8) % below;
}

/* --- A second opinion of what a text is --- */

static bool is_number(const char *v, unsigned int base, unsigned long long *n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned long long sum = 0;

	if (base == 16 && v[0] == '0' && (v[1] == 'x' || v[1] == 'X'))
		v += 2;
	if (!*v)
		return false;
	for (; *v; v++) {
		char c = *v >= 'A' && *v <= 'F' ? *v + 32 : *v;
		const char *d = memchr(digits, c, base);

		if (!d || __builtin_mul_overflow(sum, base, &sum) ||
		    __builtin_add_overflow(sum, d - digits, &sum))
			return false;
	}
	*n = sum;
	return true;
}

static bool is_one_of(const char *v, const char *words)
{
	char both[80], one[80];

	if (!*v || strchr(v, ' '))
		return false;
	snprintf(both, sizeof(both), " %s ", words);
	snprintf(one, sizeof(one), " %s ", v);
	return strstr(both, one);
}

static bool is_ways(const char *v)
{
	char way[MAX_TEXT], seen[MAX_TEXT] = " ";

	for (;;) {
		size_t len = strcspn(v, ",");

		snprintf(way, sizeof(way), "%.*s", (int)len, v);
		if (!is_one_of(way, "emulator paravirt device alias") || is_one_of(way, seen))
			return false;
		strcat(strcat(seen, way), " ");
		if (!v[len])
			return true;
		v += len + 1;
	}
}

static bool is_deny(const char *v)
{
	for (const char *p = v; *p; p++)
		if (!strchr("rwx", *p) || strchr(p + 1, *p))
			return false;
	return *v;
}

static bool is_name(const char *v)
{
	for (const char *p = v; *p; p++)
		if (*p < '!' || *p > '~')
			return false;
	return *v && strlen(v) < 32;
}

static bool is_zone(const char *given, size_t len)
{
	static const char *const keys[] = { "vm", "gpa", "size", "deny", "action", "name", "allow" };
	char text[2 * MAX_TEXT], *field, *rest;
	unsigned long long vm = 0, gpa = 0, size = 0;
	unsigned int seen = 0;
	bool ok = true;

	if (memchr(given, 0, len))
		return false;
	memcpy(text, given, len);
	text[len] = 0;
	for (field = strtok_r(text, " \t\n", &rest); field; field = strtok_r(NULL, " \t\n", &rest)) {
		char *v = strchr(field, '=');
		unsigned int k = 0;

		if (!v)
			return false;
		*v++ = 0;
		while (k < ARRAY_SIZE(keys) && strcmp(keys[k], field))
			k++;
		if (k == ARRAY_SIZE(keys) || (seen & (1u << k)))
			return false;
		seen |= 1u << k;
		ok &= k == 0 ? is_number(v, 10, &vm) : k == 1 ? is_number(v, 16, &gpa) :
		      k == 2 ? is_number(v, 16, &size) : k == 3 ? is_deny(v) :
		      k == 4 ? is_one_of(v, "stop fault kill log") : k == 5 ? is_name(v) :
		      is_ways(v);
	}
	return ok && (seen & 31) == 31 && vm && size && !(gpa % 4096) && !(size % 4096) &&
	       !(gpa >> 52) && size <= (1ull << 52) - gpa;
}

/* --- The generator --- */

static size_t mutate(char *text, size_t len)
{
	static const char likely[] = " \t\n=,xX0123456789abcdefrwxg-+.@\\\"'";
	size_t at = draw(len), n;
	char was;

	switch (draw(7)) {
	case 0:			/* another byte */
		text[at] = draw(256);
		return len;
	case 1:
		text[at] = likely[draw(sizeof(likely) - 1)];
		return len;
	case 2:			/* one less, but never none: that is no write */
		memmove(text + at, text + at + 1, len - at - 1);
		return len > 1 ? len - 1 : 1;
	case 3:			/* one more */
		memmove(text + at + 1, text + at, len - at);
		text[at] = likely[draw(sizeof(likely) - 1)];
		return len + 1;
	case 4:			/* the rest is gone */
		return at ? at : 1;
	case 5:			/* a part once more */
		n = draw(len - at);
		if (len + n >= MAX_TEXT)
			return len;
		memmove(text + at + n, text + at, len - at);
		return len + n;
	default:		/* two bytes change places */
		n = draw(len);
		was = text[at];
		text[at] = text[n];
		text[n] = was;
		return len;
	}
}

static bool expected(int ret)
{
	return ret == -ESRCH || ret == -ENXIO || ret == -EPERM || ret == -EOPNOTSUPP;
}

static void test_fuzz(void)
{
	unsigned int good = 0, made = 0, nr = FUZZ;
	char text[2 * MAX_TEXT];
	__u64 last;

	start();
	last = harden_u64("zones/last_id");
	for (unsigned int i = 0; i < nr && !tap_failed(); i++) {
		const char *base = well_formed[draw(ARRAY_SIZE(well_formed))];
		size_t len = expand(text, sizeof(text), base);
		bool zone;
		int ret;

		for (unsigned int k = 1 + draw(3); k; k--)
			len = mutate(text, len);
		zone = is_zone(text, len);
		ret = put("zones/create", text, len);
		if (!zone)
			EXPECT(ret == -EINVAL, "%u: \"%.*s\": %s", i, (int)len, text,
			       ret ? strerror(-ret) : "taken");
		else
			EXPECT(!ret || expected(ret), "%u: \"%.*s\": %s: %s", i, (int)len, text,
			       strerror(-ret), zone_last_error());
		good += zone;
		if (!ret) {
			made++;
			EXPECT_EQ(-zone_remove(harden_u64("zones/last_id")), 0, "remove");
			last = harden_u64("zones/last_id");
		}
		if (i % 64 == 0 || tap_failed())
			expect_unchanged("fuzz", last);
	}
	tap_diag("%u texts, %u of them zones, %u made", nr, good, made);
	EXPECT(good > nr / 50 && good < nr / 2, "%u of %u are zones", good, nr);
	expect_unchanged("after it all", last);
	zone_must_remove(standing);
	zone_expect_filled(z, ZONE_GPA, SMALL, "after it all");
	meter_expect_healthy(NULL);
}

static void test_state(void)
{
	static const char *const bad[] = {
		"\n", " ", "x\n", "1\n", "0\n", "armed\n", "suspended\n", "ARM\n", "arm arm\n", "sus\n",
		"suspend arm\n", "suspends\n", "open\n", "arm\n\n", " arm\n", "arm,\n",
	};
	char path[64];

	start();
	snprintf(path, sizeof(path), "zones/%llu/state", standing);
	for (int k = 0; k < 2; k++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ(-put(path, bad[i], strlen(bad[i])), EINVAL, bad[i]);
			harden_expect(k ? "suspended" : "armed", "%s", path);
		}
		EXPECT_EQ(-put(path, "suspend\0x", 9), EINVAL, "errno of suspend, NUL");
		harden_set("suspend\n", "%s", path);
		harden_expect("suspended", "%s", path);
		/* Said twice is as good as once. */
		harden_set("suspend", "%s", path);
	}
	harden_set("arm", "%s", path);
	harden_set("arm\n", "%s", path);
	harden_expect("armed", "%s", path);
	zone_expect_may(z, ZONE_GPA + ZONE_HUGE, 0, "armed again");
}

static void test_remove(void)
{
	static const char *const bad[] = {
		"\n", " ", "0\n", "2\n", "x\n", "y\n", "on\n", "1x\n", "1 1\n", "11\n", "-1\n", "1\n1\n",
	};
	char path[64];
	__u64 last;

	start();
	last = harden_u64("zones/last_id");
	snprintf(path, sizeof(path), "zones/%llu/remove", standing);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-put(path, bad[i], strlen(bad[i])), EINVAL, bad[i]);
		EXPECT_EQ(-put("disarm", bad[i], strlen(bad[i])), EINVAL, bad[i]);
		expect_unchanged(bad[i], last);
	}
	EXPECT_EQ(-put(path, "1", 1), 0, "1 to remove");
	zone_expect_gone(standing, "1 to remove");
	EXPECT_EQ(-put("disarm", "1", 1), 0, "disarm without a zone");
	EXPECT_EQ(-put("disarm", "1\n", 2), 0, "disarm without a zone");
}

static const struct tap_test tests[] = {
	{ "malformed zones are refused", test_malformed, 120 },
	{ "texts too long are refused", test_too_long, 0 },
	{ "texts with a NUL are refused", test_nul, 0 },
	{ "well-formed zones are taken", test_well_formed, 0 },
	{ "thousands of texts", test_fuzz, 300 },
	{ "bad states are refused", test_state, 0 },
	{ "bad removals are refused", test_remove, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
