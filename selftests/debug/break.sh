#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# In a host with the debug kernel: make each mistake of broken.ko in turn, with
# a line on the console before and after, so that its report can be told apart.
# "faults" prints their names in that order and does nothing else. Lockdep ends
# with the first report of a lock, and all it does with KASAN's: those come last.

cd "$(dirname "$0")" || exit 1

faults="none rcu atomic-sleep preemptible shift list active-timer leak
	hung-task rcu-stall soft-lockup lock-inversion out-of-bounds use-after-free"

if [ "${1:-}" = faults ]; then
	# shellcheck disable=SC2086	# words
	echo $faults
	exit
fi

mark()
{
	echo "<5>rig fault $1: $2" >/dev/kmsg
}

for fault in $faults; do
	case $fault in
	hung-task)	echo 3 >/proc/sys/kernel/hung_task_timeout_secs ;;
	rcu-stall)	echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout ;;
	soft-lockup)	echo 3 >/proc/sys/kernel/watchdog_thresh ;;
	esac
	mark begin "$fault"
	[ "$fault" != leak ] || ./detectors.sh begin >/dev/null
	echo "$fault: $(date +%s)"
	insmod broken.ko fault="$fault" || mark "cannot load" "$fault"
	[ "$fault" != leak ] || ./detectors.sh end
	rmmod broken
	case $fault in
	hung-task)	echo 0 >/proc/sys/kernel/hung_task_timeout_secs ;;
	rcu-stall)	echo 60 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout ;;
	soft-lockup)	echo 30 >/proc/sys/kernel/watchdog_thresh ;;
	esac
	mark end "$fault"
done
