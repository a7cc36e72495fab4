#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make check: every test on every supported kernel.
#
# Suites: "rig" (does the rig see what it should), "host" (unit tests on this
# machine), "lint", then one per kernel, kind of host and shape of it: the tree is
# built in the kernel's root, a host boots, selftests/run.sh runs in it.  All speak
# TAP.  KERNEL, HOST, TEST, QUICK, JOBS and V: see make help.  DEBUG=1: an AMD host
# of the debug kernel instead, after the suite "debug" (does it see what it is for).
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/rig/common.sh"

{ # read as a whole, as this file may change while it runs
start=$SECONDS
# A quick look: the newest LTS kernel, and the programs that find most in least time.
declare -A quick=([amd]="exits time_guest sysfs_abi flush_abi flush_params" [intel]="exits sysfs_abi")
lts=$(lts_kernel)
# Left out unless FULL=1 or TEST asks for it, as it takes long: what depends least on
# the kernel, on AMD hosts but that of the newest LTS kernel;
leave_amd="flush_model flush_params flush_unload overflow zone_abi zone_hostile zone_life
	zone_stress zone_text"
# on emulated Intel hosts what AMD's show as well, and takes long there;
leave_intel="$leave_amd zone_backing zone_device zone_paravirt zone_pinned
	active_life energy helpers io params zone_linux zone_refused zone_slots zone_vmm"
# and on those of the other kernels what Intel's with that one and AMD's with each
# show as well.
leave_most="$leave_intel active linux_guest readers robust steal time_idle time_sched unload
	zone_emulator"
if [ "${QUICK:-}" = 1 ] && [ "${DEBUG:-0}" = 0 ]; then
	KERNEL=${KERNEL:-$lts}
else
	QUICK=
fi
debug=${DEBUG:-0}
case $debug in
0)	all=$(kernel_names | xargs) kinds="amd intel" ;;
1)	all=$(own_kernel_names | xargs) kinds=amd ;;
*)	die "DEBUG=$debug: must be 0 or 1" ;;
esac
read -ra hosts <<<"${HOST:-$kinds}"
for host in "${hosts[@]}"; do
	[[ $host =~ ^(amd|intel)$ ]] || die "no host '$host'; there are: amd intel"
done
read -ra kernels <<<"${KERNEL:-$all}"
for kernel in "${kernels[@]}"; do
	kernel_line "$kernel" >/dev/null
	own_kernel "$kernel" && own=1 || own=0
	[ "$own" = "$debug" ] || die "KERNEL=$kernel does not go with DEBUG=$debug"
done
pattern=${TEST:-}
slots=${JOBS:-$(nproc)}
unset MAKEFLAGS MFLAGS KERNEL TEST HOST DEBUG

"$RIG_DIR/deps.sh"
mkdir -p "$RUNS"
out=$(mktemp -d "$RUNS/check.$(date +%m%d-%H%M%S).XXXX")
results=$out/results
: >"$results"
trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM

fail()
{
	printf 'fail\t%s\t%s\t%s\n' "$1" "$2" "$3" >>"$results"
	say "$1: FAILED: $2: $3"
}

# tally SUITE LOG: take the results of a TAP stream over, show what failed.
tally()
{
	"$TREE/scripts/tap.sh" "$1" <"$2" >"$2.results"
	cat "$2.results" >>"$results"
	# What a failed test said: all since the result before it.
	awk '/^(not )?ok( |$)/ {
			if (/^not /)
				printf "%s    %s\n", said, $0
			said = ""
			next
		}
		{ said = said "    " $0 "\n" }' "$2" | tail -n 200
	awk -F '\t' -v s="$1" '{ n[$1]++ } END {
		printf "rig: %s: %d passed, %d failed, %d skipped\n", s,
			n["pass"], n["fail"], n["skip"] }' "$2.results"
}

# wanted SUITE: with TEST, only what has that in its name.
wanted()
{
	[ -z "$pattern" ] || [[ $1 == *"$pattern"* ]]
}

# suite NAME COMMAND...: run one here, on this machine.
suite()
{
	local name=$1 code=0
	shift
	wanted "$name" || return 0
	say "$name: running"
	if [ "${V:-}" = 1 ]; then
		"$@" 2>&1 | tee "$out/$name.log" || code=$?
	else
		"$@" >"$out/$name.log" 2>&1 || code=$?
	fi
	tally "$name" "$out/$name.log"
	if [ $code != 0 ] && ! grep -q '^not ok' "$out/$name.log"; then
		tail -n 20 "$out/$name.log"
		fail "$name" "(exit)" "exit code $code without a failed test"
	fi
}

