// SPDX-License-Identifier: GPL-2.0
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUID_MAX	256
#define EFER_LME	0x100
#define EFER_LMA	0x400
#define APIC_X2APIC	0x400
#define APIC_ENABLED	0x800
#define PTE_TABLE	0x7
#define PTE_LARGE	0x87

#define CPUID_INTERFACE	0x40000001
#define HYPERV_INTERFACE 0x31237648	/* "Hv#1" */

static int kvm_fd = -1;
static struct kvm_cpuid2 *cpuid;
static size_t run_size;

static void kvm_open(void)
{
	if (kvm_fd >= 0)
		return;
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	REQUIRE(kvm_fd >= 0, "/dev/kvm: %s", strerror(errno));
	run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	cpuid = calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(cpuid->entries[0]));
	REQUIRE(cpuid, "out of memory");
	cpuid->nent = CPUID_MAX;
	REQUIRE(!ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID: %s",
		strerror(errno));
}

void need_kvm(void)
{
	if (!file_exists("/dev/kvm"))
		tap_skip("no /dev/kvm");
}

bool kvm_is_intel(void)
{
	return file_exists("/sys/module/kvm_intel");
}

int vm_set_slot(struct vm *vm, __u32 slot, __u32 flags, __u64 gpa, void *mem, __u64 size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (unsigned long)mem,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

void vm_add_memory(struct vm *vm, __u32 slot, __u64 gpa, void *mem, __u64 size)
{
	int ret = vm_set_slot(vm, slot, 0, gpa, mem, size);

	REQUIRE(!ret, "KVM_SET_USER_MEMORY_REGION: %s", strerror(-ret));
}

void vm_gate(struct vm *vm, __u64 idt, unsigned int vector, const char *handler)
{
	__u64 *gate = (__u64 *)(vm->mem + idt + vector * 16);
	__u64 to = GUEST_CODE + (handler - guest_start);

	gate[0] = (to & 0xffff) | (8ull << 16) | (0x8eull << 40) | ((to >> 16) & 0xffff) << 48;
	gate[1] = to >> 32;
}

/* Page tables that map 4 GiB one to one, a GDT, and an IDT with one gate. */
static void vm_fill_memory(struct vm *vm)
{
	__u64 *pml4 = (__u64 *)(vm->mem + GUEST_PML4), *pdpt = pml4 + 512, *pd = pdpt + 512;
	__u64 *gdt = (__u64 *)(vm->mem + GUEST_GDT);

	memcpy(vm->mem + GUEST_CODE, guest_start, guest_end - guest_start);
	pml4[0] = (GUEST_PML4 + 0x1000) | PTE_TABLE;
	for (__u64 i = 0; i < 4; i++)
		pdpt[i] = (GUEST_PML4 + 0x2000 + i * 0x1000) | PTE_TABLE;
	for (__u64 i = 0; i < 4 * 512; i++)
		pd[i] = (i << 21) | PTE_LARGE;
	gdt[1] = 0x00af9b000000ffffull;
	gdt[2] = 0x00cf93000000ffffull;
	vm_gate(vm, GUEST_IDT, GUEST_VECTOR, guest_irq);
}

struct vm *vm_create_bare(unsigned int flags)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	REQUIRE(vm, "out of memory");
	kvm_open();
	vm->flags = flags;
	vm->fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	REQUIRE(vm->fd >= 0, "KVM_CREATE_VM: %s", strerror(errno));
	fcntl(vm->fd, F_SETFD, FD_CLOEXEC);
	/* Intel needs a home for a TSS; AMD takes it and does nothing. */
	ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000);
	if (flags & VM_IRQCHIP)
		REQUIRE(!ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP: %s",
			strerror(errno));
	return vm;
}

