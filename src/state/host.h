/* SPDX-License-Identifier: Apache-2.0 */
/* What a host can carry: saved with every snapshot, printed and exported by `vmm host`. */
#ifndef STATE_HOST_H
#define STATE_HOST_H

#include "state/state.h"
#include "state/arm64_vcpu.h"
#include "state/x86_vcpu.h"

#define HOST_CAPS_MAX  64
#define HOST_REGS_MAX  1152
#define HOST_SVE_WORDS 8

/* clang-format off */
#define HOST_CAP_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	TEXT(T, 1, name, 40, 1, "Name of the KVM capability, without KVM_CAP_") \
	FIELD(T, 2, u32, value, 1, 0, dec, "What KVM_CHECK_EXTENSION answers; 0 for absent")

STATE_DECLARE(host_cap, HOST_CAP_STATE);

#define HOST_MSR_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, index, 1, 0, hex, "Number of the register")

STATE_DECLARE(host_msr, HOST_MSR_STATE);

#define HOST_REG_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u64, id, 1, 0, arm64, "KVM's number of the register") \
	FIELD(T, 2, u64, value, 1, 0, hex, "Contents after reset; 0 if it is wider than 64 bits") \
	FIELD(T, 3, u64, writable, 1, 0, hex, \
	      "Bits of a register that tells of the processor which KVM lets a VM have otherwise")

STATE_DECLARE(host_reg, HOST_REG_STATE);

#define HOST_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	TEXT(T, 1, arch, 16, 1, "Architecture: x86_64 or aarch64") \
	TEXT(T, 2, kernel, 64, 1, "Kernel release") \
	TEXT(T, 3, cpu_model, 64, 1, "Processor, as it names itself") \
	FIELD(T, 4, u32, page_bytes, 1, 0, dec, "Page size, in bytes") \
	FIELD(T, 5, u8, phys_bits, 1, 0, dec, "Physical address bits that guests may have") \
	FIELD(T, 6, u32, memslots, 1, 0, dec, "Memory slots for each VM") \
	FIELD(T, 7, u32, vcpus, 1, 0, dec, "Most vCPUs for each VM") \
	FIELD(T, 8, u32, tsc_khz, 1, 0, dec, "Frequency of the time-stamp counter, in kHz") \
	FLAG(T, 9, tsc_scaling, 1, 0, "Guests may have another frequency") \
	FLAG(T, 10, userfaultfd, 1, 0, "userfaultfd can be had, for faults by KVM too") \
	LIST(T, 11, host_cap, cap, HOST_CAPS_MAX, 1, "KVM capabilities that matter here") \
	LIST(T, 12, x86_cpuid, cpuid, X86_CPUID_MAX, 1, "CPUID that KVM can give to guests") \
	LIST(T, 13, host_msr, msr, X86_MSRS_MAX, 1, "Registers that KVM can save and load") \
	FIELD(T, 14, u32, counter_hz, 1, 0, dec, "Frequency of the counters on aarch64, in Hz") \
	LIST(T, 15, host_reg, reg, HOST_REGS_MAX, 1, "Registers of a vCPU on aarch64 that has all features") \
	ARRAY(T, 16, u64, sve_lengths, HOST_SVE_WORDS, 1, hex, \
	      "Vector lengths of SVE: bit n stands for 128 (n + 1) bits; all 0 without SVE")

STATE_DECLARE(host, HOST_STATE);
/* clang-format on */

#endif
