/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What devices need of the machine around them, as an interface that vmm/ implements with arch/:
 * interrupt lines, message-signalled interrupts through irqfds, doorbells through ioeventfds.
 * Tests implement it with arrays.
 *
 * Threads: line, ppi and msi_raise may be called from any thread; the others with the device's lock held.
 */
#ifndef DEVICES_IRQ_H
#define DEVICES_IRQ_H

#include "base/base.h"

struct irq_host;

struct irq_host_ops {
	/** line - drive interrupt line @line (GSI or SPI) high or low. Devices share lines: it is
	 * high while any @source (0 to 63, a number for each device) drives it high. */
	void (*line)(struct irq_host *h, uint32_t line, uint32_t source, bool high);

	/** ppi - likewise private interrupt @ppi of vCPU @vcpu, which nobody shares. On aarch64. */
	void (*ppi)(struct irq_host *h, uint32_t vcpu, uint32_t ppi, bool high);

	/** msi_new - a vector that PCI function @requester (bus, device, function) can raise.
	 * Returns its number (>= 0) or -ERR_LIMIT. */
	int (*msi_new)(struct irq_host *h, uint16_t requester, struct err *e);
	/** msi_set - route it to the message @data written to @address, and let it through. */
	int (*msi_set)(struct irq_host *h, int msi, uint64_t address, uint32_t data,
		       struct err *e);
	/** msi_off - let nothing through until the next msi_set(). */
	void (*msi_off)(struct irq_host *h, int msi);
	/** msi_raise - only between msi_set() and msi_off(). */
	void (*msi_raise)(struct irq_host *h, int msi);

	/** doorbell - have KVM signal @fd on a 2-byte write of @value to @at, or stop doing so. */
	int (*doorbell)(struct irq_host *h, bool on, struct gpa at, uint16_t value, int fd,
			struct err *e);
};

struct irq_host {
	const struct irq_host_ops *ops;
};

/* A device's end of an interrupt line. */
struct irq_line {
	struct irq_host *host; /* borrowed */
	uint32_t line, source;
};

static inline void irq_line_set(const struct irq_line *l, bool high)
{
	l->host->ops->line(l->host, l->line, l->source, high);
}

#endif