static void vcpu_set_long_mode(struct vcpu *v)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	REQUIRE(!ioctl(v->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS: %s", strerror(errno));
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.gdt.base = GUEST_GDT;
	sregs.gdt.limit = 23;
	sregs.idt.base = GUEST_IDT;
	sregs.idt.limit = 0xfff;
	sregs.cr3 = GUEST_PML4;
	sregs.cr4 |= 0x20;
	sregs.cr0 |= 0x80000001;
	sregs.efer |= EFER_LME | EFER_LMA;
	if (v->vm->flags & VM_IRQCHIP)
		sregs.apic_base |= APIC_ENABLED | APIC_X2APIC;
	REQUIRE(!ioctl(v->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS: %s", strerror(errno));
}

/* SynIC whose pages KVM clears when the guest names them. */
static void become_hyperv(struct vcpu *v)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC };
	struct kvm_cpuid2 *own;
	size_t size = sizeof(*own) + cpuid->nent * sizeof(own->entries[0]);

	own = malloc(size);
	REQUIRE(own, "out of memory");
	memcpy(own, cpuid, size);
	for (unsigned int i = 0; i < own->nent; i++)
		if (own->entries[i].function == CPUID_INTERFACE)
			own->entries[i].eax = HYPERV_INTERFACE;
	REQUIRE(!ioctl(v->fd, KVM_SET_CPUID2, own), "KVM_SET_CPUID2: %s", strerror(errno));
	free(own);
	if (ioctl(v->fd, KVM_ENABLE_CAP, &cap))
		tap_skip("no SynIC: %s", strerror(errno));
}

struct vcpu *vm_add_vcpu(struct vm *vm, unsigned int id)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct vcpu *v = &vm->vcpus[vm->nr];

	memset(v, 0, sizeof(*v));
	v->vm = vm;
	v->id = id;
	v->cpu = -1;
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	REQUIRE(v->fd >= 0, "KVM_CREATE_VCPU %u: %s", id, strerror(errno));
	fcntl(v->fd, F_SETFD, FD_CLOEXEC);
	v->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	REQUIRE(v->run != MAP_FAILED, "mmap of kvm_run: %s", strerror(errno));
	v->data = (struct guest_data *)(vm->mem + GUEST_DATA + vm->nr * 0x1000);
	REQUIRE(!ioctl(v->fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2: %s", strerror(errno));
	if (vm->flags & VM_HYPERV)
		become_hyperv(v);
	if (vm->flags & VM_IRQCHIP)
		REQUIRE(!ioctl(v->fd, KVM_SET_MP_STATE, &runnable), "KVM_SET_MP_STATE: %s",
			strerror(errno));
	vcpu_set_long_mode(v);
	vm->nr++;
	return v;
}

static struct vm *vm_create_with(void *mem, __u64 size, unsigned int nr_vcpus,
				 unsigned int first, unsigned int flags)
{
	struct vm *vm = vm_create_bare(flags);

	vm->vcpus = calloc(nr_vcpus, sizeof(*vm->vcpus));
	REQUIRE(vm->vcpus, "out of memory");
	vm->mem = mem;
	vm->size = size;
	vm_fill_memory(vm);
	vm_add_memory(vm, 0, 0, mem, size);
	for (unsigned int i = 0; i < nr_vcpus; i++)
		vm_add_vcpu(vm, first + i);
	return vm;
}

struct vm *vm_create(unsigned int nr_vcpus, unsigned int flags)
{
	return vm_create_ids(nr_vcpus, 0, flags);
}

struct vm *vm_create_ids(unsigned int nr_vcpus, unsigned int first, unsigned int flags)
{
	void *mem = mmap(NULL, GUEST_MEM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(mem != MAP_FAILED, "out of memory");
	/* A page that khugepaged moves costs the guest another fault. */
	madvise(mem, GUEST_MEM_SIZE, MADV_NOHUGEPAGE);
	return vm_create_with(mem, GUEST_MEM_SIZE, nr_vcpus, first, flags);
}

struct vm *vm_create_in(void *mem, __u64 size, unsigned int flags)
{
	return vm_create_with(mem, size, 1, 0, flags);
}

void vm_destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr; i++) {
		vcpu_stop(&vm->vcpus[i]);
		munmap(vm->vcpus[i].run, run_size);
		close(vm->vcpus[i].fd);
	}
	close(vm->fd);
	if (vm->mem)
		munmap(vm->mem, vm->size);
	free(vm->vcpus);
	free(vm);
}

void vcpu_program(struct vcpu *v, const char *program, __u64 count, __u64 arg)
{
	__u64 data = (char *)v->data - v->vm->mem;
	struct kvm_regs regs = {
		.rip = GUEST_CODE + (program - guest_start),
		.rdi = data,
		.rsp = data + 0x1000,
		.rflags = 2,
	};

	memset((void *)v->data, 0, sizeof(*v->data));
	v->data->count = count;
	v->data->arg = arg;
	v->done = 0;
	v->command = VCPU_RUN;
	REQUIRE(!ioctl(v->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS: %s", strerror(errno));
}

void vcpu_set_msr(struct vcpu *v, __u32 msr, __u64 value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = msr, .data = value },
	};

	REQUIRE(ioctl(v->fd, KVM_SET_MSRS, &msrs) == 1, "MSR 0x%x refused", msr);
}

__u64 vcpu_get_msr(struct vcpu *v, __u32 msr)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry.index = msr,
	};

	REQUIRE(ioctl(v->fd, KVM_GET_MSRS, &msrs) == 1, "MSR 0x%x unknown", msr);
	return msrs.entry.data;
}
