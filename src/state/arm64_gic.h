/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt controller of an aarch64 machine, in KVM: registers by the offsets of the GIC
 * architecture (IHI 0048, IHI 0069). */
#ifndef STATE_ARM64_GIC_H
#define STATE_ARM64_GIC_H

#include "state/state.h"

#define ARM64_GIC_REGS_MAX 2048

enum arm64_gic_space {
	GIC_DIST,   /* distributor */
	GIC_REDIST, /* redistributor of a vCPU, GICv3 */
	GIC_CPU,    /* CPU interface: registers of a GICv2, system registers of a GICv3 */
	GIC_LEVEL,  /* levels of 32 lines, by the number of the first */
	GIC_ITS,    /* interrupt translation service */
};

extern const struct state_names arm64_gic_space_names;

/* clang-format off */
#define ARM64_GIC_REG_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	ENUM(T, 1, arm64_gic_space_names, space, 1, 0, "Which part") \
	FIELD(T, 2, u8, vcpu, 1, 0, dec, "Whose, where each vCPU has one") \
	FIELD(T, 3, u32, offset, 1, 0, hex, "Offset, line, or encoding of a system register") \
	FIELD(T, 4, u64, value, 1, 0, hex, "Contents")

STATE_DECLARE(arm64_gic_reg, ARM64_GIC_REG_STATE);

#define ARM64_GIC_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u8, version, 1, 0, dec, "2 or 3") \
	FLAG(T, 2, its, 1, 0, "With an interrupt translation service; its tables are in RAM") \
	FIELD(T, 3, u16, lines, 1, 0, dec, "Interrupts, SGIs and PPIs included") \
	LIST(T, 4, arm64_gic_reg, reg, ARM64_GIC_REGS_MAX, 1, "Registers, in the order of loading")

STATE_DECLARE(arm64_gic, ARM64_GIC_STATE);
/* clang-format on */

#endif
