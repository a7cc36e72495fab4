#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make demo: boot a KVM host and run scripts/demo/host.sh in it, live.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/rig/common.sh"

kernel=${KERNEL:-6.12}
payload=$("$RIG_DIR/build.sh" "$kernel")
exec "$RIG_DIR/run.sh" --kernel "$kernel" --smp 2 --timeout 600 --live \
	--env "DEMO_TTY=$([ -t 1 ] && echo 1)" \
	--payload "$payload" -- scripts/demo/host.sh
