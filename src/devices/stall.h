/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watchdog for each vCPU: a countdown that the guest's kernel starts and loads again and again.
 * If it does not, the vCPU is interrupted, so that the kernel can say what it was at; if it does
 * not even then, the vCPU has stalled, and the machine is told (DEVICE_STALLED).
 *
 * The device of Linux's drivers/misc/vcpu_stall_detector.c. Prefix: stall_.
 */
#ifndef DEVICES_STALL_H
#define DEVICES_STALL_H

#include "devices/clock.h"
#include "devices/device.h"

extern const struct bus_ops stall_ops; /* 16 bytes for each vCPU */

/* Everything is borrowed and outlives the device. */
struct stall_setup {
	struct irq_host *irq;
	uint32_t ppi; /* what vCPUs are interrupted by, while it is high */
	uint32_t vcpus;
	const struct guest_clock *clock;
	struct loop *loop;
	struct device_events *events;
};

/** stall_new() - all countdowns off. Returns NULL with @e filled: ERR_NOMEM, ERR_LIMIT (too many
 * vCPUs), and ERR_IO or ERR_LIMIT for its timer. */
struct device *stall_new(const char *id, const struct stall_setup *setup, struct err *e);

#endif
