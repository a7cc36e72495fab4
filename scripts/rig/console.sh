#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# console.sh LOG: fail if the kernel complained in LOG, and show where.
# guilty.list has what counts as a complaint, innocent.list what a stock kernel
# says anyway; both are one extended regular expression a line.
set -euo pipefail
dir=$(cd "$(dirname "$0")" && pwd)
if [ $# != 1 ] || [ ! -r "$1" ]; then
	echo "console.sh: cannot read '${1:-}'" >&2
	exit 2
fi

list()
{
	grep -vE '^(#|$)' "$dir/$1"
}

clean=$(mktemp) hits=$(mktemp)
trap 'rm -f "$clean" "$hits"' EXIT
# Terminal escapes and carriage returns must not hide a word.
tr -d '\000\r' <"$1" | sed 's/\x1b\[[0-9;?]*[A-Za-z]//g' >"$clean"
grep -naE -f <(list guilty.list) "$clean" |
	grep -avE -f <(list innocent.list) >"$hits" || :
[ -s "$hits" ] || exit 0

n=$(wc -l <"$hits")
first=$(head -n 1 "$hits" | cut -d: -f1)
echo "rig: the kernel complained ($n lines match), first: $(head -n 1 "$hits" |
	cut -d: -f2-)"
from=$((first > 5 ? first - 5 : 1))
sed -n "$from,$((first + 40))p" "$clean" | sed 's/^/    /'
exit 1
