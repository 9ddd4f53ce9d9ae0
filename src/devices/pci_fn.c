/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space of one function (PCI 3.0, chapter 6) and its base address registers. */
#include "devices/pci_host.h"

#include <inttypes.h>
#include <string.h>

#define COMMAND_BITS	 (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)
#define STATUS_INTERRUPT (1u << 3)
#define STATUS_CAPS	 (1u << 4)
#define BAR_TYPE_64	 (2u << 1)
#define INTA		 1

#define CAP_MSIX	  0x11
#define MSIX_CONTROL_BITS 0xc000 /* enable, function mask */

/* --- base address registers ---------------------------------------------------------------- */

static bool wants_mapping(const struct pci_fn *fn, unsigned bar)
{
	const struct layout_region *w = &fn->host->window[bar];

	return fn->bar_bytes[bar] && fn->st->command & PCI_COMMAND_MEMORY &&
	       num_inside(fn->st->bar[bar], fn->bar_bytes[bar], w->start, w->size);
}

static void unmap(struct pci_fn *fn, unsigned bar)
{
	if (!fn->bar_on[bar])
		return;
	bus_del(fn->host->memory, fn->bar_at[bar]);
	fn->bar_on[bar] = false;
	if (bar == PCI_BAR_REGISTERS)
		fn->ops->mapped(fn, false, fn->bar_at[bar]);
}

void pci_fn_map(struct pci_fn *fn)
{
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		uint64_t at = fn->st->bar[bar];
		bool want = wants_mapping(fn, bar);

		if (fn->bar_on[bar] && want && fn->bar_at[bar] == at)
			continue;
		unmap(fn, bar);
		/* A guest that puts one over another finds the first one there. */
		if (!want || bus_add(fn->host->memory, at, fn->bar_bytes[bar],
				     bar == PCI_BAR_MSIX ? &pci_msix_ops_ : fn->ops->registers,
				     &fn->dev, NULL))
			continue;
		fn->bar_on[bar] = true;
		fn->bar_at[bar] = at;
		if (bar == PCI_BAR_REGISTERS)
			fn->ops->mapped(fn, true, at);
	}
}

/* --- constant part ------------------------------------------------------------------------- */

void pci_fn_identify(struct pci_fn *fn, const struct pci_id *id)
{
	memset(fn->config, 0, sizeof fn->config);
	num_put_le16(fn->config + PCI_REG_ID, id->vendor);
	num_put_le16(fn->config + PCI_REG_ID + 2, id->device);
	num_put_le32(fn->config + PCI_REG_CLASS, id->class_revision);
	num_put_le16(fn->config + PCI_REG_SUBSYSTEM, id->subsystem_vendor);
	num_put_le16(fn->config + PCI_REG_SUBSYSTEM + 2, id->subsystem);
	fn->last_cap = PCI_REG_CAPS;
	fn->caps_end = PCI_REG_CAPS_START;
}

unsigned pci_fn_capability(struct pci_fn *fn, const void *cap, unsigned n)
{
	unsigned at = fn->caps_end;

	/* The pointer to the next one is the second byte of a capability. */
	fn->config[fn->last_cap == PCI_REG_CAPS ? PCI_REG_CAPS : fn->last_cap + 1] = (uint8_t)at;
	memcpy(fn->config + at, cap, n);
	fn->config[at + 1] = 0;
	fn->last_cap = at;
	fn->caps_end = (at + n + 3) & ~3u;
	return at;
}

void pci_fn_msix(struct pci_fn *fn, unsigned vectors)
{
	uint8_t cap[12] = {CAP_MSIX};

	num_put_le16(cap + 2, (uint16_t)(vectors - 1));
	num_put_le32(cap + 4, 0); /* table and pending bits in BAR0 */
	num_put_le32(cap + 8, PCI_MSIX_PENDING);
	fn->msix_cap = pci_fn_capability(fn, cap, sizeof cap);
	fn->vector_n = vectors;
}

/* --- access -------------------------------------------------------------------------------- */

