#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run the test programs one after another and print flat lines
#
#	ok <n> <program>: <test>
#
# with the plan at the end. Runs as root on a KVM host; with --host it runs
# the unit tests, which need neither.
#
# usage: run.sh [--host] [pattern]
#
# Programs whose name contains the pattern are run. Each has TEST_TIMEOUT
# seconds (default 300).

cd "$(dirname "$0")" || exit 1

host=0
if [ "${1:-}" = --host ]; then
	host=1
	shift
fi
pattern=${1:-}
limit=${TEST_TIMEOUT:-300}
n=0
failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

report() # verdict, name
{
	n=$((n + 1))
	case $1 in
	not*) failed=1 ;;
	esac
	echo "$1 $n $2"
}

unload()
{
	[ -d /sys/module/kvm_meter ] || return 0
	rmmod kvm_meter && return 0
	sleep 1
	rmmod kvm_meter
}

# Renumber what a program prints and put its name before each test's.
run()
{
	name=$(basename "$1")
	timeout -k 10 "$limit" "$1" >"$log" 2>&1
	rc=$?
	plan=0
	seen=0
	while IFS= read -r line; do
		case $line in
		"TAP version"*) ;;
		1..*) plan=${line#1..} ;;
		"ok "* | "not ok "*)
			verdict=${line%%ok *}ok
			rest=${line#*ok }
			report "$verdict" "$name: ${rest#* }"
			seen=$((seen + 1))
			;;
		"#"*) echo "$line" ;;
		*) echo "# $line" ;;
		esac
	done <"$log"
	if [ "$rc" = 124 ] || [ "$rc" = 137 ]; then
		report "not ok" "$name: ends within $limit s"
	elif [ "$rc" != 0 ] && [ "$rc" != 1 ] && [ "$rc" != 4 ]; then
		report "not ok" "$name: exit status $rc"
	elif [ "$plan" != "$seen" ] || [ "$seen" = 0 ]; then
		report "not ok" "$name: ran $seen of $plan tests"
	fi
}

if [ "$host" = 1 ]; then
	dir=${KSELFTEST_OUT:-out/unit}
else
	dir=${KSELFTEST_OUT:-out}
	modprobe -q kvm_amd 2>/dev/null || modprobe -q kvm_intel 2>/dev/null
fi

echo "TAP version 13"
for program in "$dir"/*; do
	[ -f "$program" ] && [ -x "$program" ] || continue
	case $(basename "$program") in
	*"$pattern"*) ;;
	*) continue ;;
	esac
	run "$program"
	if [ "$host" = 0 ] && ! unload; then
		report "not ok" "$(basename "$program"): the module can be unloaded after it"
	fi
done
echo "1..$n"
exit "$failed"
