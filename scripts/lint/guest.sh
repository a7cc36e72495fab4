#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Inside a root: compile the modules with $1 for kernel $2 with $3 jobs. The tree
# is in /mnt.
set -e
tool=$1 kdir=/lib/modules/$2/build jobs=$3
cd /mnt
chmod +x scripts/lint/*.sh

case $tool in
clang)
	# The headers were made for gcc: what clang does not know of its options goes.
	make -j"$jobs" -C "$kdir" M=/mnt CC=/mnt/scripts/lint/clang-cc.sh W=1 modules
	;;
sparse)
	# Does this sparse see anything in these headers? An old one gives up silently.
	# What sparse 0.6.4 does not know of newer headers.
	cf="-include /mnt/scripts/lint/sparse.h"
	mkdir -p /tmp/probe
	cp scripts/lint/sparse_probe.c /tmp/probe/
	echo 'obj-m := sparse_probe.o' >/tmp/probe/Kbuild
	make -C "$kdir" M=/tmp/probe C=2 KBUILD_CHECKSRC=2 CF="$cf" modules >/tmp/probe/log 2>&1 || :
	if ! grep -q 'sparse_probe.c:.*address space .__user' /tmp/probe/log; then
		head -n 12 /tmp/probe/log
		echo "lint: $(sparse --version) checks nothing with the headers of $2"
		exit 1
	fi
	make -j"$jobs" -C "$kdir" M=/mnt C=1 KBUILD_CHECKSRC=1 CF="$cf" W=1 modules
	;;
esac
