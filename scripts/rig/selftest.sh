#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftest.sh [NAME]: does the rig see what it should?  TAP.  Every line of
# samples/guilty.txt must fail a run by itself, samples/innocent.txt must not;
# then, in hosts of kernel NAME, each way in which a run can end.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/common.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/rig-selftest.XXXXXX")
trap 'rm -rf "$work"' EXIT
n=0

# result CODE NAME [FILE]: one line, and on failure what FILE has to say.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		[ -z "${3:-}" ] || sed 's/^/# /' "$3"
		echo "not ok $n $2"
	fi
}

missed=$work/missed
: >"$missed"
while IFS= read -r line; do
	printf '%s\r\n' "$line" >"$work/log"
	! "$RIG_DIR/console.sh" "$work/log" >/dev/null || echo "$line" >>"$missed"
	# Colour in the middle of the line, and another line before it.
	printf 'x\n\033[1;31m%s\033[0m\n' "$line" >"$work/log"
	! "$RIG_DIR/console.sh" "$work/log" >/dev/null || echo "$line" >>"$missed"
done <"$RIG_DIR/samples/guilty.txt"
result "$([ ! -s "$missed" ]; echo $?)" "every guilty line fails a run" "$missed"

code=0
"$RIG_DIR/console.sh" "$RIG_DIR/samples/innocent.txt" >"$missed" || code=$?
result $code "innocent lines do not fail a run" "$missed"

sed 10q "$RIG_DIR/samples/innocent.txt" >"$work/log"
sed 1q "$RIG_DIR/samples/guilty.txt" >>"$work/log"
"$RIG_DIR/console.sh" "$work/log" >"$missed" && code=0 || code=$?
grep -q kvm_mmu_zap_all "$missed" || code=0
result $((code != 1)) "a guilty line among innocent ones is found and shown" "$missed"

# Each pattern that excuses a line must come with a comment that says why.
code=0
awk '/^#/ { why = 1; next } /^$/ { why = 0; next } !why { print; bad = 1 }
	END { exit bad }' "$RIG_DIR/innocent.list" >"$missed" || code=1
result $code "every excuse has its reason" "$missed"

# ends CODE NAME TIMEOUT COMMAND...
ends()
{
	local want=$1 name=$2 timeout=$3 got=0
	shift 3
	"$RIG_DIR/run.sh" --kernel "$kernel" --timeout "$timeout" --mem 1G \
		--out "$work/out" -- "$@" >"$work/log" 2>&1 || got=$?
	[ "$got" = "$want" ] || echo "exit code $got, not $want" >>"$work/log"
	result $((got != want)) "$name" "$work/log"
}

if [ $# = 1 ]; then
	kernel=$1
	# shellcheck disable=SC2016	# for the host's shell
	ends 7 "the command's exit code comes back" 120 bash -c \
		'echo said; echo kept > $RIG_OUT/file; exit 7'
	code=0
	grep -qx said "$work/log" && grep -qx kept "$work/out/files/file" || code=1
	result $code "its output and files come back" "$work/log"
	ends 124 "a command that never ends is a time-out" 15 sleep 1000
	ends 125 "a host that goes without a verdict fails" 120 busybox poweroff -f
	ends 126 "a panic fails" 120 sh -c 'echo c > /proc/sysrq-trigger'
	ends 126 "a warning fails, whatever the command says" 120 sh -c \
		'echo "<4>WARNING: CPU: 0 PID: 1 at foo.c:1" > /dev/kmsg'
fi
echo "1..$n"
