/* SPDX-License-Identifier: Apache-2.0 */
/* MSI-X (PCI 3.0, 6.8.2) and INTx of one function. */
#include "devices/pci_host.h"

#define MSIX_ENABLE	   0x8000
#define MSIX_FUNCTION_MASK 0x4000
#define ENTRY_BYTES	   16
#define ADDRESS_BITS	   UINT64_C(0xfffffffffffffffc)

bool pci_fn_uses_msix(const struct pci_fn *fn)
{
	return fn->st->msix_control & MSIX_ENABLE;
}

static bool open_for(const struct pci_fn *fn, unsigned i)
{
	return (fn->st->msix_control & (MSIX_ENABLE | MSIX_FUNCTION_MASK)) == MSIX_ENABLE &&
	       !fn->st->vector[i].masked;
}

void pci_msix_unroute_(struct pci_fn *fn, unsigned i)
{
	struct irq_host *irq = fn->host->irq;

	if (fn->routed[i])
		irq->ops->msi_off(irq, fn->msi[i]);
	fn->routed[i] = false;
}

/* Send what is pending, if it can be sent. */
static void flush(struct pci_fn *fn, unsigned i)
{
	struct irq_host *irq = fn->host->irq;

	if (!fn->st->vector[i].pending || !fn->routed[i])
		return;
	fn->st->vector[i].pending = false;
	irq->ops->msi_raise(irq, fn->msi[i]);
}

static void update(struct pci_fn *fn, unsigned i)
{
	struct irq_host *irq = fn->host->irq;
	const struct pci_vector_state *v = &fn->st->vector[i];

	if (!open_for(fn, i))
		pci_msix_unroute_(fn, i);
	else if (!fn->routed[i]) /* a host without room for it keeps it pending */
		fn->routed[i] = !irq->ops->msi_set(irq, fn->msi[i], v->address, v->data, NULL);
	flush(fn, i);
}

void pci_msix_update_(struct pci_fn *fn)
{
	for (unsigned i = 0; i < fn->vector_n; i++)
		update(fn, i);
}

void pci_fn_signal(struct pci_fn *fn, uint16_t vector)
{
	if (vector >= fn->vector_n || !pci_fn_uses_msix(fn))
		return;
	fn->st->vector[vector].pending = true;
	flush(fn, vector);
}

/* --- the table as the guest sees it -------------------------------------------------------- */

static uint32_t table_read(const struct pci_fn *fn, uint64_t offset)
{
	const struct pci_vector_state *v = &fn->st->vector[offset / ENTRY_BYTES];

	switch (offset % ENTRY_BYTES) {
	case 0:
		return (uint32_t)v->address;
	case 4:
		return (uint32_t)(v->address >> 32);
	case 8:
		return v->data;
	default:
		return v->masked;
	}
}

static uint32_t dword_read(const struct pci_fn *fn, uint64_t offset)
{
	uint32_t bits = 0;

	if (offset < fn->vector_n * ENTRY_BYTES)
		return table_read(fn, offset);
	if (offset != PCI_MSIX_PENDING)
		return 0;
	for (unsigned i = 0; i < fn->vector_n; i++)
		bits |= (uint32_t)fn->st->vector[i].pending << i;
	return bits;
}

/* Dwords and aligned pairs of them are all that a driver may use. */
static uint64_t bar_read(struct device *d, uint64_t offset, unsigned len)
{
	const struct pci_fn *fn = (const struct pci_fn *)d;

	if (len < 4 || offset % len)
		return 0;
	uint64_t v = dword_read(fn, offset);
	if (len == 8)
		v |= (uint64_t)dword_read(fn, offset + 4) << 32;
	return v;
}

static void table_write(struct pci_fn *fn, uint64_t offset, uint32_t value)
{
	unsigned i = (unsigned)(offset / ENTRY_BYTES);
	struct pci_vector_state *v = &fn->st->vector[i];

	switch (offset % ENTRY_BYTES) {
	case 0:
		v->address = (v->address & ~UINT64_C(0xffffffff)) | (value & ADDRESS_BITS);
		break;
	case 4:
		v->address = (v->address & 0xffffffff) | (uint64_t)value << 32;
		break;
	case 8:
		v->data = value;
		break;
	default:
		v->masked = value & 1;
		update(fn, i);
		return;
	}
	/* Changing an unmasked entry is undefined; here it takes effect at once. */
	pci_msix_unroute_(fn, i);
	update(fn, i);
}

static void bar_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	struct pci_fn *fn = (struct pci_fn *)d;

	if (len < 4 || offset % len || offset >= fn->vector_n * ENTRY_BYTES)
		return;
	table_write(fn, offset, (uint32_t)v);
	if (len == 8)
		table_write(fn, offset + 4, (uint32_t)(v >> 32));
}

const struct bus_ops pci_msix_ops_ = {.read = bar_read, .write = bar_write};

/* --- INTx ---------------------------------------------------------------------------------- */

static bool line_level(const struct pci_fn *fn)
{
	return fn->interrupt && !pci_fn_uses_msix(fn) &&
	       !(fn->st->command & PCI_COMMAND_INTX_DISABLE);
}

void pci_line_restore_(struct pci_fn *fn)
{
	struct irq_host *irq = fn->host->irq;

	fn->line_high = line_level(fn);
	if (fn->line != MACHINE_NO_LINE)
		irq->ops->line(irq, fn->line, fn->slot, fn->line_high);
}

void pci_line_update_(struct pci_fn *fn)
{
	if (fn->line_high != line_level(fn))
		pci_line_restore_(fn);
}

void pci_fn_interrupt(struct pci_fn *fn, bool on)
{
	fn->interrupt = on;
	pci_line_update_(fn);
}
