#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make demo: boot a KVM host and run scripts/demo/host.sh in it, live.  HOST=intel
# makes it an Intel host.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/rig/common.sh"

# shellcheck source=scripts/rig/accel.sh
. "$RIG_DIR/accel.sh"

kernel=${KERNEL:-6.12} host=${HOST:-amd} small=
payload=$("$RIG_DIR/build.sh" "$kernel")
[ "$(accel_pick "$host" 0)" != bochs ] || small=1
exec "$RIG_DIR/run.sh" --kernel "$kernel" --host "$host" --tcg-thread multi \
	--smp 2 --timeout 900 --live --env "DEMO_SMALL=$small" \
	--env "DEMO_TTY=$([ -t 1 ] && echo 1)" \
	--payload "$payload" -- scripts/demo/host.sh
