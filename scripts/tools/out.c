// SPDX-License-Identifier: GPL-2.0
/* Strings, JSON and units. */
#include "out.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Terminals act on control bytes, C1 ones in UTF-8 too: ASCII only. */
const char *out_escape(const char *s, char *buf, size_t len)
{
	size_t n = 0;

	for (; *s && n + 5 < len; s++) {
		unsigned char c = *s;

		if (c >= 0x20 && c < 0x7f)
			buf[n++] = c;
		else
			n += snprintf(buf + n, len - n, "\\x%02x", c);
	}
	buf[n] = '\0';
	return buf;
}

static unsigned int json_depth;
static bool json_more[16];

static void json_string(const char *s);

static void json_key(const char *key)
{
	if (json_more[json_depth])
		putchar(',');
	json_more[json_depth] = true;
	if (key) {
		json_string(key);
		putchar(':');
	}
}

void json_open(const char *key, char bracket)
{
	json_key(key);
	putchar(bracket);
	json_more[++json_depth] = false;
}

void json_close(char bracket)
{
	json_depth--;
	putchar(bracket);
}

void json_end(void)
{
	json_more[0] = false;
	putchar('\n');
	fflush(stdout);
}

/* Length of the valid UTF-8 sequence at s, its code point in cp; 0: none. */
static int utf8(const unsigned char *s, unsigned int *cp)
{
	static const unsigned int min[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int len = *s >= 0xf0 && *s < 0xf8 ? 4 : *s >= 0xe0 ? 3 : 2;
	int i;

	if (*s < 0xc0 || *s >= 0xf8)
		return 0;
	*cp = *s & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3f);
	}
	if (*cp < min[len] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp < 0xe000))
		return 0;
	return len;
}

/* Bytes that are no UTF-8 are shown as \x.., so that every string survives. */
static void json_string(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned int cp;

	putchar('"');
	while (*p) {
		if (*p == '"' || *p == '\\') {
			printf("\\%c", *p++);
		} else if (*p >= 0x20 && *p < 0x7f) {
			putchar(*p++);
		} else if (*p < 0x80) {
			printf("\\u%04x", *p++);
		} else if (utf8(p, &cp)) {
			if (cp >= 0x10000)
				printf("\\u%04x\\u%04x", 0xd7c0 + (cp >> 10),
				       0xdc00 + (cp & 0x3ff));
			else
				printf("\\u%04x", cp);
			p += utf8(p, &cp);
		} else {
			printf("\\\\x%02x", *p++);
		}
	}
	putchar('"');
}

void json_str(const char *key, const char *s)
{
	json_key(key);
	json_string(s);
}

void json_u64(const char *key, unsigned long long v)
{
	json_key(key);
	printf("%llu", v);
}

void json_num(const char *key, double v)
{
	json_key(key);
	printf("%.3f", v);
}

void json_bool(const char *key, bool v)
{
	json_key(key);
	fputs(v ? "true" : "false", stdout);
}

const char *out_ns(unsigned long long ns, char *buf)
{
	unsigned long long s = ns / 1000000000;

	if (ns < 1000)
		snprintf(buf, OUT_LEN, "%llu ns", ns);
	else if (ns < 1000000)
		snprintf(buf, OUT_LEN, "%.*f us", ns < 100000, ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, OUT_LEN, "%.*f ms", ns < 100000000, ns / 1e6);
	else if (s < 600)
		snprintf(buf, OUT_LEN, "%.*f s", s < 100 ? 2 : 1, ns / 1e9);
	else if (s < 86400)
		snprintf(buf, OUT_LEN, "%lluh%02llum%02llus", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(buf, OUT_LEN, "%llud%02lluh%02llum", s / 86400, s / 3600 % 24,
			 s / 60 % 60);
	return buf;
}

const char *out_count(unsigned long long n, char *buf)
{
	char raw[OUT_LEN], *to = buf;
	size_t i, len;

	len = snprintf(raw, sizeof(raw), "%llu", n);
	for (i = 0; i < len; i++) {
		if (i && !((len - i) % 3))
			*to++ = ',';
		*to++ = raw[i];
	}
	*to = '\0';
	return buf;
}

const char *out_date(unsigned long long realtime_ns, char *buf)
{
	time_t t = realtime_ns / 1000000000;
	struct tm tm;

	if (!realtime_ns || !localtime_r(&t, &tm) ||
	    !strftime(buf, OUT_LEN, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, OUT_LEN, "-");
	return buf;
}
