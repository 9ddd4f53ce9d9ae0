/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

const struct state_desc *const arch_vcpu_state = &x86_vcpu_desc;

static int add_irqchip(struct arch_vm *vm, struct err *e)
{
	const struct layout_region *tss, *identity;
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int r = layout_need(vm->layout, "TSS_ADDR", &tss, e);

	if (!r)
		r = layout_need(vm->layout, "IDENTITY_MAP_ADDR", &identity, e);
	if (r)
		return r;
	uint64_t identity_start = identity->start;
	r = kvm_do(vm->fd, KVM_SET_TSS_ADDR, tss->start, e);
	if (r >= 0)
		r = kvm_do(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_start, e);
	if (r >= 0)
		r = kvm_do(vm->fd, KVM_CREATE_IRQCHIP, 0, e);
	if (r >= 0)
		r = kvm_do(vm->fd, KVM_CREATE_PIT2, &pit, e);
	return r < 0 ? r : 0;
}

static int add_vcpu(struct arch_vm *vm, uint32_t id, const struct cpu_policy *cpu,
		    const struct x86_vcpu *saved, struct err *e)
{
	struct arch_vcpu *c = &vm->vcpu[id];

	c->vm = vm;
	c->id = id;
	c->fd = kvm_do(vm->fd, KVM_CREATE_VCPU, id, e);
	if (c->fd < 0)
		return c->fd;
	vm->vcpu_n = id + 1;
	c->run = kvm_run_map_(vm->kvm_fd, c->fd, id, &c->run_bytes, e);
	if (!c->run)
		return e ? -e->code : -ERR_KVM;
	if (saved)
		return cpuid_apply_(c, saved->cpuid, saved->cpuid_n, e);

	struct x86_cpuid *list = calloc(X86_CPUID_MAX, sizeof *list);
	uint32_t n = 0;
	if (!list)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = cpuid_policy_(vm->kvm_fd, &vm->layout->params, cpu, id, list, &n, e);
	if (!r)
		r = cpuid_apply_(c, list, n, e);
	free(list);
	return r;
}

int arch_vm_new(int kvm_fd, const struct layout *l, struct guest_mem *mem,
		const struct cpu_policy *cpu, void **vcpu_state, struct arch_vm **out, struct err *e)
{
	struct arch_vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		return err_set(e, ERR_NOMEM, "out of memory");
	vm->kvm_fd = kvm_fd;
	vm->layout = l;
	vm->mem = mem;
	vm->fd = kvm_do(kvm_fd, KVM_CREATE_VM, 0, e);
	int r = vm->fd;
	if (r >= 0)
		r = kvm_slots_(vm->fd, mem, e);
	if (r >= 0)
		r = add_irqchip(vm, e);
	if (r >= 0)
		r = irq_init_(vm, e);
	if (r >= 0 && l->params.vcpus > ARCH_VCPUS_MAX)
		r = err_set(e, ERR_LIMIT, "%u vCPUs, at most %d", l->params.vcpus, ARCH_VCPUS_MAX);
	for (uint32_t i = 0; r >= 0 && i < l->params.vcpus; i++)
		r = add_vcpu(vm, i, cpu, vcpu_state ? vcpu_state[i] : NULL, e);
	if (r < 0) {
		arch_vm_free(vm);
		return r;
	}
	int khz = ioctl(vm->vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
	vm->host_tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	vm->tsc_scaling = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0;
	*out = vm;
	return 0;
}

void arch_vm_free(struct arch_vm *vm)
{
	if (!vm)
		return;
	for (uint32_t i = 0; i < vm->vcpu_n; i++) {
		if (vm->vcpu[i].run)
			munmap(vm->vcpu[i].run, vm->vcpu[i].run_bytes);
		close(vm->vcpu[i].fd);
		free(vm->vcpu[i].cpuid);
	}
	msi_fini_(&vm->msi);
	if (vm->fd >= 0)
		close(vm->fd);
	free(vm);
}

uint32_t arch_vcpu_count(const struct arch_vm *vm)
{
	return vm->vcpu_n;
}

struct arch_vcpu *arch_vcpu_at(struct arch_vm *vm, uint32_t i)
{
	return &vm->vcpu[i];
}

int arch_log_writes(struct arch_vm *vm, bool on, struct err *e)
{
	return kvm_log_writes_(vm->fd, vm->mem, on, e);
}

int arch_collect_writes(struct arch_vm *vm, uint64_t *pages, struct err *e)
{
	return kvm_collect_writes_(vm->fd, vm->mem, pages, e);
}
