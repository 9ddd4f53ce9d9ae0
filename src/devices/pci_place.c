/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pci_host.h"

#include "layout/compat.h"

#include <inttypes.h>
#include <stdlib.h>

int pci_window(const struct layout *l, unsigned bar, const struct layout_region **out,
	       struct err *e)
{
	*out = layout_window(l, bar == PCI_BAR_REGISTERS);
	return *out ? 0 : err_set(e, ERR_STRUCTURE, "%s has no window for PCI", l->id);
}

static bool is_function(const struct machine_device *d)
{
	return d->bar_bytes[0] || d->bar_bytes[1];
}

struct place {
	const struct machine_device *dev;
	unsigned bar;
};

/* First BAR but @self that shares an address with [@start, @start+@size). */
static bool in_the_way(const struct machine *m, uint64_t start, uint64_t size, struct place self,
		       struct place *out)
{
	for (uint32_t i = 0; i < m->device_n; i++) {
		const struct machine_device *d = &m->device[i];
		for (unsigned b = 0; b < PCI_BARS; b++) {
			if (!d->bar[b] || (d == self.dev && b == self.bar))
				continue;
			if (d->bar[b] < start + size && start < d->bar[b] + d->bar_bytes[b]) {
				*out = (struct place){d, b};
				return true;
			}
		}
	}
	return false;
}

int pci_place_check(const struct layout *l, const struct machine *m, struct err *e)
{
	struct findings *f = calloc(1, sizeof *f);

	if (!f)
		return err_set(e, ERR_NOMEM, "out of memory");
	compat_places(l, m, f);
	int r = findings_error(f, e);
	free(f);
	return r;
}

static int place_bar(const struct layout *l, const struct machine *m, struct machine_device *d,
		     unsigned bar, struct err *e)
{
	const struct layout_region *w;
	uint64_t size = d->bar_bytes[bar], at;
	struct place other;
	int r = pci_window(l, bar, &w, e);

	if (r)
		return r;
	/* 0 stands for none. */
	bool fits = num_align_up(w->start ? w->start : 1, size, &at);
	while (fits && num_inside(at, size, w->start, w->size) &&
	       in_the_way(m, at, size, (struct place){d, bar}, &other))
		fits = num_align_up(other.dev->bar[other.bar] + other.dev->bar_bytes[other.bar],
				    size, &at);
	if (!fits || !num_inside(at, size, w->start, w->size))
		return err_set(e, ERR_LIMIT, "%s: no room for 0x%" PRIx64 " bytes in %s", d->id,
			       size, w->name);
	d->bar[bar] = at;
	return 0;
}

static int place_slot(const struct machine *m, struct machine_device *d, struct err *e)
{
	uint32_t taken = 1;

	for (uint32_t i = 0; i < m->device_n; i++)
		if (m->device[i].pci != MACHINE_NO_PCI)
			taken |= 1u << pci_slot(m->device[i].pci);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++)
		if (!(taken >> slot & 1)) {
			d->pci = pci_address(slot);
			return 0;
		}
	return err_set(e, ERR_LIMIT, "%s: all %d PCI slots are taken", d->id, PCI_SLOTS - 1);
}

static uint16_t first_line(const struct layout *l)
{
	for (uint32_t i = 0; i < l->region_n; i++)
		if ((l->region[i].kind == REGION_ECAM || l->region[i].kind == REGION_CAM) &&
		    l->region[i].irq != LAYOUT_NO_IRQ)
			return l->region[i].irq;
	return MACHINE_NO_LINE;
}

int pci_place(const struct layout *l, struct machine *m, struct err *e)
{
	uint16_t line = first_line(l);
	int r = 0;

	for (uint32_t i = 0; !r && i < m->device_n; i++) {
		struct machine_device *d = &m->device[i];
		if (!is_function(d))
			continue;
		if (d->pci == MACHINE_NO_PCI)
			r = place_slot(m, d, e);
		if (d->line == MACHINE_NO_LINE && line != MACHINE_NO_LINE)
			d->line = (uint16_t)(line + (pci_slot(d->pci) - 1) % PCI_LINES);
		for (unsigned b = 0; !r && b < PCI_BARS; b++)
			if (d->bar_bytes[b] && !d->bar[b])
				r = place_bar(l, m, d, b, e);
	}
	return r ? r : pci_place_check(l, m, e);
}
