/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/arch/x86_64/: the VM as KVM sees it. */
#ifndef ARCH_X86_64_KVM_H
#define ARCH_X86_64_KVM_H

#include "arch/common.h"
#include "state/x86_irqchip.h"

struct arch_vcpu {
	struct arch_vm *vm;
	uint32_t id;
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	/* As it was set: what is saved. KVM_GET_CPUID2 also tells what followed from the guest's control
	 * registers, and on a software KVM more than was set. */
	struct x86_cpuid *cpuid;
	uint32_t cpuid_n;
};

struct arch_vm {
	int kvm_fd, fd;
	const struct layout *layout;
	struct guest_mem *mem;
	uint32_t vcpu_n;
	struct arch_vcpu vcpu[ARCH_VCPUS_MAX];
	uint32_t host_tsc_khz;
	bool tsc_scaling;

	struct msi_table msi;

	/* The instant of the last arch_clock_save(): what each vCPU's TSC is reckoned for. */
	uint64_t saved_host_tsc, saved_realtime_ns;
};

/* Set CPUID of a new vCPU: @list, which it keeps a copy of. */
int cpuid_apply_(struct arch_vcpu *c, const struct x86_cpuid *list, uint32_t n, struct err *e);
/* What KVM supports here less what cannot be restored elsewhere, and of that what @policy has (NULL:
 * all). */
int cpuid_policy_(int kvm_fd, const struct layout_params *p, const struct cpu_policy *policy,
		  uint32_t vcpu, struct x86_cpuid out[static X86_CPUID_MAX], uint32_t *n, struct err *e);
int cpuid_supported_(int kvm_fd, struct x86_cpuid out[static X86_CPUID_MAX], uint32_t *n,
		     struct err *e);

int msr_list_(int kvm_fd, uint32_t out[static X86_MSRS_MAX], uint32_t *n, struct err *e);
int msr_set_(struct arch_vcpu *c, uint32_t index, uint64_t value, struct err *e);
int msr_get_(struct arch_vcpu *c, uint32_t index, uint64_t *value, struct err *e);
/* What a kernel expects of the firmware that it was not booted by. */
int msr_boot_(struct arch_vcpu *c, struct err *e);
int msr_save_(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e);
int msr_load_(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e);

int tsc_save_(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e);
int tsc_load_(struct arch_vm *vm, void *const *vcpu_state, uint64_t elapsed_ns, struct err *e);
int clock_load_(struct arch_vm *vm, const struct clock *clock, uint64_t elapsed_ns, struct err *e);

int vcpu_load_(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e);
int irqchip_load_(struct arch_vm *vm, const void *st, struct err *e);

int irq_init_(struct arch_vm *vm, struct err *e);

#endif
