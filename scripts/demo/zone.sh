# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The act with a no-go zone: somebody has taken over a tenant's kernel and reads
# a page that he should not. Sourced.

zones=/sys/kernel/kvm_harden/zones

# zone_loot CONSOLE SECONDS: what the thief prints meanwhile
zone_loot()
{
	local lines
	lines=$(wc -l <"$1")
	sleep "$2"
	shown "tail -f console of the tenant"
	tail -n +$((lines + 1)) "$1" | grep 'stolen' | tail -n 2 || :
}

# zone_act MODULE CONSOLE PID
zone_act()
{
	local vm gpa id
	headline "A tenant's kernel is compromised: it reads a page with a secret, again and again."
	harden_load "$1" >/dev/null
	vm=$(harden_find_one "$3")
	gpa=$(tenant_secret_gpa)
	zone_loot "$2" 5

	headline "A no-go zone over it, under the running guest. The thief gets a fault."
	shown "echo 'vm=$vm gpa=$gpa size=0x1000 deny=rwx action=fault name=secret' > $zones/create"
	echo "vm=$vm gpa=$gpa size=0x1000 deny=rwx action=fault name=secret" >$zones/create
	id=$(cat $zones/last_id)
	zone_loot "$2" 5
	shown "grep . $zones/$id/{state,violations,last_gpa,last_access,last_rip}"
	(cd $zones && grep . "$id"/{state,violations,last_gpa,last_access,last_rip})

	headline "The zone goes; what it kept is as it was."
	shown "echo 1 > $zones/$id/remove"
	echo 1 >"$zones/$id/remove"
	zone_loot "$2" 5
	harden_unload
}
