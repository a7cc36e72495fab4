#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftest.sh NAME PAYLOAD: would the debug kernel see what it is for?  TAP.  A
# host of that kernel makes each mistake of selftests/debug/broken.c; the run
# must fail, and would have to for each of them alone, with the right report.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/../common.sh"

[ $# = 2 ] || die "usage: selftest.sh NAME PAYLOAD"
work=$(mktemp -d "${TMPDIR:-/tmp}/rig-debug.XXXXXX")
trap 'rm -rf "$work"' EXIT
n=0

# What the report of each says.
report()
{
	case $1 in
	use-after-free)	echo 'BUG: KASAN: slab-use-after-free in use_after_free' ;;
	out-of-bounds)	echo 'BUG: KASAN: slab-out-of-bounds in out_of_bounds' ;;
	lock-inversion)	echo 'WARNING: possible circular locking dependency detected' ;;
	atomic-sleep)	echo 'BUG: sleeping function called from invalid context' ;;
	preemptible)	echo 'BUG: using smp_processor_id\(\) in preemptible' ;;
	leak)		echo 'kmemleak: [0-9]* new suspected memory leaks' ;;
	rcu)		echo 'WARNING: suspicious RCU usage' ;;
	shift)		echo 'UBSAN: shift-out-of-bounds in ' ;;
	list)		echo 'list_del corruption' ;;
	active-timer)	echo 'ODEBUG: free active' ;;
	rcu-stall)	echo 'rcu_preempt (self-)?detected (expedited )?stall' ;;
	soft-lockup)	echo 'BUG: soft lockup' ;;
	hung-task)	echo 'INFO: task insmod:[0-9]+ blocked for more than' ;;
	esac
}

# result CODE NAME [FILE]: one line, and on failure what FILE has to say.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		[ -z "${3:-}" ] || tail -n 60 "$3" | sed 's/^/# /'
		echo "not ok $n $2"
	fi
}

# KASAN says the first only, unless told otherwise.
code=0
"$RIG_DIR/run.sh" --kernel "$1" --timeout 600 --mem 3G --out "$work/out" --payload "$2" \
	--append kasan_multi_shot -- selftests/debug/break.sh >"$work/log" 2>&1 || code=$?
tr -d '\r' <"$work/out/console.log" >"$work/console"
result $((code != 126)) "a run with mistakes in it fails" "$work/log"
[ -z "${RIG_OUT_KEEP:-}" ] || cp -r "$work" "$RIG_OUT_KEEP"

for fault in $("$TREE/selftests/debug/break.sh" faults); do
	sed -n "/rig fault begin: $fault\$/,/rig fault end: $fault\$/p" "$work/console" \
		>"$work/part"
	code=0
	"$RIG_DIR/console.sh" "$work/part" >"$work/said" || code=$?
	if [ "$fault" = none ]; then
		grep -q 'rig fault end' "$work/part" || code=2
		result $code "a module without a mistake passes" "$work/part"
		continue
	fi
	# Two answers: does the rig fail the run, and was it for this mistake?
	grep -aqE "$(report "$fault")" "$work/part" || code=0
	result $((code != 1)) "$fault: is caught" "$work/part"
done
# Not only by its line on the console.
grep -q '^not ok .*no memory has leaked' "$work/out/output.log" && code=0 || code=1
result $code "a leak fails the check for leaks" "$work/out/output.log"
echo "1..$n"
