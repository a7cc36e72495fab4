#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shapes.sh HOST PROGRAM: the shapes of hosts of that kind (amd, intel) in which a
# test program runs, by the file machines.
machines=$(dirname "$0")/machines

# Twice: a shape may be said after who is in it.
exec awk -v host="$1" -v program="$2" '
	/^(#|$)/ { next }
	$1 ~ /:$/ && NR == FNR {
		name = substr($1, 1, length($1) - 1)
		for (i = 2; i < NF; i++)
			if ($i == "--host")
				of[name] = $(i + 1)
		next
	}
	$2 == "@" && NR > FNR {
		# A line of its own counts more than one of many.
		wild = $1
		rank = $1 == program ? 2 : sub(/[*]$/, "", wild) && index(program, wild) == 1
		if (!rank || rank < best)
			next
		if (rank > best)
			found = ""
		best = rank
		for (i = 3; i <= NF; i++)
			if (of[$i] == host)
				found = found $i "\n"
			else if ($i == "default" || $i == host "/default")
				found = found "default\n"
	}
	END { printf "%s", found ? found : "default\n" }' "$machines" "$machines"
