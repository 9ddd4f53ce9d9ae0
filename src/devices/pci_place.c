/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pci_host.h"

#include <inttypes.h>
#include <string.h>

int pci_window(const struct layout *l, unsigned bar, const struct layout_region **out,
	       struct err *e)
{
	const struct layout_region *found = NULL;

	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (r->kind != REGION_WINDOW)
			continue;
		if (bar == PCI_BAR_REGISTERS)
			found = r; /* the last one: regions ascend */
		else if (!found && region_end(r) <= 4 * GIB)
			found = r;
	}
	if (!found)
		return err_set(e, ERR_STRUCTURE, "%s has no window for PCI", l->id);
	*out = found;
	return 0;
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

static int check_bar(const struct layout *l, const struct machine_device *d, unsigned bar,
		     struct err *e)
{
	const struct layout_region *w;
	uint64_t start = d->bar[bar], size = d->bar_bytes[bar];

	if (size < 16 || size & (size - 1) || !start || start & (size - 1))
		return err_set(e, ERR_RANGE,
			       "%s: BAR of 0x%" PRIx64 " bytes at 0x%" PRIx64
			       " is not a power of two aligned to its size",
			       d->id, size, start);
	int r = pci_window(l, bar, &w, e);
	if (r)
		return r;
	if (!num_inside(start, size, w->start, w->size))
		return err_set(e, ERR_STRUCTURE,
			       "%s: BAR at 0x%" PRIx64 " is not in %s (0x%" PRIx64 " to 0x%" PRIx64
			       ")",
			       d->id, start, w->name, w->start, region_end(w));
	return 0;
}

static int check_slot(const struct machine *m, const struct machine_device *d, struct err *e)
{
	bool is_host = !is_function(d);

	if (d->pci >> 8 || d->pci & 7 || (pci_slot(d->pci) == 0) != is_host)
		return err_set(e, ERR_RANGE, "%s at %02x:%02x.%x: functions are 00:01.0 to 00:1f.0",
			       d->id, d->pci >> 8, pci_slot(d->pci), d->pci & 7);
	for (const struct machine_device *o = m->device; o < d; o++)
		if (o->pci == d->pci)
			return err_set(e, ERR_DUPLICATE, "%s and %s are both at 00:%02x.0", o->id,
				       d->id, pci_slot(d->pci));
	return 0;
}

int pci_place_check(const struct layout *l, const struct machine *m, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < m->device_n; i++) {
		const struct machine_device *d = &m->device[i];
		if (d->pci != MACHINE_NO_PCI)
			r = check_slot(m, d, e);
		else if (is_function(d) || d->bar[0] || d->bar[1])
			r = err_set(e, ERR_RANGE, "%s has BARs but no place on the PCI bus", d->id);
		for (unsigned b = 0; !r && b < PCI_BARS; b++)
			if (d->bar[b] || d->bar_bytes[b])
				r = check_bar(l, d, b, e);
	}
	/* Only now that no BAR wraps around. */
	for (uint32_t i = 0; !r && i < m->device_n; i++) {
		const struct machine_device *d = &m->device[i];
		struct place other;
		for (unsigned b = 0; !r && b < PCI_BARS; b++)
			if (d->bar[b] &&
			    in_the_way(m, d->bar[b], d->bar_bytes[b], (struct place){d, b}, &other))
				r = err_set(
				    e, ERR_STRUCTURE,
				    "%s: BAR at 0x%" PRIx64 " overlaps that of %s at 0x%" PRIx64,
				    d->id, d->bar[b], other.dev->id, other.dev->bar[other.bar]);
	}
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
