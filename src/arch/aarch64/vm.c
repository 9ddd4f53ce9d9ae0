/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/aarch64/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

const struct state_desc *const arch_vcpu_state = &arm64_vcpu_desc;

int attr_get_(int fd, uint32_t group, uint64_t attr, void *value, struct err *e)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};
	int r = kvm_do(fd, KVM_GET_DEVICE_ATTR, &a, e);

	return r < 0 ? r : 0;
}

int attr_set_(int fd, uint32_t group, uint64_t attr, const void *value, struct err *e)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};
	int r = kvm_do(fd, KVM_SET_DEVICE_ATTR, &a, e);

	return r < 0 ? r : 0;
}

static int add_vcpus(struct arch_vm *vm, const struct cpu_policy *cpu, void **vcpu_state,
		     struct err *e)
{
	struct kvm_vcpu_init preferred;
	int r = kvm_do(vm->fd, KVM_ARM_PREFERRED_TARGET, &preferred, e);

	if (r < 0)
		return r;
	vm->target = preferred.target;
	if (vm->layout->params.vcpus > ARCH_VCPUS_MAX)
		return err_set(e, ERR_LIMIT, "%u vCPUs, at most %d", vm->layout->params.vcpus,
			       ARCH_VCPUS_MAX);
	for (uint32_t i = 0; !r && i < vm->layout->params.vcpus; i++) {
		r = vcpu_new_(vm, i, cpu, vcpu_state ? vcpu_state[i] : NULL, e);
		if (r)
			err_where(e, "vcpu%u", i);
	}
	return r;
}

static int build(struct arch_vm *vm, const struct cpu_policy *cpu, void **vcpu_state, struct err *e)
{
	vm->fd = kvm_do(vm->kvm_fd, KVM_CREATE_VM,
			KVM_VM_TYPE_ARM_IPA_SIZE(vm->layout->params.phys_bits), e);
	struct kvm_enable_cap nisv = {.cap = KVM_CAP_ARM_NISV_TO_USER};
	int r = vm->fd < 0 ? vm->fd : kvm_slots_(vm->fd, vm->mem, e);

	/* Since Linux 5.5; before, such an access ends the machine. */
	if (!r)
		ioctl(vm->fd, KVM_ENABLE_CAP, &nisv);

	if (!r)
		r = add_vcpus(vm, cpu, vcpu_state, e);
	if (!r)
		r = gic_new_(vm, e);
	if (!r)
		r = irq_init_(vm, e);
	for (uint32_t i = 0; !r && i < vm->vcpu_n; i++)
		r = vcpu_finish_(&vm->vcpu[i], cpu, vcpu_state ? vcpu_state[i] : NULL, e);
	return r;
}

int arch_vm_new(int kvm_fd, const struct layout *l, struct guest_mem *mem,
		const struct cpu_policy *cpu, void **vcpu_state, struct arch_vm **out,
		struct err *e)
{
	struct arch_vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		return err_set(e, ERR_NOMEM, "out of memory");
	*vm = (struct arch_vm){
	    .kvm_fd = kvm_fd, .fd = -1, .layout = l, .mem = mem, .gic_fd = -1, .its_fd = -1};
	int r = build(vm, cpu, vcpu_state, e);
	if (r) {
		arch_vm_free(vm);
		return r;
	}
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
	}
	msi_fini_(&vm->msi);
	if (vm->its_fd >= 0)
		close(vm->its_fd);
	if (vm->gic_fd >= 0)
		close(vm->gic_fd);
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
