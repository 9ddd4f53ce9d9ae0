/* SPDX-License-Identifier: Apache-2.0 */
/* The PC's interrupt lines: each legacy one goes to a PIC and to the I/O APIC pin of its number,
 * but for the timer, line 0, which has pin 2. */
#include "arch/x86_64/kvm.h"

#include <sys/ioctl.h>

/* KVM's own chips: 8 pins each on two PICs, 24 on the I/O APIC. */
#define PIC_PINS    8
#define ROUTE_LINES (2 * PIC_PINS + X86_IOAPIC_PINS)

int arch_line(struct arch_vm *vm, uint32_t line, bool high)
{
	struct kvm_irq_level level = {.irq = line, .level = high};

	return ioctl(vm->fd, KVM_IRQ_LINE, &level) < 0 ? -ERR_KVM : 0;
}

int arch_ppi(struct arch_vm *vm, uint32_t vcpu, uint32_t ppi, bool high)
{
	return -ERR_KVM;
}

static struct kvm_irq_routing_entry wire(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry){
	    .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {chip, pin}};
}

int irq_init_(struct arch_vm *vm, struct err *e)
{
	struct kvm_irq_routing_entry route[ROUTE_LINES];
	uint32_t n = 0;

	for (uint32_t gsi = 0; gsi < 2 * PIC_PINS; gsi++)
		route[n++] =
		    wire(gsi, gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			 gsi % PIC_PINS);
	for (uint32_t gsi = 0; gsi < X86_IOAPIC_PINS; gsi++)
		if (gsi != 2)
			route[n++] = wire(gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
	return msi_init_(&vm->msi, vm->fd, route, n, X86_IOAPIC_PINS, e);
}

struct msi_table *arch_msi_(struct arch_vm *vm)
{
	return &vm->msi;
}
