#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# modules.sh DIR MODULE...: this kernel's modules of these names and what they need,
# unpacked, for a guest with the same kernel; DIR/order has them in the order to load.
set -e
dir=$1
shift
mkdir -p "$dir"
for module; do
	modprobe --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r path; do
		file=${path##*/}
		case $path in
		*.xz)	xz -dc "$path" >"$dir/${file%.xz}" ;;
		*.zst)	zstd -qdc "$path" >"$dir/${file%.zst}" ;;
		*)	cp "$path" "$dir/" ;;
		esac
		file=${file%.xz}
		echo "${file%.zst}"
	done >"$dir/order"
