#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Inside the root: fetch Debian's source of Bochs, build it with $1 jobs, leave
# what a host needs in /src/out.
set -ex

cd /src
apt-get -o APT::Sandbox::User=root -q update
# The files are checked against the signed index, so that the .dsc, which some
# mirrors do not have, is not missed.
apt-get -o APT::Sandbox::User=root -q source --download-only bochs || :
tar -xf bochs_*.orig.tar.*
cd bochs-*/
for file in ../*.patch; do
	patch -p1 <"$file"
done
export CFLAGS="-O3 -pipe" CXXFLAGS="-O3 -pipe"
./configure --enable-vmx=2 --enable-cpu-level=6 --enable-x86-64 --enable-smp \
	--enable-avx --enable-evex --enable-pci \
	--disable-large-ramfile --enable-all-optimizations --enable-handlers-chaining \
	--with-nogui --disable-show-ips --disable-stats --disable-docbook
make -j"$1" LDFLAGS=-all-static

mkdir /src/out
strip -o /src/out/bochs bochs
cp -L /usr/share/bochs/BIOS-bochs-latest /usr/share/vgabios/vgabios.stdvga.bin \
	/usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 \
	/src/out/
