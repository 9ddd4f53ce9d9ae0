/* SPDX-License-Identifier: Apache-2.0 */
/* An aarch64 virtual CPU: all of KVM_GET_REG_LIST by the kernel's own numbers (Linux
 * Documentation/virt/kvm/api.rst, 4.68), and what is not a register there. */
#ifndef STATE_ARM64_VCPU_H
#define STATE_ARM64_VCPU_H

#include "state/state.h"

#define ARM64_REGS_MAX	 1024
#define ARM64_WIDE_MAX	 64  /* 32 vector, 16 predicate, FFR, and the set of vector lengths */
#define ARM64_WIDE_BYTES 256 /* a vector of 2048 bits */
#define ARM64_UNREAD_MAX 64

/* clang-format off */
#define ARM64_REG_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u64, id, 1, 0, arm64, "KVM's number of the register") \
	FIELD(T, 2, u64, value, 1, 0, hex, "Contents")

STATE_DECLARE(arm64_reg, ARM64_REG_STATE);

#define ARM64_WIDE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u64, id, 1, 0, arm64, "KVM's number of the register") \
	BYTES(T, 2, value, ARM64_WIDE_BYTES, 1, "Contents, as many bytes as the number says")

STATE_DECLARE(arm64_wide, ARM64_WIDE_STATE);

#define ARM64_UNREAD_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u64, id, 1, 0, arm64, "KVM's number of the register")

STATE_DECLARE(arm64_unread, ARM64_UNREAD_STATE);

#define ARM64_VCPU_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, features, 1, 0, hex, \
	      "What the vCPU was made with: bit numbers of KVM_ARM_VCPU_INIT") \
	LIST(T, 2, arm64_reg, reg, ARM64_REGS_MAX, 1, "Registers of up to 64 bits, in KVM's order") \
	LIST(T, 3, arm64_wide, wide, ARM64_WIDE_MAX, 1, "Wider ones, in KVM's order") \
	LIST(T, 4, arm64_unread, unread, ARM64_UNREAD_MAX, 1, \
	     "Registers in KVM's list that it would not read; not part of the snapshot") \
	FIELD(T, 5, u8, mp_state, 1, 0, dec, "0 on, 5 off (PSCI), 10 suspended") \
	FLAG(T, 6, serror_pending, 1, 0, "An SError waits for delivery") \
	FLAG(T, 7, serror_has_esr, 1, 0, "The next field holds its syndrome") \
	FIELD(T, 8, u64, serror_esr, 1, 0, hex, "ESR_EL1 of that SError") \
	FIELD(T, 9, u64, counter, 1, 0, hex, "Virtual counter at the instant of the record clock") \
	FIELD(T, 10, u32, counter_hz, 1, 0, dec, "Frequency of the counters, in Hz") \
	FIELD(T, 11, u64, pvtime, 1, 0, hex, "Where stolen time is counted; 0 where it is not") \
	FLAG(T, 12, has_physical_counter, 1, 0, "KVM gave the next field") \
	FIELD(T, 13, u64, physical_counter, 1, 0, hex, "Physical counter at the same instant")

STATE_DECLARE(arm64_vcpu, ARM64_VCPU_STATE);
/* clang-format on */

#endif
