# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154,SC2034	# run.sh's variables
# An Intel host, emulated by Bochs: VMX with EPT on a CPU model of choice.  Its
# clock counts instructions, and what all CPUs wait for comes at once.  A boot
# takes half a minute and more, so each kind of host boots once and saves its
# state; a run goes on from there.  Sourced by run.sh.

# Instructions a second of the host's clock.  The fewer, the less emulation a
# second costs, and the larger the share that timer ticks take.
BOCHS_IPS=50000000
# Sizes of the disks with the payload and for what comes back; part of the state.
BOCHS_LOAD=64M BOCHS_HOME=64M
BOCHS_STATES=$CACHE/bochs-states

# The model that has most; on it, 6.1 takes one exception after the other when it
# has patched its own code at boot.  Older ones it boots.
bochs_model()
{
	case $kernel in
	6.1)	echo corei7_haswell_4770 ;;
	*)	echo corei7_icelake_u ;;
	esac
}

bochs_ready()
{
	model=${model:-$(bochs_model)}
	[ "$icount" = 0 ] || die "--icount is for AMD hosts: Bochs always counts"
	[ ${#qemu[@]} = 0 ] || die "--qemu is for AMD hosts"
	bochs=$("$RIG_DIR/bochs/build.sh")
}

# In MiB
bochs_mem()
{
	case $mem in
	*[Gg])	echo $((${mem%?} * 1024)) ;;
	*[Mm])	echo "${mem%?}" ;;
	*)	echo "$mem" ;;
	esac
}

# bochs_iso FILE: what the host boots from
bochs_iso()
{
	local dir=$work/iso
	mkdir -p "$dir"
	cp "$bochs"/{isolinux.bin,ldlinux.c32} "$image"/{vmlinuz,initramfs} "$dir/"
	cat >"$dir/isolinux.cfg" <<-EOF
		default rig
		prompt 0
		timeout 0
		label rig
		kernel /vmlinuz
		append initrd=/initramfs $cmdline rig.disks=ata $bochs_cmdline
	EOF
	xorriso -as mkisofs -quiet -o "$1" -b isolinux.bin -c boot.cat -no-emul-boot \
		-boot-load-size 4 -boot-info-table "$dir" >"$work/xorriso.log" 2>&1 || {
		cat "$work/xorriso.log" >&2
		die "xorriso failed"
	}
	rm -rf "$dir"
}

# bochs_config DIR: all that a run has of its own is in DIR.
bochs_config()
{
	cat <<-EOF
		config_interface: textconfig
		display_library: nogui
		memory: guest=$(bochs_mem), host=$(bochs_mem), block_size=4096
		romimage: file=$bochs/BIOS-bochs-latest
		vgaromimage: file=$bochs/vgabios.stdvga.bin
		vga: extension=vbe, update_freq=1, realtime=0
		cpu: model=$model, count=${smp%%,*}, ips=$BOCHS_IPS, reset_on_triple_fault=0, ignore_bad_msrs=1
		clock: sync=none
		pci: enabled=1, chipset=i440fx
		ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
		ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
		ata0-master: type=disk, path=$root.ext4, mode=volatile, journal=$1/changes
		ata0-slave: type=disk, path=$1/load, mode=flat
		ata1-master: type=cdrom, path=$1/boot.iso, status=inserted
		ata1-slave: type=disk, path=$1/home, mode=flat
		boot: cdrom
		com1: enabled=1, mode=file, dev=$1/console
		com2: enabled=1, mode=file, dev=$1/output
		log: $1/log
		panic: action=fatal
		error: action=ignore
		info: action=ignore
		debug: action=ignore
	EOF
}

