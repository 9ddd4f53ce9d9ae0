/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt lines: SPIs of the machine, and PPIs of one vCPU. */
#include "arch/aarch64/kvm.h"

#include <sys/ioctl.h>

#define SPIS (GIC_LINES - GIC_SPI_BASE)

int arch_line(struct arch_vm *vm, uint32_t line, bool high)
{
	struct kvm_irq_level level = {
	    .irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (GIC_SPI_BASE + line),
	    .level = high,
	};

	return ioctl(vm->fd, KVM_IRQ_LINE, &level) < 0 ? -ERR_KVM : 0;
}

int arch_ppi(struct arch_vm *vm, uint32_t vcpu, uint32_t ppi, bool high)
{
	struct kvm_irq_level level = {
	    .irq = KVM_ARM_IRQ_TYPE_PPI << KVM_ARM_IRQ_TYPE_SHIFT | vcpu << KVM_ARM_IRQ_VCPU_SHIFT |
		   (PPI_BASE + ppi),
	    .level = high,
	};

	return ioctl(vm->fd, KVM_IRQ_LINE, &level) < 0 ? -ERR_KVM : 0;
}

int irq_init_(struct arch_vm *vm, struct err *e)
{
	struct kvm_irq_routing_entry route[SPIS];

	for (uint32_t i = 0; i < SPIS; i++)
		route[i] = (struct kvm_irq_routing_entry){
		    .gsi = i, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {0, i}};
	vm->msi.with_requesters = true;
	return msi_init_(&vm->msi, vm->fd, route, SPIS, SPIS, e);
}

struct msi_table *arch_msi_(struct arch_vm *vm)
{
	return &vm->msi;
}
