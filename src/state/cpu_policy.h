/* SPDX-License-Identifier: Apache-2.0 */
/* Which features guests get, so that hosts that differ can share them. */
#ifndef STATE_CPU_POLICY_H
#define STATE_CPU_POLICY_H

#include "state/host.h"

#define CPU_POLICY_REGS_MAX  32
#define CPU_POLICY_ARM64_MAX 128

/* clang-format off */
#define CPU_POLICY_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	TEXT(T, 1, name, 40, 1, "What snapshots call it") \
	TEXT(T, 2, arch, 16, 1, "Architecture: x86_64 or aarch64") \
	TEXT(T, 3, vendor, 12, 1, "Vendor of the processors, as in GenuineIntel; empty for any") \
	FIELD(T, 4, u8, phys_bits, 1, 0, dec, "Physical address bits that every host has, 0 when not stated") \
	LIST(T, 5, x86_cpuid, cpuid, CPU_POLICY_REGS_MAX, 1, "Features, by the leaf that has their bits") \
	FIELD(T, 6, u32, features, 1, 0, hex, "On aarch64: what vCPUs are made with, as in arm64-vcpu") \
	FLAG(T, 7, stolen_time, 1, 0, "On aarch64: stolen time is counted") \
	LIST(T, 8, arm64_reg, reg, CPU_POLICY_ARM64_MAX, 1, \
	     "On aarch64: registers that tell of the processor and of firmware") \
	ARRAY(T, 9, u64, sve_lengths, HOST_SVE_WORDS, 1, hex, \
	      "On aarch64: vector lengths, as in host")

STATE_DECLARE(cpu_policy, CPU_POLICY_STATE);
/* clang-format on */

#endif
