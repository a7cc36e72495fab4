// SPDX-License-Identifier: GPL-2.0
/* Pure: selftests/unit/ compiles it on the host. */
#include "escape.h"

/**
 * escape_text() - Make text that a tenant chose safe for one line of output
 * @out: result, always terminated
 * @size: size of @out, at least 1
 * @text: any bytes up to a NUL
 *
 * A process name may hold newlines or terminal escapes. What is not printable
 * ASCII, and the backslash itself, becomes \xHH. What does not fit is left out,
 * never half a sequence.
 *
 * Return: length of the result.
 */
size_t escape_text(char *out, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = 0;

	for (; *text; text++) {
		unsigned char c = *text;

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			if (len + 1 >= size)
				break;
			out[len++] = c;
		} else {
			if (len + 4 >= size)
				break;
			out[len++] = '\\';
			out[len++] = 'x';
			out[len++] = hex[c >> 4];
			out[len++] = hex[c & 15];
		}
	}
	out[len] = '\0';
	return len;
}
