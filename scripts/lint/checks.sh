# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2317	# run.sh calls them by name
# The checks that need no kernel headers. Sourced by run.sh.

# Files of the tree, new ones too, generated ones not.
files()
{
	local f
	git ls-files -co --exclude-standard -- "$@" | while read -r f; do
		[ ! -f "$f" ] || echo "$f"
	done
}

# Public headers are for both: they count as what user space compiles.
module_files()
{
	files 'kvm_*/*.[ch]' 'include/compat/*.h'
}

user_files()
{
	files 'include/kvm_*/*.h' 'selftests/*.[ch]' 'scripts/*.[ch]'
}

# checkpatch_run IGNORE: of the files on stdin
checkpatch_run()
{
	[ -s "$KSRC/scripts/checkpatch.pl" ] || { echo "no checkpatch.pl"; return 4; }
	xargs -r perl "$KSRC/scripts/checkpatch.pl" --no-tree --strict --terse --show-types \
		--no-summary -f --max-line-length=100 \
		--ignore "$(grep -v '^#' "$1" | paste -sd,)" 2>&1
}

# Each check prints what is wrong; silence is well. Exit code 4: cannot be done here.

checkpatch()	# the modules: as the kernel would
{
	# TRACE_EVENT() is written in a style of its own all over the kernel
	module_files | checkpatch_run scripts/lint/checkpatch.ignore.module |
		grep -vE '/trace\.h:[0-9]+: CHECK:(PARENTHESIS_ALIGNMENT|OPEN_ENDED_LINE)' || :
}

checkpatch_user()	# the public headers, tools and tests
{
	user_files | checkpatch_run scripts/lint/checkpatch.ignore.user
}

kernel_doc()
{
	[ -s "$KSRC/scripts/kernel-doc" ] || { echo "no kernel-doc"; return 4; }
	{ module_files; files 'include/kvm_*/*.h'; } |
		xargs -r perl "$KSRC/scripts/kernel-doc" -none 2>&1 |
		grep -E '(warning|error):' || :
}

# The kernel's own .clang-format disagrees with much of the kernel in where lines
# break, so only what it can tell for certain is asked: the indentation of code,
# where breaking lines is left as it is.
clang_format()
{
	local f style formatted
	command -v clang-format >/dev/null || { echo "no clang-format"; return 4; }
	[ -s "$KSRC/.clang-format" ] || { echo "no .clang-format"; return 4; }
	style=$(mktemp "$LINT_CACHE/clang-format.XXXX") formatted=$(mktemp "$LINT_CACHE/formatted.XXXX")
	sed -e 's/^ColumnLimit:.*/ColumnLimit: 0/' "$KSRC/.clang-format" >"$style"
	{ module_files; user_files; } | grep -vxFf scripts/lint/clang-format.exclude |
		while read -r f; do
			clang-format --style="file:$style" "$f" >"$formatted" &&
				awk -f scripts/lint/indent.awk "$formatted" "$f"
		done
	rm -f "$style" "$formatted"
}

shellcheck_files()
{
	command -v shellcheck >/dev/null || { echo "no shellcheck"; return 4; }
	files '*.sh' .ci/run | xargs -r shellcheck -x -P "$PWD" -f gcc
}

versions()
{
	files 'kvm_*/*' | xargs -r grep -nE 'LINUX_VERSION_CODE|KERNEL_VERSION\(' || :
}

# The macro names its set of slots twice; KVM swaps two sets while others walk.
memslots()
{
	module_files | xargs -r grep -nE 'kvm_for_each_memslot\([^()]*\(' || :
}

sizes()	# files stay small; see the house rules
{
	files '*.c' '*.h' '*.sh' '*.awk' | xargs -r wc -l |
		awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines, at most 800" }
			$2 ~ /^kvm_[a-z]*\/main.c$/ && $1 > 120 { print $2 ": " $1 " lines, at most 120" }'
}

headers()	# each header of the modules is included first somewhere, by its own file
{
	local h c
	for h in $(files 'kvm_*/*.h'); do
		c=${h%.h}.c
		[ -f "$c" ] || continue
		[ "$(sed -n 's/^#include ["<]\(.*\)[">]/\1/p' "$c" | head -n 1)" = "${h##*/}" ] ||
			echo "$c: includes something before its own ${h##*/}"
	done
}

headers_user()	# the public headers, told by their license, compile alone
{
	local h
	for h in $(files 'include/kvm_meter/*.h' 'include/kvm_harden/*.h'); do
		grep -q 'Linux-syscall-note' "$h" || continue
		gcc -std=gnu99 -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c "$h" 2>&1
		gcc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c "$h" 2>&1
	done
}

# Each field of the tables is in the documents, with the same meaning; a counter
# is a file in sysfs as well. That the files are there is for the tests.
abi_docs()
{
	local dir=Documentation/ABI/testing module maps kind name meaning
	for module in kvm_meter kvm_harden; do
		maps=$(tr -s ' \t\n' ' ' <"$dir/bpf-maps-$module")
		sed -nE 's/^\t([CFSHN])\(([^",]*, )?([a-z0-9_]+), "(.*)"\).*/\1 \3 \4/p' \
			"include/$module/metrics.h" | sed 's/\\"/"/g' |
			while read -r kind name meaning; do
				[[ $maps == *" $name $meaning "* ]] ||
					echo "$dir/bpf-maps-$module: not '$name $meaning'"
				[[ $kind != [CH] ]] || grep -q "^What:.*/$name\$" "$dir/sysfs-kernel-$module" ||
					echo "$dir/sysfs-kernel-$module: no $name"
			done
	done
}

tools_clang()	# what is written for user space, with another compiler
{
	local f
	command -v clang >/dev/null || { echo "no clang"; return 4; }
	for f in $(files 'scripts/tools/*.c'); do
		clang -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wmissing-prototypes \
			-Iinclude -fsyntax-only "$f" 2>&1
	done
}

in_root() { scripts/lint/in-root.sh "$@" 2>&1; }

