# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154,SC2034	# run.sh's variables
# A host by QEMU: an AMD one emulated by TCG, or either kind by KVM where that
# nests.  Sourced by run.sh.

# qemu_root NAME: the kernel whose root has the QEMU to use, so that the same one
# runs wherever the rig runs.  Before 8.1, TCG translates a page without locking
# it, and code that the guest kernel patches meanwhile (jump labels: "Oops: int3")
# may stay stale: bookworm's 7.2 will not do, take that of the newest suite then.
qemu_root()
{
	local version
	version=$(dpkg-query --admindir="$ROOTS/$1/var/lib/dpkg" \
		-W -f '${Version}' qemu-system-x86)
	if dpkg --compare-versions "$version" ge 1:8.1; then
		echo "$1"
	else
		kernel_names | tail -n 1
	fi
}

# qemu_command NAME: how to run the QEMU of that root, a word a line.
qemu_command()
{
	local root=$ROOTS/$1
	printf '%s\n' env "QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu" \
		"$root/lib64/ld-linux-x86-64.so.2" \
		--library-path "$root/usr/lib/x86_64-linux-gnu" \
		"$root/usr/bin/qemu-system-x86_64" \
		-L "$root/usr/share/qemu" -L "$root/usr/share/seabios"
}

# accel_args ACCEL ICOUNT: QEMU's options for it, one a line.  TCG has no
# invariant TSC bit of its own, though its TSC is one: the host's, or the counter
# of instructions.  That one is the default, at sixteen nanoseconds each: time does not
# depend on what else the machine does, nobody waits while all CPUs are idle, and
# the CPUs run in turn, which guests survive that TCG's parallel CPUs now and then
# do not.  Where a test compares times, four nanoseconds each are closer to a CPU.
accel_args()
{
	local mode=${tcg_thread:-counted}
	[ "$2" = 0 ] || mode=exact
	if [ "$1" = kvm ] && [ "$mode" != exact ]; then
		printf '%s\n' -accel kvm -cpu host,migratable=off,+invtsc
		return
	fi
	case $mode in
	exact)		printf '%s\n' -accel tcg -icount shift=0,sleep=off ;;
	counted)	printf '%s\n' -accel tcg -icount shift=4,sleep=off ;;
	fine)		printf '%s\n' -accel tcg -icount shift=2,sleep=off ;;
	multi | single)	printf '%s\n' -accel "tcg,thread=$mode" ;;
	*)		die "no --tcg-thread '$mode'; there are: counted fine multi single" ;;
	esac
	printf '%s\n' -cpu max,+invtsc,x-force-features=on
}

qemu_ready()
{
	local name
	name=$(qemu_root "$kernel")
	"$RIG_DIR/root.sh" "$name"
	mapfile -t qemu_words < <(qemu_command "$name")
}

# Starts it in the background; vm is its process.
qemu_start()
{
	local args
	mapfile -t args < <(accel_args "$accel" "$icount")
	"${qemu_words[@]}" -nodefaults -no-user-config -display none -no-reboot \
		-M q35 "${args[@]}" -smp "$smp" -m "$mem" \
		-kernel "$image/vmlinuz" -initrd "$image/initramfs" -append "$cmdline" \
		-chardev "file,id=console,path=$console" -serial chardev:console \
		-drive "if=none,id=root,format=raw,snapshot=on,file=$root.ext4" \
		-device virtio-blk-pci,drive=root,addr=0x10 \
		-drive "if=none,id=load,format=raw,readonly=on,file=$work/payload.tar" \
		-device virtio-blk-pci,drive=load,addr=0x11 \
		-device virtio-serial-pci,addr=0x12 \
		-chardev "file,id=output,path=$out/output.log" \
		-device virtserialport,nr=1,chardev=output \
		-chardev "file,id=files,path=$out/files.tar" \
		-device virtserialport,nr=2,chardev=files \
		-chardev "file,id=verdict,path=$out/verdict" \
		-device virtserialport,nr=3,chardev=verdict \
		"${qemu[@]}" </dev/null \
		2> >(grep -v CPUID.80000007H:EDX.invtsc >"$out/emulator.log") &
	vm=$!
}

# Files and verdict came by ports of their own.
qemu_end()
{
	:
}
