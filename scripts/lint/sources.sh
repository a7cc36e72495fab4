# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel's own checkers, from Debian's linux-source package: no headers
# package has all of them. Kept in the cache. Sourced.

CACHE=${KVM_METER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvm_meter}
LINT_CACHE=$CACHE/lint

# lint_packages: install what the checks need if root, else say what is missing
lint_packages()
{
	local need missing=()
	for need in shellcheck:shellcheck clang-format:clang-format perl:perl xz-utils:xz \
		gcc:gcc clang:clang libc6-dev:/usr/include/stdio.h; do
		[ -e "${need#*:}" ] || command -v "${need#*:}" >/dev/null ||
			missing+=("${need%%:*}")
	done
	[ ${#missing[@]} != 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "# missing: sudo apt-get install --no-install-recommends ${missing[*]}"
		return 0
	fi
	echo "# installing ${missing[*]}"
	{
		apt-get -q update &&
			DEBIAN_FRONTEND=noninteractive apt-get -qy install \
				--no-install-recommends "${missing[@]}"
	} >"$LINT_CACHE/apt.log" 2>&1 ||
		echo "# could not: see $LINT_CACHE/apt.log"
}

# lint_sources: set KSRC to a directory with scripts/checkpatch.pl and friends
lint_sources()
{
	local pkg dir deb
	KSRC=$LINT_CACHE/linux
	mkdir -p "$LINT_CACHE"
	[ ! -s "$KSRC/scripts/checkpatch.pl" ] || return 0
	pkg=$(apt-cache depends linux-source 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-source-[0-9.]*\)$/\1/p' | head -n 1)
	[ -n "$pkg" ] || { echo "# apt knows no linux-source: apt-get update"; return 1; }
	echo "# fetching checkpatch and kernel-doc from $pkg, once"
	dir=$(mktemp -d "$LINT_CACHE/.fetch.XXXXXX")
	chmod 755 "$dir"
	if (cd "$dir" && apt-get -q download "$pkg") >"$LINT_CACHE/apt.log" 2>&1; then
		deb=$(find "$dir" -name '*.deb' | head -n 1)
		dpkg-deb --fsys-tarfile "$deb" |
			tar -xO "./usr/src/$pkg.tar.xz" |
			tar -xJ -C "$dir" --strip-components=1 --wildcards \
				'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
				'*/scripts/const_structs.checkpatch' \
				'*/scripts/kernel-doc' '*/.clang-format'
	fi
	if [ -s "$dir/scripts/checkpatch.pl" ]; then
		rm -f "$dir"/*.deb
		rm -rf "$KSRC"
		mv "$dir" "$KSRC"
		return 0
	fi
	echo "# could not get $pkg: see $LINT_CACHE/apt.log"
	rm -rf "$dir"
	return 1
}
