# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Tenants: QEMU/KVM guests with this host's kernel, busybox and a small disk; or,
# where booting one takes too long, guests of a few instructions (DEMO_SMALL=1).
# Sourced.

# tenant_small: the program that runs one
tenant_small()
{
	echo "$(cd "${BASH_SOURCE[0]%/*}" && pwd)/../../selftests/out/demo/tenant"
}

tenant_secret=$((0xf800000))	# guest-physical: beyond what its Linux uses
tenants=()	# process ids
tenant_names=()

tenant_secret_gpa()
{
	printf '%#x\n' "$tenant_secret"
}

# tenant_image DIR: the initramfs that all of them boot, and the kernel
tenant_image()
{
	local dir=$1 root=$1/root busybox file
	tenant_kernel=
	for file in "/boot/vmlinuz-$(uname -r)" "/usr/lib/modules/$(uname -r)/vmlinuz"; do
		[ ! -r "$file" ] || tenant_kernel=$file
	done
	[ -n "$tenant_kernel" ] || { echo "demo: no vmlinuz of $(uname -r)" >&2; return 1; }
	busybox=$(command -v busybox) || { echo "demo: no busybox" >&2; return 1; }
	mkdir -p "$root"/{bin,dev,proc,sys}
	cp "$busybox" "$root/bin/busybox"
	"${BASH_SOURCE[0]%/*}/../../selftests/guest/modules.sh" "$root/mod" virtio_pci virtio_blk
	cp "${BASH_SOURCE[0]%/*}/tenant-init.sh" "$root/init"
	chmod 755 "$root/init"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$dir/initramfs"
}

# tenant_start DIR NAME VCPUS LIFE UUID
tenant_start()
{
	local dir=$1 name=$2 vcpus=$3 life=$4 uuid=$5 group=/sys/fs/cgroup/$2 small secret=''
	[ "$life" != sleepy ] || secret=" secret=$(tenant_secret_gpa)"
	small=$(tenant_small)
	mkdir -p "$group" 2>/dev/null || group=
	truncate -s 16M "$dir/$name.disk"
	(
		[ -z "$group" ] || echo 0 >"$group/cgroup.procs" || :
		[ "${DEMO_SMALL:-}" != 1 ] ||
			exec "$small" -name "$name" -uuid "$uuid" "$life" "$vcpus" \
				>"$dir/$name.console"
		exec qemu-system-x86_64 -name "$name,process=$name" -uuid "$uuid" \
			-accel kvm -cpu host -smp "$vcpus" -m 256 -M pc \
			-nodefaults -no-user-config -display none -no-reboot \
			-kernel "$tenant_kernel" -initrd "$dir/initramfs" \
			-append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check \
mitigations=off rcupdate.rcu_expedited=1 mem=$((tenant_secret >> 20))M iomem=relaxed life=$life$secret" \
			-serial "file:$dir/$name.console" \
			-drive "if=none,id=disk,format=raw,file=$dir/$name.disk" \
			-device virtio-blk-pci,drive=disk
	) </dev/null >"$dir/$name.log" 2>&1 &
	tenants+=("$!")
	tenant_names+=("$name")
	echo "$name: $vcpus vCPU, uuid $uuid, pid $!"
}

# tenants_wait DIR SECONDS: until all have booted
tenants_wait()
{
	local dir=$1 end=$((SECONDS + $2)) start=$SECONDS i up=() said=0
	while [ ${#up[@]} -lt ${#tenants[@]} ]; do
		for i in "${!tenants[@]}"; do
			[ -z "${up[i]:-}" ] || continue
			if grep -q 'tenant is up' "$dir/${tenant_names[i]}.console" 2>/dev/null; then
				up[i]=1
				echo "${tenant_names[i]} is up after $((SECONDS - start)) s"
			elif ! kill -0 "${tenants[i]}" 2>/dev/null || [ $SECONDS -ge $end ]; then
				echo "demo: ${tenant_names[i]} does not boot:" >&2
				tail -n 20 "$dir/${tenant_names[i]}".{log,console} >&2
				return 1
			fi
		done
		if [ $((SECONDS - start)) -ge $((said + 5)) ]; then
			said=$((SECONDS - start))
			echo "booting, $said s (about 20 s where the host is emulated)"
		fi
		sleep 0.3
	done
}

tenants_stop()
{
	local pid name
	for pid in "${tenants[@]}"; do
		kill "$pid" 2>/dev/null || :
	done
	for pid in "${tenants[@]}"; do
		wait "$pid" 2>/dev/null || :
	done
	for name in "${tenant_names[@]}"; do
		rmdir "/sys/fs/cgroup/$name" 2>/dev/null || :
	done
	tenants=() tenant_names=()
}
