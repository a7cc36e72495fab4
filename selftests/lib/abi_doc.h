/* SPDX-License-Identifier: GPL-2.0 */
/* Does the documentation of a sysfs tree say what is there? */
#ifndef SELFTESTS_ABI_DOC_H
#define SELFTESTS_ABI_DOC_H

#define HARDEN_DOC	"Documentation/ABI/testing/sysfs-kernel-kvm_harden"

/*
 * Each file under @root is in @doc, where <anything> stands for one component;
 * each path of @doc is there, but for those that have @without in it.
 */
void expect_documented(const char *doc, const char *root, const char *without);

#endif /* SELFTESTS_ABI_DOC_H */
