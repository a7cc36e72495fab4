#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kernel.sh NAME: build, or find in the cache, the kernel of that name in
# kernels.list here, from Debian's source package; print the directory that has
# the files for a root. It is built anew when the configuration, the recipe or
# the version of Debian's kernel changes.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/../common.sh"

[ $# = 1 ] || die "usage: kernel.sh NAME"
name=$1
here=$RIG_DIR/debug
read -r _ base source <<<"$(kernel_line "$name")"
read -r _ _ image _ <<<"$(kernel_line "$base")"
"$RIG_DIR/root.sh" "$base"

# The source of the very image in the root that it comes from.
version=$(dpkg-query --admindir="$ROOTS/$base/var/lib/dpkg" -W -f '${Version}' "$image")
key=$({ echo "$version $source"
	grep -vE '^#( |$)' "$here/kernel.config"
	grep '^# CONFIG' "$here/kernel.config"
	grep -vE '^#' "$here/kernel-build.sh"; } | sha256sum | cut -c1-16)
kernels=$CACHE/kernels
kernel=$kernels/$name-$key

found()
{
	[ -d "$kernel" ] || return 1
	touch "$kernel"
	echo "$kernel/result"
}

found && exit 0
take_lock 9 "$kernels/$name.lock"
found && exit 0

tmp=$kernels/.$name.$$ pid=
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
# What builds that were killed left; the lock says that no other is at it.
rm -rf --one-file-system "$kernels/.$name".[0-9]*
mkdir -p "$tmp/root" "$tmp/build"
log=$kernels/$name.log
objects=$(cat "$kernels/$name.objects" 2>/dev/null || echo 2300)
SECONDS=0
say "$name: building its kernel from $source $version, once for this configuration:"
say "$name: 20 minutes on two CPUs, an hour on busy ones, 5 GB meanwhile; the log is $log"

# In a copy of the root, which gets what only this build needs.
take_lock 8 "$ROOTS/$base.lock" -s
cp -a --reflink=auto "$ROOTS/$base/." "$tmp/root/"
exec 8>&-
cp "$here/kernel.config" "$here/kernel-build.sh" "$tmp/build/"
cp /etc/resolv.conf "$tmp/root/etc/resolv.conf"
RIG_ROOT=$tmp/root RIG_BUILD=$tmp/build nice -n 5 unshare --mount --pid --fork \
	--kill-child /bin/bash -e -s >"$log" 2>&1 <<-END &
	mount --make-rprivate /
	mount --bind "\$RIG_BUILD" "\$RIG_ROOT/mnt"
	mount -t proc proc "\$RIG_ROOT/proc"
	mount -t tmpfs tmp "\$RIG_ROOT/tmp"
	mount --rbind /dev "\$RIG_ROOT/dev"
	exec chroot "\$RIG_ROOT" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
		http_proxy=${http_proxy:-} https_proxy=${https_proxy:-} \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/bin/bash /mnt/kernel-build.sh "$source=$version"
END
pid=$!
built()
{
	grep -cE '^  (CC|AS|LD|AR) ' "$log" || :
}
said=0
while kill -0 $pid 2>/dev/null; do
	sleep 1
	[ $((SECONDS - said)) -ge 30 ] || continue
	said=$SECONDS
	say "$name: $((SECONDS / 60)) min $((SECONDS % 60)) s," \
		"$(sed -n 's/^step: //p' "$log" | tail -n 1)," \
		"$(built) of about $objects objects"
done
if ! wait $pid; then
	tail -n 30 "$log" >&2
	die "$name: the kernel's build failed; the log is $log"
fi
pid=
built >"$kernels/$name.objects"
rm -rf --one-file-system "$tmp/root" "$tmp/build/linux"
mv "$tmp/build" "$kernel"
# Keep this one and the one before.
find "$kernels" -mindepth 1 -maxdepth 1 -type d -name "$name-*" -printf '%T@ %p\n' |
	sort -rn | sed -n '3,$s/^[^ ]* //p' | xargs -r -d '\n' rm -rf --one-file-system
say "$name: kernel built in $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$kernel/result"
