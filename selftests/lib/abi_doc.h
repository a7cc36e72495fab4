/* SPDX-License-Identifier: GPL-2.0 */
/* Is a sysfs tree what it should be, and does the documentation say so? */
#ifndef SELFTESTS_ABI_DOC_H
#define SELFTESTS_ABI_DOC_H

#include <sys/types.h>

#define METER_DOC	"Documentation/ABI/testing/sysfs-kernel-kvm_meter"
#define HARDEN_DOC	"Documentation/ABI/testing/sysfs-kernel-kvm_harden"

/*
 * Each file under @root is in @doc, where <anything> stands for one component;
 * each path of @doc is there, but for those that have one of @without's words in it,
 * which are apart by '|'.
 */
void expect_documented(const char *doc, const char *root, const char *without);

/* It is root's, of that mode, and, if it can be read, text of @lines; -1: of any. */
void expect_file(const char *root, const char *path, mode_t mode, int lines);

#endif /* SELFTESTS_ABI_DOC_H */
