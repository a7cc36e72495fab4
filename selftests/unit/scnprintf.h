/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's scnprintf(): returns what was written, not what would have been. */
#ifndef SELFTESTS_UNIT_SCNPRINTF_H
#define SELFTESTS_UNIT_SCNPRINTF_H

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 3, 4)))
static int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	if (!size)
		return 0;
	return (size_t)len < size ? len : (int)size - 1;
}

#endif /* SELFTESTS_UNIT_SCNPRINTF_H */
