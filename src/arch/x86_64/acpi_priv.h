/* SPDX-License-Identifier: Apache-2.0 */
/* Shared between the files of ACPI. */
#ifndef ARCH_X86_64_ACPI_PRIV_H
#define ARCH_X86_64_ACPI_PRIV_H

#include "arch/x86_64/acpi.h"
#include "state/acpi_pm.h"

struct acpi_job {
	const struct layout *l;
	const struct machine *mc;
	uint32_t vcpus;
};

/* The body of the DSDT: what devices there are. */
int acpi_dsdt_(const struct acpi_job *j, struct buf *out, struct err *e);

/* All tables as they will lie in memory, from @base on. */
struct acpi_tables {
	struct acpi_job j;
	uint64_t base;
	struct buf b;
};

/** acpi_place_() - zeros up to a multiple of @align (64 at most); returns where that is. */
size_t acpi_place_(struct acpi_tables *t, size_t align);
void acpi_put_(struct acpi_tables *t, uint64_t v, unsigned bytes);
/** acpi_table_begin_(), acpi_table_end_() - a table with its header; end returns its address. */
size_t acpi_table_begin_(struct acpi_tables *t, const char signature[static 4], unsigned revision);
uint64_t acpi_table_end_(struct acpi_tables *t, size_t at);

/* Tables of fixed shape; each returns its address. @dsdt: address of that table. */
uint64_t acpi_facs_(struct acpi_tables *t);
uint64_t acpi_fadt_(struct acpi_tables *t, const struct layout_region *pm, uint64_t facs,
		    uint64_t dsdt);
uint64_t acpi_madt_(struct acpi_tables *t, const struct layout_region *lapic,
		    const struct layout_region *ioapic, uint16_t sci);
uint64_t acpi_mcfg_(struct acpi_tables *t, const struct layout_region *ecam);

#define ACPI_ISA_LINES 16
#define ACPI_GSIS      24 /* of KVM's I/O APIC */
#define ACPI_PIT_GSI   2  /* as KVM routes the timer */

/** acpi_device_at_() - the device that answers at a region, NULL for none. */
const struct machine_device *acpi_device_at_(const struct acpi_job *j, const char *region);

/** acpi_pci_line_() - the lines of PCI devices in order; false after the last. @slot may be NULL.
 */
bool acpi_pci_line_(const struct acpi_job *j, uint32_t *i, uint32_t *slot, uint32_t *line);

#endif
