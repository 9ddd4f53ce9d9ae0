/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that src/arch/probe.c runs: at EL1, MMU off. */
#include "arch/aarch64/kvm.h"

#include <unistd.h>

#define EXIT_ADDRESS 0x100000

#define WORD(at, v) [(at)] = (v) & 0xff, [(at) + 1] = (v) >> 8 & 0xff,                             \
		    [(at) + 2] = (v) >> 16 & 0xff, [(at) + 3] = (v) >> 24 & 0xff

/* Count in X0 for ever. At PROBE_COMPLETE: floating point, then a store to nowhere. */
const uint8_t probe_code_[PROBE_BYTES] = {
	WORD(PROBE_COUNT, 0x91000400u),	    /* add x0, x0, #1 */
	WORD(4, 0x17ffffffu),		    /* b 0 */
	WORD(PROBE_COMPLETE, 0xd2a00601u),  /* mov x1, #3 << 20: no trap */
	WORD(20, 0xd5181041u),		    /* msr cpacr_el1, x1 */
	WORD(24, 0xd5033fdfu),		    /* isb */
	WORD(28, 0x1e6e1000u),		    /* fmov d0, #1.0 */
	WORD(32, 0xd2a00202u),		    /* mov x2, #0x100000 */
	WORD(36, 0xf9000040u),		    /* str x0, [x2] */
};

int probe_vcpu_(int vm, struct err *e)
{
	struct kvm_vcpu_init init;
	int fd = kvm_do(vm, KVM_CREATE_VCPU, 0, e);
	int r = fd < 0 ? fd : kvm_do(vm, KVM_ARM_PREFERRED_TARGET, &init, e);

	if (r >= 0)
		r = kvm_do(fd, KVM_ARM_VCPU_INIT, &init, e);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

int probe_enter_(int vcpu, uint64_t pc, struct err *e)
{
	uint64_t pstate = PSTATE_EL1H_MASKED;
	int r = reg_set_(vcpu, CORE_REG(regs.pstate), &pstate, e);

	return r ? r : reg_set_(vcpu, CORE_REG(regs.pc), &pc, e);
}

int probe_counter_(int vcpu, uint64_t *out, struct err *e)
{
	return reg_get_(vcpu, CORE_REG(regs.regs[0]), out, e);
}

bool probe_left_(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == EXIT_ADDRESS;
}
