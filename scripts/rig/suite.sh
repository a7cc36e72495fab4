# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A Debian suite: where it comes from, and whether its kernel has moved on.
# Sourced by root.sh.

MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org}

suite_sources()
{
	local base=${1%-backports}
	echo "deb $MIRROR/debian $base main"
	echo "deb $MIRROR/debian $base-updates main"
	echo "deb $MIRROR/debian-security $base-security main"
	[ "$1" = "$base" ] || echo "deb $MIRROR/debian $1 main"
}

# suite_candidate NAME SUITE PACKAGE: the version that the suite offers now.
suite_candidate()
{
	local dir=$CACHE/apt/$1 opts
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	suite_sources "$2" >"$dir/sources.list"
	opts=(-o "Dir::Etc::SourceList=$dir/sources.list"
		-o Dir::Etc::SourceParts=/dev/null -o "Dir::State=$dir/state"
		-o "Dir::Cache=$dir/cache" -o Acquire::Languages=none
		-o APT::Sandbox::User=root -o Acquire::http::Timeout=15
		-o Dir::State::status=/dev/null)
	apt-get "${opts[@]}" -qq --error-on=any update >/dev/null 2>&1 || return 1
	# madison is "package | version | source", newest first
	apt-cache "${opts[@]}" madison "$3" | awk -F' *[|] *' -v s="$2" '
		s !~ /-backports$/ || $3 ~ s { print $2; exit }'
}

# suite_moved NAME SUITE IMAGE ROOT: the suite offers a newer image than ROOT
# has.  Asked once a day at most; nobody to ask (offline) means no.
suite_moved()
{
	local have want
	[ -z "$(find "$4.checked" -mmin -1440 2>/dev/null)" ] || return 1
	have=$(dpkg-query --admindir="$4/var/lib/dpkg" -W -f '${Version}' "$3" \
		2>/dev/null) || return 0
	say "$1: asking $2 for its newest $3 (once a day)"
	if ! want=$(suite_candidate "$1" "$2" "$3") || [ -z "$want" ]; then
		say "$1: cannot reach the mirror, going on with $have"
		return 1
	fi
	touch "$4.checked"
	dpkg --compare-versions "$want" gt "$have" || return 1
	rm -f "$4.checked"
	say "$1: $2 has moved from $have to $want"
}
