/* SPDX-License-Identifier: Apache-2.0 */
/* Messages through irqfds, doorbells through ioeventfds. */
#include "arch/common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The whole table at once is what KVM takes. */
static int set_routes(struct msi_table *t, struct err *e)
{
	t->routing->nr = t->wired;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct msi *m = &t->msi[i];
		if (!m->on)
			continue;
		struct kvm_irq_routing_entry *r = &t->routing->entries[t->routing->nr++];
		*r = (struct kvm_irq_routing_entry){
		    .gsi = t->first_gsi + i,
		    .type = KVM_IRQ_ROUTING_MSI,
		    .flags = t->with_requesters ? KVM_MSI_VALID_DEVID : 0,
		};
		r->u.msi.address_lo = (uint32_t)m->address;
		r->u.msi.address_hi = (uint32_t)(m->address >> 32);
		r->u.msi.data = m->data;
		r->u.msi.devid = t->with_requesters ? m->requester : 0;
	}
	int r = kvm_do(t->vm_fd, KVM_SET_GSI_ROUTING, t->routing, e);
	return r < 0 ? r : 0;
}

int msi_init_(struct msi_table *t, int vm_fd, const struct kvm_irq_routing_entry *wired,
	      uint32_t wired_n, uint32_t first_gsi, struct err *e)
{
	t->routing =
	    calloc(1, sizeof *t->routing + (wired_n + MSI_MAX) * sizeof t->routing->entries[0]);
	if (!t->routing)
		return err_set(e, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&t->lock, NULL);
	t->vm_fd = vm_fd;
	t->first_gsi = first_gsi;
	t->wired = wired_n;
	memcpy(t->routing->entries, wired, wired_n * sizeof *wired);
	return 0;
}

void msi_fini_(struct msi_table *t)
{
	if (!t->routing)
		return;
	for (uint32_t i = 0; i < t->n; i++)
		close(t->msi[i].fd);
	free(t->routing);
	pthread_mutex_destroy(&t->lock);
}

static int irqfd(struct msi_table *t, uint32_t msi, bool on, struct err *e)
{
	struct kvm_irqfd irqfd = {
	    .fd = (uint32_t)t->msi[msi].fd,
	    .gsi = t->first_gsi + msi,
	    .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	int r = kvm_do(t->vm_fd, KVM_IRQFD, &irqfd, e);

	return r < 0 ? r : 0;
}

int arch_msi_new(struct arch_vm *vm, uint16_t requester, struct err *e)
{
	struct msi_table *t = arch_msi_(vm);
	int r;

	pthread_mutex_lock(&t->lock);
	if (t->n == MSI_MAX) {
		r = err_set(e, ERR_LIMIT, "more than %d interrupt vectors", MSI_MAX);
	} else {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = fd < 0 ? err_sys(e, ERR_KVM, errno, "eventfd") : (int)t->n;
		if (fd >= 0)
			t->msi[t->n++] = (struct msi){.fd = fd, .requester = requester};
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

int arch_msi_set(struct arch_vm *vm, int msi, uint64_t address, uint32_t data, struct err *e)
{
	struct msi_table *t = arch_msi_(vm);

	pthread_mutex_lock(&t->lock);
	struct msi *m = &t->msi[msi], old = *m;
	int r = 0;
	if (!old.on || old.address != address || old.data != data) {
		m->on = true;
		m->address = address;
		m->data = data;
		r = set_routes(t, e);
		if (!r && !old.on)
			r = irqfd(t, (uint32_t)msi, true, e);
		if (r)
			*m = old;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

void arch_msi_off(struct arch_vm *vm, int msi)
{
	struct msi_table *t = arch_msi_(vm);

	pthread_mutex_lock(&t->lock);
	/* The route stays until the table is next set: nothing raises it any more. */
	if (t->msi[msi].on)
		irqfd(t, (uint32_t)msi, false, NULL);
	t->msi[msi].on = false;
	pthread_mutex_unlock(&t->lock);
}

void arch_msi_raise(struct arch_vm *vm, int msi)
{
	uint64_t one = 1;

	if (write(arch_msi_(vm)->msi[msi].fd, &one, sizeof one) < 0)
		return; /* the counter is full: the interrupt is pending as it is */
}

/* Taking an irqfd away waits for an injection that KVM has deferred to a worker. */
int arch_msi_settle(struct arch_vm *vm, struct err *e)
{
	struct msi_table *t = arch_msi_(vm);
	int r = 0;

	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; !r && i < t->n; i++) {
		if (!t->msi[i].on)
			continue;
		r = irqfd(t, i, false, e);
		if (!r)
			r = irqfd(t, i, true, e);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

int arch_doorbell(struct arch_vm *vm, bool on, struct gpa at, uint16_t value, int fd, struct err *e)
{
	struct kvm_ioeventfd io = {
	    .datamatch = value,
	    .addr = at.v,
	    .len = sizeof value,
	    .fd = fd,
	    .flags = KVM_IOEVENTFD_FLAG_DATAMATCH | (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};
	int r = kvm_do(arch_msi_(vm)->vm_fd, KVM_IOEVENTFD, &io, e);

	return r < 0 ? r : 0;
}