static void refresh(struct pci_fn *fn)
{
	uint8_t *c = fn->config;
	uint64_t registers = fn->st->bar[PCI_BAR_REGISTERS];
	uint16_t status = fn->caps_end > PCI_REG_CAPS_START ? STATUS_CAPS : 0;

	if (fn->interrupt && !pci_fn_uses_msix(fn))
		status |= STATUS_INTERRUPT;
	num_put_le16(c + PCI_REG_COMMAND, fn->st->command);
	num_put_le16(c + PCI_REG_COMMAND + 2, status);
	if (fn->bar_bytes[PCI_BAR_MSIX])
		num_put_le32(c + PCI_REG_BAR0, (uint32_t)fn->st->bar[PCI_BAR_MSIX]);
	if (fn->bar_bytes[PCI_BAR_REGISTERS]) {
		num_put_le32(c + PCI_REG_BAR2, (uint32_t)registers | BAR_TYPE_64);
		num_put_le32(c + PCI_REG_BAR3, (uint32_t)(registers >> 32));
	}
	c[PCI_REG_INTERRUPT] = fn->st->line;
	c[PCI_REG_INTERRUPT + 1] = fn->line == MACHINE_NO_LINE ? 0 : INTA;
	if (fn->msix_cap)
		num_put_le16(c + fn->msix_cap + 2,
			     (uint16_t)(fn->st->msix_control | (fn->vector_n - 1)));
}

uint32_t pci_fn_config_read(struct pci_fn *fn, unsigned reg, unsigned len)
{
	if (fn->ops && reg >= PCI_REG_CAPS_START)
		fn->ops->config_read(fn, reg & ~3u);
	refresh(fn);
	uint32_t dword = num_le32(fn->config + (reg & ~3u)) >> 8 * (reg & 3);
	return len == 4 ? dword : dword & ((1u << 8 * len) - 1);
}

static uint64_t merge(uint64_t old, uint32_t v, uint32_t mask, unsigned shift)
{
	return (old & ~((uint64_t)mask << shift)) | (uint64_t)(v & mask) << shift;
}

static void write_bar(struct pci_fn *fn, unsigned bar, uint32_t v, uint32_t mask, unsigned shift)
{
	uint64_t size = fn->bar_bytes[bar];

	if (!size)
		return;
	fn->st->bar[bar] = merge(fn->st->bar[bar], v, mask, shift) & ~(size - 1);
	pci_fn_map(fn);
}

static void write_command(struct pci_fn *fn, uint32_t v, uint32_t mask)
{
	bool was_master = pci_fn_is_master(fn);

	fn->st->command = (uint16_t)(merge(fn->st->command, v, mask, 0) & COMMAND_BITS);
	pci_fn_map(fn);
	pci_line_update_(fn);
	if (fn->ops && pci_fn_is_master(fn) && !was_master)
		fn->ops->mastering(fn);
}

static void write_dword(struct pci_fn *fn, unsigned reg, uint32_t v, uint32_t mask)
{
	switch (reg) {
	case PCI_REG_COMMAND:
		write_command(fn, v, mask & 0xffff);
		return;
	case PCI_REG_BAR0:
		write_bar(fn, PCI_BAR_MSIX, v, mask, 0);
		return;
	case PCI_REG_BAR2:
	case PCI_REG_BAR3:
		write_bar(fn, PCI_BAR_REGISTERS, v, mask, reg == PCI_REG_BAR3 ? 32 : 0);
		return;
	case PCI_REG_INTERRUPT:
		fn->st->line = (uint8_t)merge(fn->st->line, v, mask & 0xff, 0);
		return;
	}
	if (fn->msix_cap && reg == fn->msix_cap) {
		uint64_t control = merge((uint64_t)fn->st->msix_control << 16, v, mask, 0) >> 16;
		fn->st->msix_control = control & MSIX_CONTROL_BITS;
		pci_msix_update_(fn);
		pci_line_update_(fn);
	} else if (fn->ops && reg >= PCI_REG_CAPS_START) {
		fn->ops->config_write(fn, reg, v, mask);
	}
}

void pci_fn_config_write(struct pci_fn *fn, unsigned reg, unsigned len, uint32_t v)
{
	uint32_t mask = len == 4 ? UINT32_MAX : (1u << 8 * len) - 1;
	unsigned shift = 8 * (reg & 3);

	write_dword(fn, reg & ~3u, v << shift, mask << shift);
}

