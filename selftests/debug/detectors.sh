#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# detectors.sh begin|end: TAP. On the debug kernel, before the tests: what is
# armed to catch mistakes, and a clean slate for kmemleak. After them: is all
# of it still armed, and has memory leaked?

kmemleak=/sys/kernel/debug/kmemleak
config=/lib/modules/$(uname -r)/config
n=0

result() # exit code, name
{
	n=$((n + 1))
	[ "$1" = 0 ] || printf "not "
	echo "ok $n $2"
}

# Each ends by itself when it has reported something, or for want of memory.
alive()
{
	code=0
	grep -q '^ debug_locks: *1$' /proc/lockdep_stats || {
		echo "# lockdep is off"
		code=1
	}
	echo scan=off >$kmemleak || {
		echo "# kmemleak is off"
		code=1
	}
	grep -q '^pool_free' /sys/kernel/debug/debug_objects/stats || {
		echo "# debugobjects is off"
		code=1
	}
	dmesg | grep -E 'ODEBUG disabled|leak detector disabled|locking correctness validator' &&
		code=1
	return $code
}

case $1 in
begin)
	echo 1..2
	grep -E '^CONFIG_(KASAN|PROVE|DEBUG_(ATOMIC|PREEMPT|LIST|OBJECTS|KMEMLEAK|SPINLOCK|MUTEXES|RWSEMS|VM)|UBSAN|FAIL|FAULT|SOFTLOCKUP|DETECT_HUNG|WQ_WATCHDOG|PREEMPT)[A-Z_]*=y' \
		"$config" | sed 's/=y//' | xargs | fold -s -w 90 | sed 's/^/# /'
	alive
	result $? "the debug kernel's detectors are armed"
	echo clear >$kmemleak && code=0 || code=1
	result $code "kmemleak forgets what was before"
	;;
end)
	echo 1..2
	# What was freed through RCU or by a worker is on its way; and an object
	# is suspected when it is 5 s old and has not changed between two scans.
	sleep 7
	echo scan >$kmemleak
	sleep 1
	echo scan >$kmemleak
	cat $kmemleak >/tmp/kmemleak
	sed 's/^/# /' /tmp/kmemleak | head -n 120
	[ -s /tmp/kmemleak ] && code=1 || code=0
	result "$code" "no memory has leaked"
	alive
	result $? "the detectors are still armed"
	;;
esac
exit 0
