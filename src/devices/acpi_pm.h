/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware (ACPI 6.4, 4.8): PM1 event and control registers with a power button, the
 * 32-bit PM timer, and the reset register. Where they lie is in state/acpi_pm.h. The timer's carry
 * sets no status and raises no interrupt: systems read it often enough to see it wrap themselves.
 *
 * Prefix: acpi_pm_.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "devices/clock.h"
#include "devices/device.h"

extern const struct bus_ops acpi_pm_ops; /* ACPI_PM_BYTES */

/** acpi_pm_new() - @sci: the line of the ACPI interrupt; @clock and @events outlive the device.
 * Returns NULL with @e filled: ERR_NOMEM. */
struct device *acpi_pm_new(const char *id, struct irq_line sci, const struct guest_clock *clock,
			   struct device_events *events, struct err *e);

/** acpi_pm_power_button() - press it. Any thread; takes the lock. */
void acpi_pm_power_button(struct device *d);

#endif