/* --- life ---------------------------------------------------------------------------------- */

static void power_on(struct pci_fn *fn)
{
	state_defaults(&pci_state_desc, fn->st);
	memcpy(fn->st->bar, fn->power_on_bar, sizeof fn->st->bar);
	fn->st->line = (uint8_t)(fn->line == MACHINE_NO_LINE ? 0xff : fn->line);
	fn->st->vector_n = fn->vector_n;
	for (unsigned i = 0; i < fn->vector_n; i++)
		state_defaults(&pci_vector_state_desc, &fn->st->vector[i]);
}

int pci_fn_init(struct pci_fn *fn, struct pci_host *host, const struct machine_device *desc,
		const struct pci_fn_ops *ops, struct err *e)
{
	unsigned slot = pci_slot(desc->pci);

	if (host->slot[slot])
		return err_set(e, ERR_DUPLICATE, "%s: PCI slot %u is taken by %s", desc->id, slot,
			       host->slot[slot]->dev.id);
	fn->host = host;
	fn->ops = ops;
	fn->slot = slot;
	fn->line = ops ? desc->line : MACHINE_NO_LINE;
	memcpy(fn->bar_bytes, desc->bar_bytes, sizeof fn->bar_bytes);
	memcpy(fn->power_on_bar, desc->bar, sizeof fn->power_on_bar);
	for (unsigned i = 0; i < fn->vector_n; i++) {
		fn->msi[i] = host->irq->ops->msi_new(host->irq, pci_address(fn->slot), e);
		if (fn->msi[i] < 0)
			return fn->msi[i];
	}
	power_on(fn);
	pci_host_attach(host, fn);
	return 0;
}

void pci_fn_fini(struct pci_fn *fn)
{
	if (!fn->host)
		return;
	pci_host_detach(fn->host, fn);
	fn->st->command = 0;
	fn->st->msix_control = 0;
	fn->interrupt = false;
	pci_fn_map(fn);
	pci_msix_update_(fn);
	pci_line_update_(fn);
}

int pci_fn_check(const struct pci_fn *fn, const struct pci_state *st, struct err *e)
{
	if (st->command & ~COMMAND_BITS)
		return err_set(e, ERR_RANGE, "%s: PCI command 0x%x", fn->dev.id, st->command);
	if (st->msix_control & ~MSIX_CONTROL_BITS || (st->msix_control && !fn->msix_cap))
		return err_set(e, ERR_RANGE, "%s: MSI-X control 0x%x", fn->dev.id,
			       st->msix_control);
	if (st->vector_n != fn->vector_n)
		return err_set(e, ERR_STRUCTURE, "%s: %u MSI-X vectors, the device has %u",
			       fn->dev.id, st->vector_n, fn->vector_n);
	for (unsigned b = 0; b < PCI_BARS; b++) {
		uint64_t size = fn->bar_bytes[b];
		bool narrow = b == PCI_BAR_MSIX;
		if (size ? st->bar[b] & (size - 1) || (narrow && st->bar[b] > UINT32_MAX)
			 : st->bar[b] != 0)
			return err_set(e, ERR_RANGE, "%s: BAR of 0x%" PRIx64 " bytes at 0x%" PRIx64,
				       fn->dev.id, size, st->bar[b]);
	}
	for (unsigned i = 0; i < st->vector_n; i++)
		if (st->vector[i].address & 3)
			return err_set(e, ERR_RANGE, "%s: MSI-X address 0x%" PRIx64, fn->dev.id,
				       st->vector[i].address);
	return 0;
}

void pci_fn_post_load(struct pci_fn *fn)
{
	pci_fn_map(fn);
	for (unsigned i = 0; i < fn->vector_n; i++)
		pci_msix_unroute_(fn, i);
	pci_msix_update_(fn);
	pci_line_restore_(fn);
}

void pci_fn_reset(struct pci_fn *fn)
{
	fn->interrupt = false;
	power_on(fn);
	pci_fn_post_load(fn);
}
