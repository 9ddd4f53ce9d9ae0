/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI: one bus behind a host bridge, reached by ECAM and by the ports 0xcf8 and 0xcfc. Functions
 * have two base address registers, numbered here as in the machine description:
 *
 *   0  registers: BAR2 and BAR3, 64-bit memory, in the highest window of the layout
 *   1  MSI-X:     BAR0, 32-bit memory, in the lowest window, which ends below 4 GiB; the table
 *      from 0 on, the pending bits from 0x800 on
 *
 * The VMM places them; the guest enables decoding and may move them within the windows. After
 * power-on nothing is decoded (the command register is 0).
 *
 * The bridge is 00:00.0, vendor 0x1b36, device 0x0008, class 0x0600: what guests know as "QEMU
 * PCIe host bridge" and need no driver for. The other 31 slots hold one function each.
 *
 * Prefixes: pci_host_, pci_place_, pci_fn_. Threads: the bridge's lock is taken before a
 * function's, never the other way round.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "devices/device.h"
#include "state/machine.h"
#include "state/pci.h"

#define PCI_SLOTS	  32
#define PCI_LINES	  4 /* interrupt lines that slots share in turn, as INTA to INTD */
#define PCI_CONFIG_BYTES  256
#define PCI_BAR_REGISTERS 0
#define PCI_BAR_MSIX	  1
#define PCI_MSIX_BYTES	  0x1000

static inline uint16_t pci_address(unsigned slot)
{
	return (uint16_t)(slot << 3);
}

static inline unsigned pci_slot(uint16_t address)
{
	return address >> 3 & (PCI_SLOTS - 1);
}

/* --- places ------------------------------------------------------------------------------- */

/**
 * pci_place() - give slots, lines and BARs to the devices that lack them
 * @m: devices with bar_bytes are PCI functions
 *
 * In the order of the devices: lowest free slot from 1 on; line by slot, of PCI_LINES from the
 * ECAM's (or CAM's) line of @l on; BARs the lowest fit of their window, aligned to their size. The
 * same machine gives the same places. What is placed already is kept, and checked.
 *
 * Returns 0, -ERR_LIMIT when slots or windows are full, and what pci_place_check() returns.
 */
int pci_place(const struct layout *l, struct machine *m, struct err *e) MUST_CHECK;

/**
 * pci_place_check() - are all PCI devices of @m where @l has room for them?
 * Trust: both may come from a file. Slots: bus 0, function 0, 0 only for the host bridge, none
 * twice. BARs: a power of two in size, aligned to it, inside their window, no overlap.
 *
 * Returns 0, or -ERR_INCOMPATIBLE with the rule (layout/rules.h) and the device.
 */
int pci_place_check(const struct layout *l, const struct machine *m, struct err *e) MUST_CHECK;

/* --- host bridge -------------------------------------------------------------------------- */

struct pci_host;

/* What the bridge needs of the machine; all borrowed, and outlives it. */
struct pci_env {
	const struct layout *layout; /* its windows, REGION_ECAM and PCI_CFG_PORTS, where present */
	struct bus *memory, *ports;
	struct irq_host *irq;
};

/** pci_host_describe() - fill the description of a bridge; id "pci". */
void pci_host_describe(struct machine_device *md);

/**
 * pci_host_new() - the bridge with its empty bus
 * @out: a device of class pci-host; freed by its hook, after all functions on it
 *
 * Returns 0, -ERR_INCOMPATIBLE (a version of the model that this build does not have),
 * -ERR_STRUCTURE (no windows), -ERR_NOMEM and what bus_add() returns.
 */
int pci_host_new(const struct machine_device *desc, const struct pci_env *env,
		 struct pci_host **out, struct err *e) MUST_CHECK;

struct device *pci_host_device(struct pci_host *h);

#endif
