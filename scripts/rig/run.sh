#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh --kernel NAME [options] [--] COMMAND...: boot a disposable KVM host of
# that kernel, run COMMAND in it, bring back its output, files and verdict.
#
#   --host KIND        amd (the default) or intel
#   --model CPU        of an emulated Intel host (see README.md)
#   --machine SHAPE    a shape by its name in selftests/machines
#   --smp SMP          QEMU's -smp (2)       --mem SIZE    memory (2G)
#   --tcg-thread MODE  emulate CPUs in turn by a clock that counts instructions
#                      (counted, the default; fine: four times as many in a
#                      second), in parallel (multi), or in turn by the machine's
#                      clock (single)
#   --icount           a nanosecond is an instruction: repeatable; one CPU; AMD
#   --timeout S        give up after S seconds (600)
#   --payload DIR      comes to lie in /run/rig/tree; the command starts there
#   --out DIR          keep console, output and files there
#   --append ARGS      for the kernel's command line
#   --qemu ARGS        for QEMU's command line, split at blanks; AMD hosts only
#   --env NAME=VALUE   in COMMAND's environment
#   --no-kvm           do not load kvm_amd or kvm_intel
#   --live             show the output as it appears     --quiet   show none
#
# Files that COMMAND leaves in /run/rig/out come back to OUT/files.  Exit code:
# COMMAND's own; 124 on a time-out, 125 if no verdict came, 126 if the kernel
# complained on the console.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/rig/accel.sh
. "$RIG_DIR/accel.sh"
# shellcheck source=scripts/rig/qemu.sh
. "$RIG_DIR/qemu.sh"
# shellcheck source=scripts/rig/bochs.sh
. "$RIG_DIR/bochs.sh"

kernel='' host=amd model='' tcg_thread='' smp=2 mem=2G icount=0 timeout=600 payload='' out=''
append='' qemu=()
load_kvm=1 show=end envs=()

options()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel)	kernel=$2; shift ;;
		--host)		host=$2; shift ;;
		--model)	model=$2; shift ;;
		--machine)	machine "$2"; shift ;;
		--smp)		smp=$2; shift ;;
		--mem)		mem=$2; shift ;;
		--tcg-thread)	tcg_thread=$2; shift ;;
		--icount)	icount=1 smp=1 ;;
		--only)		shift ;; # of a shape, for check.sh
		--timeout)	timeout=$2; shift ;;
		--payload)	payload=$2; shift
				[ -n "$payload" ] || die "--payload: no directory" ;;
		--out)		out=$2; shift ;;
		--append)	append+=" $2"; shift ;;
		--qemu)		read -ra more <<<"$2"; qemu+=("${more[@]}"); shift ;;
		--env)		envs+=("$2"); shift ;;
		--no-kvm)	load_kvm=0 ;;
		--live)		show=live ;;
		--quiet)	show=none ;;
		--)		shift; break ;;
		-h | --help)	sed -n '3,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit ;;
		-*)		die "no option $1; see run.sh --help" ;;
		*)		break ;;
		esac
		shift
	done
	command=("$@")
}

# A shape is the options of its line; a blank within an option is not possible.
machine()
{
	local file=$TREE/selftests/machines line saved
	[ "$1" = default ] && [ ! -f "$file" ] && return
	line=$(sed -n "s/^$1:[[:space:]]*//p" "$file" 2>/dev/null)
	[ -n "$line" ] || [ "$1" = default ] || grep -q "^$1:" "$file" ||
		die "no shape '$1' in selftests/machines"
	read -ra saved <<<"$line"
	options "${saved[@]}"
}

