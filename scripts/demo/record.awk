# SPDX-License-Identifier: GPL-2.0
# awk -f record.awk INFO RECORD: shorten bpftool's view of a kvm_meter_vcpu
# record: all fields up to the exit reasons, then the first two reasons that
# were met, with their names from kvm_meter_info.
NR == FNR {
	if (/"code":/)
		slot++
	if (/"name":/) {
		gsub(/[",]/, "", $2)
		name[slot - 1] = $2
	}
	next
}
/"reasons": \[/ { print "        \"reasons\": ["; reasons = 1; next }
!reasons { print; next }
/"count":/ {
	n++
	met = $2 + 0 > 0
	total += met
	if (met && total <= 2)
		print "            {                   # slot " n - 1 ", " name[n - 1]
}
/^ *},?{?$/ {
	if (met && total <= 2)
		print "            },"
	met = 0
}
met && total <= 2 { print }
END { printf "            ... %d reasons met, %d slots\n", total, n }
