/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt lines, messages through irqfds, doorbells through ioeventfds. */
#include "arch/x86_64/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* KVM's own chips: 8 pins each on two PICs, 24 on the I/O APIC. */
#define PIC_PINS	8
#define ROUTE_LINES	(2 * PIC_PINS + X86_IOAPIC_PINS)
#define MSI_GSI(number) ((uint32_t)(number) + X86_IOAPIC_PINS)

int arch_line(struct arch_vm *vm, uint32_t line, bool high)
{
	struct kvm_irq_level level = {.irq = line, .level = high};

	return ioctl(vm->fd, KVM_IRQ_LINE, &level) < 0 ? -ERR_KVM : 0;
}

static struct kvm_irq_routing_entry *add_route(struct kvm_irq_routing *t, uint32_t gsi,
					       uint32_t type)
{
	struct kvm_irq_routing_entry *entry = &t->entries[t->nr++];

	*entry = (struct kvm_irq_routing_entry){.gsi = gsi, .type = type};
	return entry;
}

/* The whole table at once is what KVM takes. The PC's wiring: each legacy line goes to a PIC and
 * to the I/O APIC pin of its number, but for the timer, line 0, which has pin 2. */
static int set_routes(struct arch_vm *vm, struct err *e)
{
	struct kvm_irq_routing *t = vm->routing;

	t->nr = 0;
	for (uint32_t gsi = 0; gsi < 2 * PIC_PINS; gsi++) {
		struct kvm_irq_routing_entry *r = add_route(t, gsi, KVM_IRQ_ROUTING_IRQCHIP);
		r->u.irqchip.irqchip =
			gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		r->u.irqchip.pin = gsi % PIC_PINS;
	}
	for (uint32_t gsi = 0; gsi < X86_IOAPIC_PINS; gsi++) {
		if (gsi == 2)
			continue;
		struct kvm_irq_routing_entry *r = add_route(t, gsi, KVM_IRQ_ROUTING_IRQCHIP);
		r->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		r->u.irqchip.pin = gsi == 0 ? 2 : gsi;
	}
	for (uint32_t i = 0; i < vm->msi_n; i++) {
		if (!vm->msi[i].on)
			continue;
		struct kvm_irq_routing_entry *r = add_route(t, MSI_GSI(i), KVM_IRQ_ROUTING_MSI);
		r->u.msi.address_lo = (uint32_t)vm->msi[i].address;
		r->u.msi.address_hi = (uint32_t)(vm->msi[i].address >> 32);
		r->u.msi.data = vm->msi[i].data;
	}
	int r = kvm_do(vm->fd, KVM_SET_GSI_ROUTING, t, e);
	return r < 0 ? r : 0;
}

int msi_init_(struct arch_vm *vm, struct err *e)
{
	vm->routing = calloc(1, sizeof *vm->routing + (ROUTE_LINES + MSI_MAX) *
							      sizeof vm->routing->entries[0]);
	if (!vm->routing)
		return err_set(e, ERR_NOMEM, "out of memory");
	return 0;
}

void msi_fini_(struct arch_vm *vm)
{
	for (uint32_t i = 0; i < vm->msi_n; i++)
		close(vm->msi[i].fd);
	free(vm->routing);
}

static int irqfd(struct arch_vm *vm, int msi, bool on, struct err *e)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)vm->msi[msi].fd,
		.gsi = MSI_GSI(msi),
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	int r = kvm_do(vm->fd, KVM_IRQFD, &irqfd, e);

	return r < 0 ? r : 0;
}

int arch_msi_new(struct arch_vm *vm, struct err *e)
{
	int r;

	pthread_mutex_lock(&vm->msi_lock);
	if (vm->msi_n == MSI_MAX) {
		r = err_set(e, ERR_LIMIT, "more than %d interrupt vectors", MSI_MAX);
	} else {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = fd < 0 ? err_sys(e, ERR_KVM, errno, "eventfd") : (int)vm->msi_n;
		if (fd >= 0)
			vm->msi[vm->msi_n++] = (struct msi){.fd = fd};
	}
	pthread_mutex_unlock(&vm->msi_lock);
	return r;
}

int arch_msi_set(struct arch_vm *vm, int msi, uint64_t address, uint32_t data, struct err *e)
{
	pthread_mutex_lock(&vm->msi_lock);
	struct msi *m = &vm->msi[msi], old = *m;
	int r = 0;
	if (!old.on || old.address != address || old.data != data) {
		*m = (struct msi){.fd = old.fd, .on = true, .address = address, .data = data};
		r = set_routes(vm, e);
		if (!r && !old.on)
			r = irqfd(vm, msi, true, e);
		if (r)
			*m = old;
	}
	pthread_mutex_unlock(&vm->msi_lock);
	return r;
}

void arch_msi_off(struct arch_vm *vm, int msi)
{
	pthread_mutex_lock(&vm->msi_lock);
	/* The route stays until the table is next set: nothing raises it any more. */
	if (vm->msi[msi].on)
		irqfd(vm, msi, false, NULL);
	vm->msi[msi].on = false;
	pthread_mutex_unlock(&vm->msi_lock);
}

void arch_msi_raise(struct arch_vm *vm, int msi)
{
	uint64_t one = 1;

	if (write(vm->msi[msi].fd, &one, sizeof one) < 0)
		return; /* the counter is full: the interrupt is pending as it is */
}

/* Taking an irqfd away waits for an injection that KVM has deferred to a worker. */
int arch_msi_settle(struct arch_vm *vm, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&vm->msi_lock);
	for (uint32_t i = 0; !r && i < vm->msi_n; i++) {
		if (!vm->msi[i].on)
			continue;
		r = irqfd(vm, (int)i, false, e);
		if (!r)
			r = irqfd(vm, (int)i, true, e);
	}
	pthread_mutex_unlock(&vm->msi_lock);
	return r;
}

int arch_doorbell(struct arch_vm *vm, bool on, struct gpa at, uint16_t value, int fd,
		  struct err *e)
{
	struct kvm_ioeventfd io = {
		.datamatch = value,
		.addr = at.v,
		.len = sizeof value,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH | (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};
	int r = kvm_do(vm->fd, KVM_IOEVENTFD, &io, e);

	return r < 0 ? r : 0;
}
