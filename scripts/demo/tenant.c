// SPDX-License-Identifier: GPL-2.0
/*
 * tenant -name NAME -uuid UUID LIFE VCPUS: a guest for the demo where a Linux in
 * QEMU would take too long to boot, on an emulated Intel host. It does with its
 * time what those in tenant-init.sh do.
 *
 * busy: the first vCPU computes without end, the others write to a port.
 * sleepy: asleep; a timer wakes it every 50 ms.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm.h"

int main(int argc, char **argv)
{
	unsigned int nr;
	struct vm *vm;
	bool busy;

	if (argc != 7) {
		fprintf(stderr, "usage: tenant -name NAME -uuid UUID busy|sleepy VCPUS\n");
		return 2;
	}
	prctl(PR_SET_NAME, argv[2]);
	busy = !strcmp(argv[5], "busy");
	nr = atoi(argv[6]);
	vm = vm_create(nr, VM_IRQCHIP);
	for (unsigned int i = 0; i < nr; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (!busy)
			vcpu_program(v, guest_timer, ~0ull, 50 * NSEC_PER_MSEC);
		else if (!i)
			vcpu_program(v, guest_spin, 1, 0);
		else
			vcpu_program(v, guest_work_io, ~0ull, 100000);
		vcpu_start(v, -1);
	}
	puts("tenant is up");
	fflush(stdout);
	for (unsigned int i = 0; i < nr; i++)
		vcpu_join(&vm->vcpus[i]);
	return 0;
}
