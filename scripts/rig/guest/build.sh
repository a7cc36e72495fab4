#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Inside a root: build the modules, the tests and the tools for kernel $1 with
# $2 jobs.  The tree is in /mnt.
set -e

cd /mnt
kdir=/lib/modules/$1/build
export WERROR=1
if [ -f Kbuild ]; then
	make -j"$2" KDIR="$kdir" W=1 KCFLAGS=-Werror
	# As packages and dkms do, and without BTF, as where there is no vmlinux to make it
	# from: loading what is not used takes an emulated CPU long.
	strip --strip-debug -R .BTF -R .BTF.base kvm_*/*.ko
fi
if [ -f selftests/guest/Kbuild ]; then
	make -j"$2" -C "$kdir" M=/mnt/selftests/guest W=1 KCFLAGS=-Werror modules
fi
# Mistakes for the debug kernel to catch; nobody else gets to see them.
if grep -qsx CONFIG_KASAN=y "/lib/modules/$1/config"; then
	make -j"$2" -C "$kdir" M=/mnt/selftests/debug W=1 KCFLAGS=-Werror modules
fi
for dir in selftests selftests/bench scripts/tools; do
	[ ! -f $dir/Makefile ] || make -j"$2" -C $dir all KDIR="$kdir"
done
