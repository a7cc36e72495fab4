#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kernel-build.sh SOURCE=VERSION: inside a root, in /mnt: build the kernel of
# kernel.config from Debian's source package, and leave in /mnt/result what goes
# to a root's file system. Lines of "step: ..." say how far it is.
set -euo pipefail

cd /mnt
export DEBIAN_FRONTEND=noninteractive
step()
{
	echo "step: $*"
}

# The compiler is the root's own, so that modules are built by the same.
step "installing the kernel's build tools and source"
apt-get -q update
apt-get -qy install --no-install-recommends flex bison bc lz4 pahole libelf-dev \
	libc6-dev xz-utils tar kmod python3-minimal
apt-get -q download "$1"

step "unpacking the source"
dpkg-deb --fsys-tarfile ./linux-source-*.deb | tar -x --wildcards '*.tar.xz'
mkdir linux
tar -xf usr/src/linux-source-*.tar.xz -C linux --strip-components=1
rm -rf usr linux-source-*.deb

cd linux
step "configuring"
export KBUILD_BUILD_USER=rig KBUILD_BUILD_HOST=rig
make -s tinyconfig
scripts/kconfig/merge_config.sh -m .config ../kernel.config >/dev/null
make -s olddefconfig
missing=$(grep -E '^(CONFIG_|# CONFIG_.* is not set)' ../kernel.config |
	while IFS= read -r line; do
		case $line in
		'# '*)	option=${line#\# }
			! grep -q "^${option%% *}=" .config || echo "$line" ;;
		*)	grep -qxF -- "$line" .config || echo "$line" ;;
		esac
	done)
if [ -n "$missing" ]; then
	echo "not in the configuration that came of kernel.config:"
	echo "$missing"
	exit 1
fi

step "compiling"
make -j"$(nproc)" bzImage modules

step "collecting"
ver=$(make -s kernelrelease)
to=/mnt/result/usr/lib/modules/$ver
make -s INSTALL_MOD_PATH=/mnt/result/usr INSTALL_MOD_STRIP=1 modules_install
rm -rf "$to/build" "$to/source"
cp arch/x86/boot/bzImage "$to/vmlinuz"
cp .config "$to/config"
make -s run-command KBUILD_RUN_COMMAND="sh scripts/package/install-extmod-build $to/build"
# For the reader of a trace: scripts/faddr2line.
cp vmlinux scripts/faddr2line /mnt/
