#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build.sh: make, or find in the cache, the Bochs that emulates Intel hosts, with
# its BIOS and a boot loader; print the directory.  Debian's own package has a
# debugger built in and runs at half the speed, so it is built from Debian's
# source package, in a root that is thrown away.  Linked statically, it runs on
# any machine.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/../common.sh"
# shellcheck source=scripts/rig/suite.sh
. "$RIG_DIR/suite.sh"

suite=trixie
here=$RIG_DIR/bochs
key=$(cat "$here/build.sh" "$here/in-root.sh" "$here"/*.patch | sha256sum | cut -c1-16)
# Work trees with another recipe that share the cache have another.
dir=$CACHE/bochs-$key

fresh()
{
	[ -x "$dir/bochs" ]
}

main()
{
	if fresh; then
		echo "$dir"
		return
	fi
	"$RIG_DIR/deps.sh"
	take_lock 9 "$CACHE/bochs.lock"
	if fresh; then
		echo "$dir"
		return
	fi

	tmp=$CACHE/.bochs.$$ pid=
	# shellcheck disable=SC2317	# run by the trap
	cleanup()
	{
		if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
			wait "$pid" || :
		fi
		rm -rf --one-file-system "$tmp"
	}
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	rm -rf --one-file-system "$CACHE"/.bochs.[0-9]*
	mkdir -p "$tmp"
	say "bochs: building the emulator of Intel hosts (about 4 minutes, once)"
	SECONDS=0
	build >"$CACHE/bochs.log" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 1
		[ $((SECONDS % 20)) != 0 ] || say "bochs: ${SECONDS} s," \
			"$(find "$tmp/root/src" -name '*.o' 2>/dev/null | wc -l)" \
			"of about 320 objects"
	done
	if ! wait $pid; then
		tail -n 20 "$CACHE/bochs.log" >&2
		die "bochs: the build failed; the log is $CACHE/bochs.log"
	fi
	pid=
	echo "$key" >"$tmp/out/key"
	find "$CACHE" -mindepth 1 -maxdepth 1 -type d -name 'bochs-*' ! -name bochs-states \
		-printf '%T@ %p\n' | sort -rn | sed -n '4,$s/^[^ ]* //p' |
		xargs -r -d '\n' rm -rf
	mv "$tmp/out" "$dir"
	say "bochs: built in $SECONDS s"
	echo "$dir"
}

build()
{
	{
		suite_sources "$suite"
		suite_sources "$suite" | sed 's/^deb /deb-src /'
	} | mmdebstrap --mode=root --variant=minbase \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Retries "3"' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--include=g++,make,libc6-dev,patch,xz-utils,bochsbios,vgabios,isolinux,syslinux-common \
		"$suite" "$tmp/root" -
	mkdir "$tmp/root/src"
	cp "$here/in-root.sh" "$here"/*.patch "$tmp/root/src/"
	nice chroot "$tmp/root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/bin/bash /src/in-root.sh "$(nproc)"
	mv "$tmp/root/src/out" "$tmp/out"
}

main "$@"
exit
