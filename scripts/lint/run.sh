#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [CHECK...]: how the code reads, as TAP, one line a check. What needs a
# kernel's headers (W=1 with gcc, clang and sparse) is done inside the rig's roots:
# gcc for each supported kernel, the others for the newest LTS one, FULL=1 for each.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=scripts/lint/sources.sh
. scripts/lint/sources.sh
# shellcheck source=scripts/lint/checks.sh
. scripts/lint/checks.sh
# shellcheck source=scripts/rig/common.sh
. scripts/rig/common.sh

tests=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

checks="checkpatch checkpatch_user kernel_doc clang_format shellcheck versions memslots sizes
	headers headers_user abi_docs tools_clang"
for kernel in $(kernel_names); do
	checks="$checks gcc:$kernel"
	if [ "$kernel" = "$(lts_kernel)" ] || [ "${FULL:-}" = 1 ]; then
		checks="$checks clang:$kernel sparse:$kernel"
	fi
done
[ $# = 0 ] || checks=$*

# one NAME COMMAND...
one()
{
	local name=$1 code=0 began=$SECONDS
	shift
	"$@" >"$log" || code=$?
	tests=$((tests + 1))
	if [ $code = 4 ]; then
		echo "ok $tests $name # SKIP $(tail -n 1 "$log")"
	elif [ -s "$log" ]; then
		head -n 40 "$log" | sed 's/^/# /'
		[ "$(wc -l <"$log")" -le 40 ] || echo "# ... $(wc -l <"$log") lines in all"
		echo "not ok $tests $name"
		failed=1
	elif [ $code != 0 ] && [ $code != 123 ]; then
		echo "# exit code $code"
		echo "not ok $tests $name"
		failed=1
	else
		echo "ok $tests $name"
	fi
	[ $((SECONDS - began)) -lt 20 ] || echo "# that took $((SECONDS - began)) s"
}

echo "TAP version 13"
# shellcheck disable=SC2086	# words
echo "1..$(set -- $checks; echo $#)"
mkdir -p "$LINT_CACHE"
lint_packages
lint_sources || :
for check in $checks; do
	case $check in
	shellcheck)		one "$check" shellcheck_files ;;
	gcc:* | clang:* | sparse:*)
				one "$check" in_root "${check#*:}" "${check%%:*}" ;;
	*[!a-z_]*)		one "$check" echo "there is no such check" ;;
	*)			one "$check" "$check" ;;
	esac
done
exit $failed
