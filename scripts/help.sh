#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What `make help` says.
set -euo pipefail
cd "$(dirname "$0")/.."

cat <<EOF
Build
  make                    kvm_meter/kvm_meter.ko and kvm_harden/kvm_harden.ko for
                          the running kernel
  make KDIR=DIR           for the kernel whose headers are in DIR
  make install            install the modules (modules_install)
  make clean              remove what make made

See it run; needs root and Debian 12 or 13, nothing else
  make demo               a KVM host boots, two tenants run, the meter shows them,
                          kvm_harden keeps them apart on a core
  make demo HOST=intel    on an Intel host (small guests where that is emulated)

Test; the same needs
  make check              every test on every supported kernel, AMD and Intel
  make check QUICK=1      under 5 minutes: the newest LTS kernel, the programs that
                          find most, unit tests
  make check KERNEL=6.12  on that one only (blanks between several)
  make check HOST=intel   on one kind of host only: amd or intel
  make check TEST=WORD    only the tests and suites with WORD in their names
  make check DEBUG=1      all of them on a kernel built to catch mistakes (KASAN,
                          lockdep, kmemleak...), after a test that it does; builds
                          that kernel first, once: 20 to 60 minutes
  make bench              instructions per exit, with KERNEL=... as above
  make lint               the static checks only

Variables
  KERNEL=NAME...          of: $(awk '!/^ *(#|$)/ { print $1 }' scripts/kernels.list | xargs)
                          (scripts/kernels.list)
  FULL=1                  check runs on every host what else it runs on some only
                          (what it left out is a skip; shapes with --only in
                          selftests/machines are not named), and repeats five
                          times as often what finds more by being repeated; lint
                          asks clang and sparse for every kernel
  JOBS=N                  CPUs to keep busy with hosts (all of them); an emulated
                          host takes 1, with CPUs in parallel 2
  RIG_TIMEOUT=SECONDS     for all tests of one host (2700; with DEBUG=1 10800)
  KVM_METER_CACHE=DIR     roots, builds and logs of runs (~/.cache/kvm_meter)
  DEBIAN_MIRROR=URL       where roots come from (http://deb.debian.org)
  V=1                     check shows all output as it comes
  RIG_ACCEL=kvm|tcg       how hosts run: by KVM, or emulated (KVM where it nests)

Loaded, as root (Documentation/admin-guide/)
  insmod kvm_meter/kvm_meter.ko      max_vcpus=N max_ended=N armed=Y|N
                                     energy_source=auto|none energy_interval_ms=N
                                     active_budget_ppm=N active_window_ms=N
                                     active_slow_windows=N active_samples=N
  make -C scripts/tools [install]    kvmmeter, the operator's tool
  insmod kvm_harden/kvm_harden.ko    mode=off|dry-run|on assume=ibpb,l1d (tests)
  echo off|dry-run|on > /sys/kernel/kvm_harden/flush/mode
  echo N > /sys/kernel/kvm_harden/vms/ID/domain; echo POLICY > .../flush
  echo 'vm=ID gpa=HEX size=HEX deny=rwx action=stop' > /sys/kernel/kvm_harden/zones/create

A command of your own in such a host:
  scripts/rig/run.sh --kernel 6.12 --live -- uname -a
  scripts/rig/run.sh --kernel 6.12 --host intel --live -- uname -a
  scripts/rig/run.sh --kernel 6.12 --payload "\$(scripts/rig/build.sh 6.12)" --live -- \\
      sh -c 'insmod kvm_meter/kvm_meter.ko; cat /sys/kernel/kvm_meter/status'
EOF
