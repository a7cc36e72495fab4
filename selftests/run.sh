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
# usage: run.sh [--host] [pattern]...
#
# Programs whose name contains one of the patterns are run. Each has TEST_TIMEOUT
# seconds (default 600). With RIG_DEBUG=1, on the rig's debug kernel, what that
# has to catch mistakes is looked at before and after them.

cd "$(dirname "$0")" || exit 1

host=0
if [ "${1:-}" = --host ]; then
	host=1
	shift
fi
patterns=$*
limit=${TEST_TIMEOUT:-600}
# An emulated host does little in a second of its clock: see lib/tap.c.
[ "${RIG_ACCEL:-kvm}" = kvm ] || limit=$((limit * 5))

unload()
{
	for module in kvm_harden kvm_meter; do
		[ -d "/sys/module/$module" ] || continue
		rmmod "$module" && continue
		sleep 1
		rmmod "$module" || return
	done
}

# Is this the shape of host that the program asks for? Outside the rig any is.
here() # program
{
	[ "$host" = 0 ] && [ -n "${RIG_MACHINE:-}" ] || return 0
	./shapes.sh "${RIG_HOST:-amd}" "$1" | grep -qx "$RIG_MACHINE"
}

wanted() # program
{
	[ -n "$patterns" ] || return 0
	for pattern in $patterns; do
		case $1 in
		*"$pattern"*) return 0 ;;
		esac
	done
	return 1
}

# What a program says, with lines of "@begin name" and "@end status" around it.
run_one() # name, command...
{
	echo "@begin $1"
	shift
	timeout -k 10 "$limit" "$@" 2>&1
	rc=$?
	echo
	echo "@end $rc"
}

run_all()
{
	[ "${RIG_DEBUG:-}" != 1 ] || run_one detectors debug/detectors.sh begin
	for program in "$dir"/*; do
		[ -f "$program" ] || continue
		[ -x "$program" ] || continue
		name=$(basename "$program")
		wanted "$name" || continue
		here "$name" || continue
		case " ${RIG_LEAVE:-} " in
		*" $name "*)
			run_one "$name" echo "1..1
ok 1 all of it # SKIP left out here; FULL=1 runs it"
			continue
			;;
		esac
		run_one "$name" "$program"
		[ "$host" = 1 ] || unload || echo "@loaded"
	done
	[ "${RIG_DEBUG:-}" != 1 ] || run_one detectors debug/detectors.sh end
	echo "@all"
}

report() # verdict, name
{
	n=$((n + 1))
	case $1 in
	not*) failed=1 ;;
	esac
	echo "$1 $n $2"
}

ended() # exit status
{
	case $1 in
	124 | 137) report "not ok" "$name: ends within $limit s" ;;
	0 | 1 | 4)
		if [ "$plan" != "$seen" ] || [ "$seen" = 0 ]; then
			report "not ok" "$name: ran $seen of $plan tests"
		fi
		;;
	*) report "not ok" "$name: exit status $1" ;;
	esac
}

# Renumber, and put the program's name before each test's.
flatten()
{
	n=0
	failed=0
	while IFS= read -r line; do
		case $line in
		"@begin "*)
			name=${line#@begin }
			plan=0
			seen=0
			;;
		"@end "*) ended "${line#@end }" ;;
		"@loaded") report "not ok" "$name: the modules can be unloaded after it" ;;
		"@all")
			echo "1..$n"
			exit "$failed"
			;;
		"" | "TAP version"*) ;;
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
	done
	exit 1
}

if [ "$host" = 1 ]; then
	dir=${KSELFTEST_OUT:-out/unit}
else
	dir=${KSELFTEST_OUT:-out}
	modprobe -q kvm_amd 2>/dev/null || modprobe -q kvm_intel 2>/dev/null
fi

echo "TAP version 13"
run_all | flatten
