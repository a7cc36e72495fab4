#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build.sh NAME: build the tree inside the root of that kernel, against its own
# headers and with its own compiler; print the directory with the result, which
# is the payload of a run.  Incremental; any compiler warning fails.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/common.sh"

[ $# = 1 ] || die "usage: build.sh NAME"
name=$1
"$RIG_DIR/deps.sh"
"$RIG_DIR/root.sh" "$name"
root=$ROOTS/$name
build=$BUILDS/$name-$(echo "$TREE" | sha256sum | cut -c1-8)
mkdir -p "$build"
take_lock 9 "$build.lock"
take_lock 8 "$root.lock" -s

# Another root, or objects that compiled with a warning: start afresh.
if [ -e "$build.dirty" ] || ! cmp -s "$root.key" "$build.key" ||
	[ "$build.key" -ot "$root.key" ]; then
	rm -rf "$build"
	mkdir -p "$build"
fi
rm -f "$build.dirty"
cat "$root.key" >"$build.key"

# The tree as git sees it, deletions included; equal files keep their times.
# Whoever checked it out: root may look.
git -c safe.directory="$TREE" -C "$TREE" ls-files -z -co --exclude-standard | sort -zu |
	while IFS= read -r -d '' file; do
		if [ -e "$TREE/$file" ] || [ -L "$TREE/$file" ]; then
			printf '%s\0' "$file"
		fi
	done >"$build.files.new"
if [ -f "$build.files" ]; then
	comm -z -23 "$build.files" "$build.files.new" |
		(cd "$build" && xargs -0 -r rm -f)
fi
mv "$build.files.new" "$build.files"
rsync -a --checksum --no-owner --no-group --from0 --files-from="$build.files" \
	"$TREE/" "$build/"

SECONDS=0
log=$build.log
ver=$(root_version "$name")
say "$name: building for $ver (modules, tests and tools; 2 minutes at most)"
code=0
RIG_ROOT=$root RIG_BUILD=$build unshare --mount --pid --fork --kill-child \
	/bin/bash -e -s >"$log" 2>&1 <<-EOF || code=$?
	mount --make-rprivate /
	mount --bind "\$RIG_BUILD" "\$RIG_ROOT/mnt"
	mount -t proc proc "\$RIG_ROOT/proc"
	mount -t tmpfs tmp "\$RIG_ROOT/tmp"
	mount --rbind /dev "\$RIG_ROOT/dev"
	exec chroot "\$RIG_ROOT" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/bin/bash /mnt/scripts/rig/guest/build.sh "$ver" $(nproc)
EOF
if [ $code != 0 ]; then
	tail -n 40 "$log" >&2
	die "$name: the build failed; the log is $log"
fi
if grep -A 6 -E '(warning|WARNING):' "$log" >&2; then
	touch "$build.dirty"
	die "$name: the build warned; the log is $log"
fi
say "$name: built in $SECONDS s"
echo "$build"
