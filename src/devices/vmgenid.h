/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generation identifier ("Virtual Machine Generation ID", Microsoft 2018): 16 random bytes in guest
 * memory, where ACPI or the device tree says. A guest that finds others than before, after an edge
 * on the line, knows that it is a copy of itself: Linux takes new random numbers then.
 *
 * Prefix: vmgenid_.
 */
#ifndef DEVICES_VMGENID_H
#define DEVICES_VMGENID_H

#include "devices/device.h"

/**
 * vmgenid_new() - with no identifier yet; nothing is written to memory
 * @irq: edge-triggered; a line of MACHINE_NO_LINE tells nobody
 * @mem: borrowed, outlives the device
 * @at:  where the identifier lies; backed
 * Returns NULL with @e filled: ERR_NOMEM.
 */
struct device *vmgenid_new(const char *id, struct irq_line irq, struct guest_mem *mem,
			   struct gpa at, struct err *e);

/**
 * vmgenid_first() - give a machine that has not run its first identifier
 * vmgenid_renew() - give one that goes on from a snapshot another, and tell the guest
 *
 * Take the lock. Order: with memory and interrupt controllers as they are to be, before vCPUs run.
 * Return 0, -ERR_STRUCTURE (no memory there), -ERR_IO.
 */
int vmgenid_first(struct device *d, struct err *e) MUST_CHECK;
int vmgenid_renew(struct device *d, struct err *e) MUST_CHECK;

#endif
