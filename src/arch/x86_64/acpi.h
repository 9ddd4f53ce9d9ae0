/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of an x86-64 machine (ACPI 6.4): RSDP, XSDT, FADT, FACS, MADT, MCFG, DSDT. Places
 * come from the layout's rows, devices from the machine description, registers of the PM block from
 * state/acpi_pm.h. Not hardware-reduced; always in ACPI mode (no SMI command), so the PM device
 * shows SCI_EN set.
 *
 * Prefix: acpi_.
 */
#ifndef ARCH_X86_64_ACPI_H
#define ARCH_X86_64_ACPI_H

#include "layout/mem.h"
#include "state/machine.h"

/**
 * acpi_write() - write the tables into the row ACPI_HI_RSDP_WINDOW_BASE, before VMGENID_PAGE
 * @l:     layout, with every row of its definition
 * @mc:    its devices are described as far as they are not found by probing PCI: a device at the
 *         region SERIAL_ADDR[n], CMOS_RTC or VMGENID_PAGE as that, a PCI device with a line
 *         in _PRT. A VMGenID device with a line notifies through a generic event device.
 * @vcpus: local APIC ids 0 to @vcpus - 1
 * @rsdp:  the start of the row
 *
 * Returns 0, -ERR_STRUCTURE (row missing), -ERR_LIMIT (tables do not fit, too many vCPUs),
 * -ERR_RANGE (a line or slot that cannot be described), -ERR_NOMEM.
 */
int acpi_write(const struct layout *l, const struct machine *mc, uint32_t vcpus,
	       struct guest_mem *m, struct gpa *rsdp, struct err *e) MUST_CHECK;

#endif