prepare()
{
	"$RIG_DIR/root.sh" "$1" && "$RIG_DIR/image.sh" "$1" >/dev/null &&
		"$RIG_DIR/build.sh" "$1" >"$out/$1.payload"
}

# programs HOST: the programs that are wanted there, as patterns for run.sh
programs()
{
	if [ -n "$pattern" ]; then
		echo "$pattern"
	elif [ -n "$QUICK" ]; then
		echo "${quick[$1]}"
	fi
}

# shapes HOST: those that the wanted programs ask for, see selftests/machines
shapes()
{
	local file program word words
	words=$(programs "$1")
	for file in "$TREE"/selftests/kvm_*/*.c; do
		program=$(basename "$file" .c)
		for word in ${words:-""}; do
			[[ $program == *"$word"* ]] || continue
			"$TREE/selftests/shapes.sh" "$1" "$program"
			break
		done
	done | awk -v quick="$QUICK" '!seen[$0]++ && (!quick || $0 == "default")'
}

# due KERNEL SHAPE: is it a shape for that kernel? FULL=1: all are.
due()
{
	local only
	only=$(sed -n "s/^$2:.*--only \([^ ]*\).*/\1/p" "$TREE/selftests/machines")
	[ -z "$only" ] || [ "$only" = "$1" ] || [ "$debug" = 1 ] || [ "${FULL:-}" = 1 ] ||
		[ -n "$pattern" ]
}

# cost HOST SHAPE: the CPUs of this machine that such a host keeps busy
cost()
{
	if grep -q "^$2:.*--tcg-thread multi" "$TREE/selftests/machines"; then
		echo 2
	else
		echo 1
	fi
}

# How long a host took when all of it ran last, to say how long it may take.
times=$CACHE/times
took()
{
	cat "$times/$1" 2>/dev/null || echo 300
}

# The debug kernel takes several times as many instructions for the same, so that its
# CPUs do more of them in a second; and KASAN's shadow takes an eighth of the memory.
extra=(--timeout "${RIG_TIMEOUT:-2700}")
if [ "$debug" = 1 ]; then
	extra=(--timeout "${RIG_TIMEOUT:-10800}" --mem 3G --tcg-thread fine
		--env RIG_DEBUG=1 --env TEST_TIMEOUT=2400)
fi

# boot KERNEL HOST SHAPE: one host; what came of it goes to files only.  SUITE - -
# is a suite that needs none of this machine's attention, beside the hosts.
boot()
{
	local name=$1.$2.$3 dir=$out/$1.$2.$3 code=0 words left=
	mkdir -p "$dir"
	if [ "$2" = - ]; then
		echo $SECONDS >"$dir/began"
		case $1 in
		rig)	"$RIG_DIR/selftest.sh" "${ready[@]:0:1}" ;;
		lint)	"$TREE/scripts/lint/run.sh" ;;
		esac >"$dir/output.log" 2>"$dir/rig.log" || code=$?
		echo $code >"$dir/code"
		return
	fi
	words=$(programs "$2")
	if [ "${FULL:-}" != 1 ] && [ -z "$pattern" ] && [ "$debug" = 0 ]; then
		case $2.$1 in
		amd."$lts")	;;
		amd.*)	left=$leave_amd ;;
		intel."$lts")	left=$leave_intel ;;
		*)	left=$leave_most ;;
		esac
		left=$(xargs <<<"$left")
	fi
	echo $SECONDS >"$dir/began"
	# shellcheck disable=SC2086	# words
	"$RIG_DIR/run.sh" --kernel "$1" "${extra[@]}" --host "$2" --machine "$3" \
		--env "RIG_MACHINE=$3" --env "FULL=${FULL:-}" --env "RIG_LEAVE=$left" \
		--out "$dir" --quiet --payload "$(cat "$out/$1.payload")" \
		-- selftests/run.sh $words >"$dir/rig.log" 2>&1 || code=$?
	if [ $code -lt 2 ] && [ -z "$words" ]; then
		mkdir -p "$times"
		echo $((SECONDS - $(cat "$dir/began"))) >"$times/$name"
	fi
	echo $code >"$dir/code"
}

collect()
{
	local name=$1/$2/$3 dir=$out/$1.$2.$3 code
	name=${name%/default} name=${name%/-/-}
	code=$(cat "$dir/code" 2>/dev/null || echo 1)
	[ "${V:-}" != 1 ] || cat "$dir/output.log"
	[ -f "$dir/output.log" ] || : >"$dir/output.log"
	tally "$name" "$dir/output.log"
	case $code in
	124 | 125 | 126)
		cat "$dir/rig.log"
		fail "$name" "(host)" "$(grep -m 1 FAILED: "$dir/rig.log" |
			sed 's/.*FAILED: //')"
		;;
	0)	;;
	*)
		if ! grep -q '^not ok' "$dir/output.log"; then
			tail -n 20 "$dir/rig.log" "$dir/output.log"
			fail "$name" "(exit)" \
				"exit code $code without a failed test"
		fi
		;;
	esac
}

