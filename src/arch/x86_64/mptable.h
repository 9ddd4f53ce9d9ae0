/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MP table: processors and interrupt lines for kernels that read no ACPI (Intel MultiProcessor
 * Specification 1.4). It says what the ACPI tables say, in a tenth of the space.
 *
 * Prefix: mptable_.
 */
#ifndef ARCH_X86_64_MPTABLE_H
#define ARCH_X86_64_MPTABLE_H

#include "layout/mem.h"
#include "state/machine.h"

/**
 * mptable_write() - write the table into the row MPTABLE_START; nothing if the layout has none
 * @mc:    its PCI devices with a line are those whose pin A is routed
 * @vcpus: local APIC ids 0 to @vcpus - 1
 *
 * The floating pointer lies in the row's last KiB, where base memory ends and kernels search; the
 * table it points to at the row's start.
 *
 * Returns 0, -ERR_STRUCTURE (another row is missing, or the row is not backed), -ERR_LIMIT (the
 * table does not fit), -ERR_NOMEM.
 */
int mptable_write(const struct layout *l, const struct machine *mc, uint32_t vcpus,
		  struct guest_mem *m, struct err *e) MUST_CHECK;

#endif
