/* SPDX-License-Identifier: Apache-2.0 */
/* The host bridge as its functions see it. Prefix: pci_host_. */
#ifndef DEVICES_PCI_HOST_H
#define DEVICES_PCI_HOST_H

#include "devices/pci_fn.h"

struct pci_host_range {
	struct bus *bus;
	uint64_t start;
};

struct pci_host {
	struct pci_fn fn; /* first; slot 0 */
	struct pci_host_state st;
	struct bus *memory;
	struct irq_host *irq;
	struct layout_region window[PCI_BARS]; /* by BAR */
	struct pci_fn *slot[PCI_SLOTS];
	struct pci_host_range range[4]; /* where the bridge itself answers */
	unsigned range_n;
};

/** pci_window() - where BARs of number @bar are given. -ERR_STRUCTURE when there is none. */
int pci_window(const struct layout *l, unsigned bar, const struct layout_region **out,
	       struct err *e) MUST_CHECK;

/* A function comes to its slot, or leaves it. The bridge's lock is taken. */
void pci_host_attach(struct pci_host *h, struct pci_fn *fn);
void pci_host_detach(struct pci_host *h, struct pci_fn *fn);

#endif
