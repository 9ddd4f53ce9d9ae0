/* SPDX-License-Identifier: Apache-2.0 */
/* A host that has all that a machine needs, for those who take some of it away. */
#ifndef TEST_LAYOUT_HOSTS_H
#define TEST_LAYOUT_HOSTS_H

#include "state/arm64_registers.h"
#include "state/host.h"

void hosts_fill(struct host *h);
void hosts_add_cap(struct host *h, const char *name);

/* Leaves 0, 1, 7, 0xd (0, 2, 9), 0x80000001 and 0x40000001, in this order. */
void hosts_fill_cpuid(struct x86_cpuid *list, uint32_t *n);

/* One of aarch64, with these registers. */
void hosts_fill_arm64(struct host *h);
struct host_reg *hosts_reg(struct host *h, uint64_t id);

#define PFR0	ARM64_SYSTEM(3, 0, 0, 4, 0)
#define ISAR0	ARM64_SYSTEM(3, 0, 0, 6, 0)
#define ISAR1	ARM64_SYSTEM(3, 0, 0, 6, 1)
#define MMFR0	ARM64_SYSTEM(3, 0, 0, 7, 0)
#define MMFR1	ARM64_SYSTEM(3, 0, 0, 7, 1)
#define MIDR	ARM64_SYSTEM(3, 0, 0, 0, 0)
#define MPIDR	ARM64_SYSTEM(3, 0, 0, 0, 5)
#define CLIDR	ARM64_SYSTEM(3, 1, 0, 0, 1)
#define CSSELR	ARM64_SYSTEM(3, 2, 0, 0, 0)
#define CCSIDR0 UINT64_C(0x6020000000110000)
#define TTBR0	ARM64_SYSTEM(3, 0, 2, 0, 0)
#define PIR	ARM64_SYSTEM(3, 0, 10, 2, 3)
#define X0	UINT64_C(0x6030000000100000)
#define V0	UINT64_C(0x6040000000100054)
#define Z0	UINT64_C(0x6080000000150000)
#define BITMAP	UINT64_C(0x6030000000160000)

#endif
