# SPDX-License-Identifier: GPL-2.0
# awk -f indent.awk FORMATTED ORIGINAL: statements of the original that are
# indented otherwise than clang-format would, wherever it breaks its lines.
function text(s)
{
	sub(/\/\*.*/, "", s)
	gsub(/[[:space:]]/, "", s)
	return s
}
{
	match($0, /^\t*/)
	depth = RLENGTH
	t = text($0)
}
NR == FNR {
	seen[t] = 1
	at[t, depth] = 1
	next
}
# Only what begins a statement: no macro, label, comment or continuation.
t != "" && starts && !/\\$/ && !/:$/ && t ~ /^[a-z].*[;{)]$/ && (t in seen) && !((t, depth) in at) {
	print FILENAME ":" FNR ": indented by " depth " tabs: " t
}
t != "" {
	starts = t ~ /[;{}]$/ && !/\\$/
}
