/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI function: the part of a device model that PCI asks for. Configuration space (type 0), base
 * address registers, MSI-X and INTx. For models in this folder only.
 *
 * Prefix: pci_fn_. All with the device's lock held, but for init and fini.
 */
#ifndef DEVICES_PCI_FN_H
#define DEVICES_PCI_FN_H

#include "devices/pci.h"

#define PCI_VECTOR_NONE 0xffff

/* Configuration space, PCI 3.0, 6.1 */
#define PCI_REG_ID	   0x00
#define PCI_REG_COMMAND	   0x04
#define PCI_REG_CLASS	   0x08
#define PCI_REG_BAR0	   0x10
#define PCI_REG_BAR2	   0x18
#define PCI_REG_BAR3	   0x1c
#define PCI_REG_SUBSYSTEM  0x2c
#define PCI_REG_CAPS	   0x34
#define PCI_REG_INTERRUPT  0x3c
#define PCI_REG_CAPS_START 0x40

#define PCI_COMMAND_MEMORY	 (1u << 1)
#define PCI_COMMAND_MASTER	 (1u << 2)
#define PCI_COMMAND_INTX_DISABLE (1u << 10)

struct pci_fn;

struct pci_fn_ops {
	/* Accesses inside the register BAR. */
	const struct bus_ops *registers;
	/* The register BAR answers at @at, or does no longer. */
	void (*mapped)(struct pci_fn *fn, bool on, uint64_t at);
	/* The function may write to memory and read from it, which it might not before. */
	void (*mastering)(struct pci_fn *fn);
	/* Capabilities of its own: bring fn->config up to date before dword @reg is read, and take
	 * what was written to it under @mask. */
	void (*config_read)(struct pci_fn *fn, unsigned reg);
	void (*config_write)(struct pci_fn *fn, unsigned reg, uint32_t v, uint32_t mask);
};

struct pci_fn {
	struct device dev; /* first */
	struct pci_state *st;
	const struct pci_fn_ops *ops; /* NULL: the bridge itself, which has no BARs */
	struct pci_host *host;
	unsigned slot;
	uint16_t line; /* MACHINE_NO_LINE: no INTx */
	uint64_t bar_bytes[PCI_BARS];
	uint64_t power_on_bar[PCI_BARS];
	uint64_t bar_at[PCI_BARS]; /* where it answers now */
	bool bar_on[PCI_BARS];
	uint8_t config[PCI_CONFIG_BYTES]; /* identity and capabilities; the rest is brought up to
					     date on each read */
	unsigned caps_end, last_cap, msix_cap;
	bool interrupt; /* what the model wants of INTx */
	bool line_high; /* what the line was told */
	unsigned vector_n;
	int msi[PCI_VECTORS_MAX]; /* numbers at the irq_host */
	bool routed[PCI_VECTORS_MAX];
};

struct pci_id {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_revision; /* as at PCI_REG_CLASS */
};

/**
 * pci_fn_init() - put a function into its slot
 * @fn:   zeroed, its device_init() done, st set; zeroed bar_bytes and vectors for the bridge
 * @desc: checked by pci_place_check()
 * After this the guest may see it: the last step of a constructor.
 * Returns 0, -ERR_DUPLICATE (slot taken), -ERR_LIMIT (no more MSIs).
 */
int pci_fn_init(struct pci_fn *fn, struct pci_host *host, const struct machine_device *desc,
		const struct pci_fn_ops *ops, struct err *e) MUST_CHECK;
/** pci_fn_fini() - off the bus, nothing decoded. */
void pci_fn_fini(struct pci_fn *fn);

/** pci_fn_identify() - fill in the constant part of the configuration space. */
void pci_fn_identify(struct pci_fn *fn, const struct pci_id *id);
/** pci_fn_capability() - append a capability of @n bytes; returns where it stands. */
unsigned pci_fn_capability(struct pci_fn *fn, const void *cap, unsigned n);
/** pci_fn_msix() - append the MSI-X capability for @vectors. */
void pci_fn_msix(struct pci_fn *fn, unsigned vectors);

/* Accesses to configuration space that lie in one dword. */
uint32_t pci_fn_config_read(struct pci_fn *fn, unsigned reg, unsigned len);
void pci_fn_config_write(struct pci_fn *fn, unsigned reg, unsigned len, uint32_t v);

/** pci_fn_map() - decode the BARs where the state says, as far as nothing else is there. */
void pci_fn_map(struct pci_fn *fn);

static inline bool pci_fn_is_master(const struct pci_fn *fn)
{
	return fn->st->command & PCI_COMMAND_MASTER;
}

/** pci_fn_interrupt() - INTx as a level; does not show while MSI-X is on. */
void pci_fn_interrupt(struct pci_fn *fn, bool on);
/** pci_fn_signal() - send vector @vector, if MSI-X is on; PCI_VECTOR_NONE is none. */
void pci_fn_signal(struct pci_fn *fn, uint16_t vector);
bool pci_fn_uses_msix(const struct pci_fn *fn);

/* For the hooks of models. */
int pci_fn_check(const struct pci_fn *fn, const struct pci_state *st, struct err *e) MUST_CHECK;
void pci_fn_post_load(struct pci_fn *fn);
void pci_fn_reset(struct pci_fn *fn);

/* Private to pci_*.c. */
#define PCI_MSIX_PENDING 0x800 /* pending bits; room for 128 vectors before them */

extern const struct bus_ops pci_msix_ops_;
void pci_msix_update_(struct pci_fn *fn); /* route and send as the table now says */
void pci_msix_unroute_(struct pci_fn *fn, unsigned vector);
void pci_line_update_(struct pci_fn *fn);
void pci_line_restore_(struct pci_fn *fn); /* whatever the line was told before */

#endif
