/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KVM_METER_ESCAPE_H
#define _KVM_METER_ESCAPE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stddef.h>
#endif

size_t escape_text(char *out, size_t size, const char *text);

#endif /* _KVM_METER_ESCAPE_H */
