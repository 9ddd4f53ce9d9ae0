/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that src/arch/probe.c runs: 32-bit code at privilege 0. */
#include "arch/common.h"

#define EXIT_PORT 0xf4

/* Count in ECX for ever. At PROBE_COMPLETE: fld1, then an OUT that says it worked. */
const uint8_t probe_code_[PROBE_BYTES] = {
	[PROBE_COUNT] = 0x41,			/* inc ecx */
	[1] = 0xeb, [2] = 0xfd,			/* jmp 0 */
	[PROBE_COMPLETE] = 0xd9, [17] = 0xe8,	/* fld1 */
	[18] = 0xe6, [19] = EXIT_PORT,		/* out 0xf4, al */
	[20] = 0xf4,				/* hlt */
};

int probe_vcpu_(int vm, struct err *e)
{
	return kvm_do(vm, KVM_CREATE_VCPU, 0, e);
}

int probe_enter_(int vcpu, uint64_t rip, struct err *e)
{
	struct kvm_sregs s;
	struct kvm_regs regs = {.rip = rip, .rflags = 2};
	int r = kvm_do(vcpu, KVM_GET_SREGS, &s, e);

	if (r < 0)
		return r;
	struct kvm_segment flat = {.limit = UINT32_MAX, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
				   .selector = 16};
	s.ds = s.es = s.ss = s.fs = s.gs = flat;
	flat.type = 11;
	flat.selector = 8;
	s.cs = flat;
	s.cr0 |= 1; /* PE */
	r = kvm_do(vcpu, KVM_SET_SREGS, &s, e);
	if (r >= 0)
		r = kvm_do(vcpu, KVM_SET_REGS, &regs, e);
	return r;
}

int probe_counter_(int vcpu, uint64_t *out, struct err *e)
{
	struct kvm_regs regs;
	int r = kvm_do(vcpu, KVM_GET_REGS, &regs, e);

	*out = regs.rcx;
	return r < 0 ? r : 0;
}

bool probe_left_(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_IO && run->io.port == EXIT_PORT;
}
