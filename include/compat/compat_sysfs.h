/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_SYSFS_H
#define _COMPAT_SYSFS_H

#include <linux/sysfs.h>

/* The attribute that a binary attribute's read() is handed: const since 6.13. */
#ifdef COMPAT_BIN_ATTR_CONST
#define compat_bin_attribute const struct bin_attribute
#else
#define compat_bin_attribute struct bin_attribute
#endif

#endif /* _COMPAT_SYSFS_H */
