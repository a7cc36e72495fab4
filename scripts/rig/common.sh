# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every part of the rig shares: where things are, how it speaks, locks.
# Sourced, never run.

RIG_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TREE=$(cd "$RIG_DIR/../.." && pwd)
CACHE=${KVM_METER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvm_meter}
KERNELS_LIST=${KERNELS_LIST:-$TREE/scripts/kernels.list}
# Kernels that the rig builds itself; no part of the support matrix.
OWN_KERNELS_LIST=$RIG_DIR/debug/kernels.list
# shellcheck disable=SC2034	# all three are used by those who source this
ROOTS=$CACHE/roots BUILDS=$CACHE/build RUNS=$CACHE/runs

say()
{
	printf '%s\n' "rig: $*" >&2
}

die()
{
	say "error: $*"
	exit 1
}

# All names in the support matrix, in its order.
kernel_names()
{
	awk '!/^[[:space:]]*(#|$)/ { print $1 }' "$KERNELS_LIST"
}

# The newest LTS kernel: the last one that does not come from backports.
lts_kernel()
{
	awk '!/^[[:space:]]*(#|$)/ && $2 !~ /-backports$/ { name = $1 }
		END { print name }' "$KERNELS_LIST"
}

own_kernel_names()
{
	KERNELS_LIST=$OWN_KERNELS_LIST kernel_names
}

# own_kernel NAME: is it one that the rig builds itself?
own_kernel()
{
	awk -v n="$1" '$1 == n { found = 1 } END { exit !found }' "$OWN_KERNELS_LIST"
}

# kernel_line NAME: its line, in single spaces.
kernel_line()
{
	awk -v n="$1" '$1 == n { $1 = $1; print; found = 1 }
		END { exit !found }' "$KERNELS_LIST" "$OWN_KERNELS_LIST" ||
		die "no kernel '$1' in scripts/kernels.list; there are:" \
			"$(kernel_names | xargs)"
}

# root_version NAME: the newest kernel release installed in that root.
root_version()
{
	find "$ROOTS/$1/usr/lib/modules" -mindepth 1 -maxdepth 1 -printf '%f\n' |
		sort -V | tail -n 1
}

root_vmlinuz()
{
	local ver f
	ver=$(root_version "$1")
	for f in "$ROOTS/$1/boot/vmlinuz-$ver" \
		"$ROOTS/$1/usr/lib/modules/$ver/vmlinuz"; do
		[ -f "$f" ] && [ ! -L "$f" ] && echo "$f" && return
	done
	die "no vmlinuz of $ver in $ROOTS/$1"
}

# with_lock FD FILE [-s]: take a lock and say so if that means waiting.
take_lock()
{
	local fd=$1 file=$2 mode=${3:--x}
	mkdir -p "$(dirname "$file")"
	eval "exec $fd>>\"\$file\""
	flock -n "$mode" "$fd" && return
	say "waiting for another run that holds $(basename "$file")"
	flock "$mode" "$fd"
}
