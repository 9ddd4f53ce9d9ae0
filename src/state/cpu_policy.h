/* SPDX-License-Identifier: Apache-2.0 */
/* Which features guests get, so that hosts that differ can share them. layout/x86_cpu.h has the
 * rest. */
#ifndef STATE_CPU_POLICY_H
#define STATE_CPU_POLICY_H

#include "state/x86_vcpu.h"

#define CPU_POLICY_REGS_MAX 32

/* clang-format off */
#define CPU_POLICY_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	TEXT(T, 1, name, 40, 1, "What snapshots call it") \
	TEXT(T, 2, arch, 16, 1, "Architecture: x86_64") \
	TEXT(T, 3, vendor, 12, 1, "Vendor of the processors, as in GenuineIntel; empty for any") \
	FIELD(T, 4, u8, phys_bits, 1, 0, dec, "Physical address bits that every host has, 0 when not stated") \
	LIST(T, 5, x86_cpuid, cpuid, CPU_POLICY_REGS_MAX, 1, "Features, by the leaf that has their bits")

STATE_DECLARE(cpu_policy, CPU_POLICY_STATE);
/* clang-format on */

#endif
