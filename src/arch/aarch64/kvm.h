/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/arch/aarch64/: the VM as KVM sees it. */
#ifndef ARCH_AARCH64_KVM_H
#define ARCH_AARCH64_KVM_H

#include "arch/aarch64/boot.h"
#include "arch/common.h"
#include "state/arm64_registers.h"
#include "state/arm64_gic.h"
#include "state/arm64_vcpu.h"

/* Interrupts of the GIC: 32 for SGIs and PPIs, the rest are SPIs. The fewest that KVM takes. */
#define GIC_LINES    64
#define GIC_SPI_BASE 32
#define PPI_BASE     16

struct arch_vcpu {
	struct arch_vm *vm;
	uint32_t id;
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	uint32_t features; /* as made: bit numbers of KVM_ARM_VCPU_INIT */
	uint64_t pvtime;   /* where stolen time is counted; 0: it is not */
};

struct arch_vm {
	int kvm_fd, fd;
	const struct layout *layout;
	struct guest_mem *mem;
	int gic_fd, its_fd; /* -1: none */
	uint32_t target;    /* of KVM_ARM_VCPU_INIT */
	uint32_t vcpu_n;
	struct arch_vcpu vcpu[ARCH_VCPUS_MAX];
	struct msi_table msi;

	/* The instant of the last arch_clock_save(): what counters are reckoned for. */
	uint64_t saved_counter;
};

/* Bit of a feature in struct arch_vcpu and in records. */
#define FEATURE(name) (1u << KVM_ARM_VCPU_##name)

/* A device attribute: 64 or 32 bits at @value, by the group. */
int attr_get_(int fd, uint32_t group, uint64_t attr, void *value, struct err *e);
int attr_set_(int fd, uint32_t group, uint64_t attr, const void *value, struct err *e);

/* KVM's number of a register of 64 bits, by its place in struct kvm_regs; and what PSTATE is where
 * code starts: EL1 with its own stack pointer; D, A, I and F masked. */
#define CORE_REG(place)                                                                            \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(place))
#define PSTATE_EL1H_MASKED 0x3c5

int reg_get_(int vcpu_fd, uint64_t id, void *value, struct err *e);
int reg_set_(int vcpu_fd, uint64_t id, const void *value, struct err *e);

/* One that tells of the processor, but for fields that are of no use to a guest with @features:
 * they stay as the host has them. A register that this KVM does not have is left out. */
int reg_tell_(int vcpu_fd, uint32_t features, const struct arm64_reg *reg, struct err *e);

/* What KVM_GET_REG_LIST gives. */
#define REGS_MAX HOST_REGS_MAX
struct reg_list {
	uint64_t n;
	uint64_t id[REGS_MAX];
};
/* @out: freed by the caller. */
int reg_list_(int vcpu_fd, struct reg_list **out, struct err *e);

/* All that this host has. */
uint32_t vcpu_features_(int kvm_fd);
/* To the state after power-on; again at a reset. @target: what the VM prefers; @lengths: the saved
 * set of vector lengths, NULL for all that the host has. */
int vcpu_init_(int vcpu_fd, uint32_t target, uint32_t features, const uint8_t *lengths,
	       struct err *e);
/* A new vCPU: as @saved; without one as @cpu; without either with all that the host has. */
int vcpu_new_(struct arch_vm *vm, uint32_t id, const struct cpu_policy *cpu,
	      const struct arm64_vcpu *saved, struct err *e);
/* Stolen time, PMU: what belongs to a vCPU and needs the interrupt controller to be there. */
int vcpu_finish_(struct arch_vcpu *c, const struct cpu_policy *cpu, const struct arm64_vcpu *saved,
		 struct err *e);
int vcpu_load_(struct arch_vcpu *c, const struct arm64_vcpu *st, struct err *e);

/* With the ITS, where the layout has one; after all vCPUs. */
int gic_new_(struct arch_vm *vm, struct err *e);
int gic_load_(struct arch_vm *vm, const struct arm64_gic *st, struct err *e);
int irq_init_(struct arch_vm *vm, struct err *e);

uint64_t counter_now_(void);
uint32_t counter_hz_(void);
int counter_load_(struct arch_vm *vm, const struct arm64_vcpu *st, uint64_t elapsed_ns,
		  struct err *e);

#endif
