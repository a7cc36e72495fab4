#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench: run selftests/bench/run.sh on each kernel in a host whose clock
# counts instructions, and show what it prints.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/rig/common.sh"

"$RIG_DIR/deps.sh"
code=0
for kernel in ${KERNEL:-$(kernel_names)}; do
	payload=$("$RIG_DIR/build.sh" "$kernel")
	say "$kernel: measuring under icount"
	"$RIG_DIR/run.sh" --kernel "$kernel" --icount --timeout 900 --live \
		--payload "$payload" -- selftests/bench/run.sh || code=$?
done
exit $code