# bochs_state: make or find the state of such a host, ready for a payload; its
# directory is state.
bochs_state()
{
	local key tmp pid start=$SECONDS said=$((SECONDS + 20))
	# indirect_target_selection: its patching of modules trips 6.12's own W^X
	# check.  The other two are self-tests that take seconds.
	bochs_cmdline="nokaslr tsc_early_khz=$((BOCHS_IPS / 1000)) \
indirect_target_selection=off cryptomgr.notests rcupdate.rcu_expedited=1 \
initcall_blacklist=load_system_certificate_list,jent_mod_init"
	key=$({ cat "$bochs/key"
		echo "${image##*/} $(stat -c %Y "$root.ext4") $cmdline $bochs_cmdline"
		echo "$BOCHS_LOAD $BOCHS_HOME"
		bochs_config .; } | sha256sum | cut -c1-16)
	state=$BOCHS_STATES/$kernel-$key
	[ ! -d "$state" ] || { touch "$state"; return 0; }
	take_lock 6 "$state.lock"
	[ ! -d "$state" ] || { exec 6>&-; return 0; }

	say "$kernel: booting an Intel host ($model) to save its state" \
		"(about 40 s, once)"
	tmp=$BOCHS_STATES/.$kernel-$key
	rm -rf "$tmp"
	mkdir -p "$tmp/saved"
	truncate -s $BOCHS_LOAD "$tmp/load"
	truncate -s $BOCHS_HOME "$tmp/home"
	bochs_iso "$tmp/boot.iso"
	bochs_config "$tmp" >"$tmp/bochsrc"
	BOCHS_SAVE=$tmp/saved "$bochs/bochs" -q -f "$tmp/bochsrc" </dev/null >"$tmp/emulator" 2>&1 &
	pid=$!
	pids+=("$pid")
	while kill -0 "$pid" 2>/dev/null && [ $((SECONDS - start)) -lt 900 ]; do
		sleep 0.2
		[ $SECONDS -ge "$said" ] || continue
		said=$((SECONDS + 20))
		say "$kernel: $((SECONDS - start)) s," \
			"$(tail -n 1 "$tmp/console" 2>/dev/null | tr -d '\r' | cut -c1-60)"
	done
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	pids=()
	if [ ! -f "$tmp/saved/virt_timer" ]; then
		cp "$tmp/console" "$console" 2>/dev/null || :
		tail -n 15 "$tmp"/{emulator,console} >&2 || :
		say "$kernel: FAILED: an Intel host ($model) does not boot"
		exit 125
	fi
	cp --sparse=always "$tmp/saved/memory.ram" "$tmp/ram"
	mv "$tmp/ram" "$tmp/saved/memory.ram"
	rm -f "$tmp"/{load,home,changes*} "$tmp"/saved/hard_drive.{0.drive1,1.drive1}.image
	# Those that were not used for longest make room.
	find "$BOCHS_STATES" -mindepth 1 -maxdepth 1 -type d ! -name '.*' -printf '%T@ %p\n' |
		sort -rn | sed -n '16,$s/^[^ ]* //p' | xargs -r -d '\n' rm -rf
	mv "$tmp" "$state"
	exec 6>&-
	say "$kernel: Intel host saved after $((SECONDS - start)) s"
}

# Starts it in the background; vm is its process.
bochs_start()
{
	local dir=$work/bochs file saved
	bochs_state
	mkdir -p "$dir/state"
	# A restored disk gets the contents that were saved: give it the payload for
	# them.  The disk for the results is all zeroes: a verdict (one sector), then
	# a tar of files.
	for file in "$state"/saved/*; do
		ln -s "$file" "$dir/state/"
	done
	truncate -s $BOCHS_LOAD "$dir/load"
	truncate -s $BOCHS_HOME "$dir/home" "$dir/state/hard_drive.1.drive1.image"
	[ "$(stat -c %s "$work/payload.tar")" -le "$(stat -c %s "$dir/load")" ] ||
		die "the payload is larger than $BOCHS_LOAD"
	mv "$work/payload.tar" "$dir/state/hard_drive.0.drive1.image"
	truncate -s $BOCHS_LOAD "$dir/state/hard_drive.0.drive1.image"
	ln -s "$state/boot.iso" "$dir/"
	saved=$BOCHS_STATES/.${state##*/}
	rm "$dir/state/config"
	sed "s|\"$saved/|\"$dir/|; s|^log: $saved/|log: $dir/|" \
		"$state/saved/config" >"$dir/state/config"
	sed -i "s|\"$dir/console\"|\"$console\"|; s|\"$dir/output\"|\"$out/output.log\"|" \
		"$dir/state/config"
	: >"$console"
	"$bochs/bochs" -q -r "$dir/state" </dev/null >"$out/emulator.log" 2>&1 &
	vm=$!
}

# Bring console, files and verdict to where the others have them.
bochs_end()
{
	local dir=$work/bochs
	cat "$state/console" "$console" >"$dir/whole" 2>/dev/null || :
	mv "$dir/whole" "$console"
	head -c 512 "$dir/home" | tr -d '\0' >"$out/verdict"
	tail -c +513 "$dir/home" 2>/dev/null | tar -C "$out/files" -xf - 2>/dev/null || :
	cat "$dir/log" >>"$out/emulator.log" 2>/dev/null || :
}