# progress: what each running host is at, a line each.
progress()
{
	local dir
	for dir in "$out"/*.*/; do
		[ -f "$dir/began" ] || continue
		[ ! -f "$dir/code" ] || continue
		say "$(basename "$dir" | sed -E 's/\.(amd|intel)\./\/\1\//; s/\/default$//; s/\.-\.-$//'):" \
			"$((SECONDS - $(cat "$dir/began"))) s," \
			"$(grep -cE '^(not )?ok ' "$dir/output.log" 2>/dev/null || :)" \
			"results, last:" \
			"$(tail -n 1 "$dir/output.log" 2>/dev/null | cut -c1-60)"
	done
}

say "kernels: ${kernels[*]}; hosts: ${hosts[*]}; logs in $out"
declare -A preparing
for kernel in "${kernels[@]}"; do
	prepare "$kernel" &
	preparing[$kernel]=$!
done
ready=()
for kernel in "${kernels[@]}"; do
	if wait "${preparing[$kernel]}"; then
		ready+=("$kernel")
	else
		fail "$kernel" "(build)" "no root, or the build failed; see above"
	fi
done

if [ "$debug" = 1 ]; then
	for kernel in "${ready[@]}"; do
		suite debug "$RIG_DIR/debug/selftest.sh" "$kernel" \
			"$(cat "$out/$kernel.payload")"
	done
else
	[ -z "$QUICK" ] || suite rig "$RIG_DIR/selftest.sh"
	if make -s -n -C "$TREE/selftests" check-host >/dev/null 2>&1; then
		suite host make -s --no-print-directory -C "$TREE/selftests" check-host
	fi
fi

shown=$SECONDS
todo=()
if [ "$debug" = 0 ] && [ -z "$QUICK" ]; then
	for suite in lint rig; do
		! wanted $suite || todo+=("$suite - -")
	done
fi
case $pattern in
rig | host | lint | debug) ;;
*)
	for kernel in "${ready[@]}"; do
		for host in "${hosts[@]}"; do
			for shape in $(shapes "$host"); do
				! due "$kernel" "$shape" ||
					todo+=("$kernel $host $shape")
			done
		done
	done
	;;
esac
# What takes longest first.
mapfile -t todo < <(for job in "${todo[@]}"; do
	echo "$(took "${job// /.}") $job"
done | sort -s -k 1,1nr | cut -d ' ' -f 2-)
running=() busy=0

# Start what fits beside what runs; a host that is too large for the machine runs
# alone.
start_some()
{
	local job later=() need name
	for job in "${todo[@]}"; do
		read -r kernel host shape <<<"$job"
		need=$(cost "$host" "$shape")
		if [ $busy != 0 ] && [ $((busy + need)) -gt "$slots" ]; then
			later+=("$job")
			continue
		fi
		name=$kernel/$host/$shape name=${name%/default} name=${name%/-/-}
		boot "$kernel" "$host" "$shape" &
		running+=("$job")
		busy=$((busy + need))
		say "$name: begins (about $(took "$kernel.$host.$shape") s)"
	done
	todo=("${later[@]}")
}

while [ ${#todo[@]} != 0 ] || [ ${#running[@]} != 0 ]; do
	[ ${#todo[@]} = 0 ] || start_some
	sleep 0.2
	still=()
	for job in "${running[@]}"; do
		read -r kernel host shape <<<"$job"
		if [ -f "$out/$kernel.$host.$shape/code" ]; then
			busy=$((busy - $(cost "$host" "$shape")))
			collect "$kernel" "$host" "$shape"
		else
			still+=("$job")
		fi
	done
	running=("${still[@]}")
	if [ $((SECONDS - shown)) -ge 20 ]; then
		progress
		shown=$SECONDS
	fi
done

count()
{
	grep -c "^$1" "$results" || :
}
passed=$(count pass) failed=$(count fail) skipped=$(count skip)
echo
[ "$skipped" = 0 ] || awk -F '\t' '$1 == "skip" {
	printf "skipped  %s  %s  (%s)\n", $2, $3, $4 }' "$results"
[ "$failed" = 0 ] || awk -F '\t' '$1 == "fail" {
	printf "FAILED   %s  %s%s\n", $2, $3, $4 == "" ? "" : "  (" $4 ")" }' "$results"
echo "logs: $out ($((SECONDS - start)) s)"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
exit
}
