/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts of devices, carried out by arch/. */
#include "vmm/vm.h"

static struct vm *vm_of(struct irq_host *h)
{
	return ((struct vm_irq *)h)->vm;
}

/* Level-triggered lines are wired together: the line is high while anybody drives it. */
static void on_line(struct irq_host *h, uint32_t line, uint32_t source, bool high)
{
	struct vm_irq *irq = (struct vm_irq *)h;

	if (line >= VM_LINES || source >= 64)
		return;
	pthread_mutex_lock(&irq->lock);
	bool was = irq->sources[line];
	irq->sources[line] &= ~(1ull << source);
	irq->sources[line] |= (uint64_t)high << source;
	bool is = irq->sources[line];
	if (was != is)
		arch_line(irq->vm->arch, line, is);
	pthread_mutex_unlock(&irq->lock);
}

static void on_ppi(struct irq_host *h, uint32_t vcpu, uint32_t ppi, bool high)
{
	arch_ppi(vm_of(h)->arch, vcpu, ppi, high);
}

static int on_msi_new(struct irq_host *h, uint16_t requester, struct err *e)
{
	return arch_msi_new(vm_of(h)->arch, requester, e);
}

static int on_msi_set(struct irq_host *h, int msi, uint64_t address, uint32_t data, struct err *e)
{
	return arch_msi_set(vm_of(h)->arch, msi, address, data, e);
}

static void on_msi_off(struct irq_host *h, int msi)
{
	arch_msi_off(vm_of(h)->arch, msi);
}

static void on_msi_raise(struct irq_host *h, int msi)
{
	arch_msi_raise(vm_of(h)->arch, msi);
}

static int on_doorbell(struct irq_host *h, bool on, struct gpa at, uint16_t value, int fd,
		       struct err *e)
{
	return arch_doorbell(vm_of(h)->arch, on, at, value, fd, e);
}

static const struct irq_host_ops ops = {
	.line = on_line,
	.ppi = on_ppi,
	.msi_new = on_msi_new,
	.msi_set = on_msi_set,
	.msi_off = on_msi_off,
	.msi_raise = on_msi_raise,
	.doorbell = on_doorbell,
};

void vm_irq_init_(struct vm *vm)
{
	vm->irq.host.ops = &ops;
	vm->irq.vm = vm;
	pthread_mutex_init(&vm->irq.lock, NULL);
}
