#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# tap.sh SUITE <TAP: turn a flat TAP stream into lines of
# RESULT <tab> SUITE <tab> NAME <tab> REASON
# A stream without a plan, or with another number of tests than planned, is a
# failure of its own: the run ended early.
exec awk -v suite="$1" '
function result(what, name, why)
{
	printf "%s\t%s\t%s\t%s\n", what, suite, name, why
}
{ sub(/\r$/, "") }
/^1\.\.[0-9]+/ {
	planned = 1
	plan = substr($1, 4) + 0
	next
}
/^(not )?ok( |$)/ {
	n++
	what = /^not / ? "fail" : "pass"
	name = $0
	sub(/^(not )?ok *[0-9]* *(- )?/, "", name)
	why = ""
	if (match(name, / *# *[Ss][Kk][Ii][Pp]/)) {
		why = substr(name, RSTART + RLENGTH)
		name = substr(name, 1, RSTART - 1)
		sub(/^ */, "", why)
		if (what == "pass")
			what = "skip"
	}
	result(what, name == "" ? "test " n : name, why)
}
/^Bail out!/ {
	result("fail", $0, "")
	next
}
END {
	if (!planned)
		result("fail", "(plan)", "no plan: the run ended early after " n + 0 " results")
	else if (plan != n)
		result("fail", "(plan)", plan " tests planned, " n + 0 " results")
}'
