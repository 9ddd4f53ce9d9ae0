/* SPDX-License-Identifier: Apache-2.0 */
/* Between rows*.c: the two passes, and what the first one leaves. */
#ifndef GUEST_AARCH64_ROWS_H
#define GUEST_AARCH64_ROWS_H

#include "guest.h"

/* Rows that depend on how it was booted. */
#ifdef GUEST_BIOS
#define ROWS_FDT   "AARCH64_FDT_OFFSET_IN_BIOS_MODE"
#define ROWS_IMAGE "AARCH64_BIOS_OFFSET"
#else
#define ROWS_FDT   "fdt_address"
#define ROWS_IMAGE "AARCH64_KERNEL_OFFSET"
#endif

extern unsigned rows_pass;
/* What is written to the @i-th place in a pass. */
uint64_t rows_mark(unsigned pass, unsigned i);
/* Begins a line; the rest is the caller's. */
void row(const char *name, uint64_t at);
void rows_platform(void);
void rows_pci(void);
void rows_cpus(void);

#endif
