/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of aarch64 vCPUs by KVM's numbers, and what the identification registers tell software
 * of the processor's features.
 *
 * Prefix: arm64_. Pure; any thread. Numbers: Documentation/virt/kvm/api.rst, 4.68 of Linux; fields:
 * Arm ARM (DDI 0487), D19.2.
 */
#ifndef STATE_ARM64_REGISTERS_H
#define STATE_ARM64_REGISTERS_H

#include "base/base.h"

/* Bits 27 to 16 of a number: what kind of register it is. */
enum arm64_kind {
	ARM64_KIND_CORE = 0x10,
	ARM64_KIND_CACHE = 0x11, /* CCSIDR_EL1, by what CSSELR_EL1 selects */
	ARM64_KIND_SYSTEM = 0x13,
	ARM64_KIND_FIRMWARE = 0x14, /* what KVM's firmware offers: PSCI, work-arounds */
	ARM64_KIND_SVE = 0x15,
	ARM64_KIND_HYPERCALLS = 0x16, /* bitmaps of hypercalls that it offers */
};

static inline enum arm64_kind arm64_kind(uint64_t id)
{
	return (enum arm64_kind)(id >> 16 & 0xfff);
}

/* Bytes of the register. */
static inline size_t arm64_reg_bytes(uint64_t id)
{
	return (size_t)1 << (id >> 52 & 0xf);
}

/* Number of a system register of 64 bits, by the operands of MRS. */
#define ARM64_SYSTEM(op0, op1, crn, crm, op2)                                                      \
	(UINT64_C(0x6030000000130000) | (uint64_t)(op0) << 14 | (uint64_t)(op1) << 11 |            \
	 (uint64_t)(crn) << 7 | (uint64_t)(crm) << 3 | (uint64_t)(op2))

/* KVM has the numbers of these two the wrong way round, for ever (arch/arm64/include/uapi). */
#define ARM64_TIMER_CNT	   ARM64_SYSTEM(3, 3, 14, 3, 2)
#define ARM64_TIMER_CVAL   ARM64_SYSTEM(3, 3, 14, 0, 2)
#define ARM64_PTIMER_CTL   ARM64_SYSTEM(3, 3, 14, 2, 1)
#define ARM64_PTIMER_CNT   ARM64_SYSTEM(3, 3, 14, 0, 1)
#define ARM64_PSCI_VERSION UINT64_C(0x6030000000140000)
#define ARM64_SVE_LENGTHS  UINT64_C(0x606000000015ffff) /* the set of vector lengths */

/* Of KVM_ARM_VCPU_INIT: which features a vCPU was made with. */
enum arm64_feature {
	ARM64_FEATURE_PMU = 1 << 3,
	ARM64_FEATURE_SVE = 1 << 4,
	ARM64_FEATURE_PTRAUTH_ADDRESS = 1 << 5,
	ARM64_FEATURE_PTRAUTH_GENERIC = 1 << 6,
};

/** arm64_is_time() - does the register run by itself? Such are saved as they are at the pause. */
static inline bool arm64_is_time(uint64_t id)
{
	return id == ARM64_TIMER_CNT || id == ARM64_PTIMER_CNT;
}

/** arm64_is_id() - one of those in which each four bits tell of a feature. */
bool arm64_is_id(uint64_t id);

/** arm64_is_identity() - one that tells which processor it is, or how large its caches are. */
bool arm64_is_identity(uint64_t id);

/** arm64_tells_of_processor() - either, or what KVM's firmware offers. The rest is the guest's. */
static inline bool arm64_tells_of_processor(uint64_t id)
{
	enum arm64_kind kind = arm64_kind(id);

	return arm64_is_id(id) || arm64_is_identity(id) || kind == ARM64_KIND_FIRMWARE ||
	       kind == ARM64_KIND_HYPERCALLS;
}

/** arm64_id_unseen() - bits of an identification register that are of no use to a guest with
 * @features: of what only a hypervisor has, or what the features leave out. */
uint64_t arm64_id_unseen(uint64_t id, uint32_t features);

/** arm64_id_carries() - may software that saw @had in field @shift (0, 4, ... 60) run where there
 * is @has? */
bool arm64_id_carries(uint64_t id, unsigned shift, uint64_t had, uint64_t has);

/** arm64_reg_name() - "ID_AA64PFR0_EL1", "x3", "S3_0_C10_C2_2"; returns @buf. */
const char *arm64_reg_name(uint64_t id, char *buf, size_t size);

/** arm64_field_name() - "ID_AA64PFR0_EL1.SVE"; returns @buf. */
const char *arm64_field_name(uint64_t id, unsigned shift, char *buf, size_t size);

#endif
