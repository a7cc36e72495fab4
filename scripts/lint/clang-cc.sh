#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# clang as CC for headers that were configured for gcc: leave out what only gcc
# understands.
args=()
for arg in "$@"; do
	case $arg in
	-fconserve-stack | -mrecord-mcount | -mindirect-branch=* | -mindirect-branch-* | \
	-mfunction-return=* | -mharden-sls=* | -mpreferred-stack-boundary=* | \
	-fno-allow-store-data-races | -falign-jumps=* | -falign-loops=* | -fmin-function-alignment=* | \
	-ftrivial-auto-var-init=* | -fplugin* | -fno-var-tracking* | -Wno-maybe-uninitialized | \
	-Wimplicit-fallthrough=* | -Wpacked-not-aligned | -Wrestrict | -Wno-restrict | \
	-fzero-init-padding-bits=* | -fno-tree-loop-im | -fira* | -fpatchable-function-entry=* | \
	-mskip-rax-setup | -Wno-alloc-size-larger-than | -fsanitize=bounds-strict | \
	-Wa,* | -fdiagnostics-show-context=*)
		;;
	*/linux/kconfig.h)
		args+=("$arg" -include "${0%/*}/clang.h")
		;;
	*)
		args+=("$arg")
		;;
	esac
done
exec clang "${args[@]}" -fms-extensions -Wno-microsoft-anon-tag \
	-Wno-unknown-warning-option -Wno-gnu -Wno-unused-command-line-argument