main()
{
	options "$@"
	if [ -z "$kernel" ] || [ ${#command[@]} = 0 ]; then
		die "a kernel and a command are needed; see run.sh --help"
	fi
	kernel_line "$kernel" >/dev/null
	[ -z "$payload" ] || [ -d "$payload" ] || die "no directory '$payload' for --payload"
	# While the CPU is identified, the kernel forgets for a moment that it has
	# five levels of page tables: KASAN takes what an interrupt touches for wild.
	! own_kernel "$kernel" || append+=" no5lvl"
	"$RIG_DIR/deps.sh"
	work=$(mktemp -d "${TMPDIR:-/tmp}/rig.XXXXXX")
	pids=()
	# shellcheck disable=SC2317	# run by the trap
	cleanup()
	{
		local pid
		for pid in "${pids[@]}"; do
			kill "$pid" 2>/dev/null || :
		done
		rm -rf "$work"
	}
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	"$RIG_DIR/root.sh" "$kernel"
	image=$("$RIG_DIR/image.sh" "$kernel")
	accel=$(accel_pick "$host" "$icount")
	emulator=$(accel_emulator "$accel")
	"${emulator}_ready"
	root=$ROOTS/$kernel
	cmdline="console=ttyS0,115200 loglevel=7 panic=-1 oops=panic tsc=reliable \
no_timer_check random.trust_cpu=on rcupdate.rcu_cpu_stall_timeout=60 \
watchdog_thresh=30 printk.devkmsg=on$append"

	if [ -z "$out" ]; then
		mkdir -p "$RUNS"
		# Keep the last runs only.
		find "$RUNS" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn |
			sed -n '40,$s/^[^ ]* //p' | xargs -r -d '\n' rm -rf
		out=$(mktemp -d "$RUNS/$kernel.$(date +%m%d-%H%M%S).XXXX")
	fi
	mkdir -p "$out/files"

	cp "$RIG_DIR/guest/init.sh" "$work/"
	{
		printf '#!/bin/bash\nexec'
		printf ' %q' "${command[@]}"
		echo
	} >"$work/cmd"
	{
		echo "RIG_LOAD_KVM=$load_kvm RIG_DATE=$(date +%s)"
		printf 'export %q\n' "RIG_KERNEL=$kernel" "RIG_HOST=$host" \
			"RIG_ACCEL=$accel" "RIG_ICOUNT=$icount" RIG_OUT=/run/rig/out "TERM=${TERM:-linux}" \
			"COLUMNS=${COLUMNS:-$(tput cols 2>/dev/null || echo 80)}" \
			"LINES=${LINES:-$(tput lines 2>/dev/null || echo 24)}" "${envs[@]}"
	} >"$work/env"
	parts=(-C "$work" init.sh cmd env)
	if [ -n "$payload" ]; then
		# not while another build is changing it
		[ ! -e "$payload.lock" ] || take_lock 7 "$payload.lock" -s
		# dereference the argument only: links inside the payload stay links
		parts+=(--anchored --exclude='./kvm_*/*.o' --no-anchored
			--exclude='.*.cmd' --exclude=.git
			--transform='flags=r;s,^\./,tree/,;s,^\.$,tree,'
			-C "$(cd "$payload" && pwd)" .)
	fi
	tar --owner=0 --group=0 -cf "$work/payload.tar" "${parts[@]}"
	exec 7>&-

	console=$out/console.log
	rm -f "$out"/{console.log,output.log,files.tar,verdict}
	: >"$out/output.log"
	"${emulator}_start"
	pids+=("$vm")
	if [ $show = live ]; then
		tail -q -n +1 -s 0.1 -f --pid="$vm" "$out/output.log" 2>/dev/null &
		tail=$!
	fi

	late=0 end=$((SECONDS + timeout))
	while kill -0 "$vm" 2>/dev/null; do
		if [ $SECONDS -ge $end ]; then
			late=1
			kill -KILL "$vm"
			break
		fi
		sleep 0.1
	done
	code=0
	wait "$vm" 2>/dev/null || code=$?
	pids=()
	"${emulator}_end"
	[ $show != live ] || wait "$tail" || :
	[ $show != end ] || cat "$out/output.log"
	[ ! -s "$out/files.tar" ] || tar -C "$out/files" -xf "$out/files.tar" || :
	rm -f "$out/files.tar"

	# One reason ends the run; the console is looked at in every case.
	guilty=0
	"$RIG_DIR/console.sh" "$console" >&2 || guilty=1
	if [ $late = 1 ]; then
		say "$kernel: FAILED: no end after $timeout s; the console is $console"
		tail -n 15 "$console" >&2
		exit 124
	elif [ $guilty = 1 ]; then
		say "$kernel: FAILED: the kernel complained; the console is $console"
		exit 126
	elif ! verdict=$(sed -n 's/^exit \([0-9]*\)$/\1/p' "$out/verdict" 2>/dev/null) ||
		[ -z "$verdict" ]; then
		say "$kernel: FAILED: no verdict ($emulator's exit code $code);" \
			"the console is $console"
		tail -n 15 "$out/emulator.log" "$console" >&2
		exit 125
	fi
	exit "$verdict"
}

# In one go, and it exits itself: this file may change while it runs.
main "$@"
