/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/aarch64/kvm.h"

#include <errno.h>
#include <sys/ioctl.h>

/* PSCI, carried out by KVM, ends in these. */
static int system_event(const struct arch_vcpu *c, struct err *e)
{
	switch (c->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return ARCH_POWER_OFF;
	case KVM_SYSTEM_EVENT_RESET:
		return ARCH_RESET;
	default:
		return err_set(e, ERR_KVM, "vCPU %u: unexpected system event %u", c->id,
			       c->run->system_event.type);
	}
}

/* An access to where nothing is, by an instruction that KVM cannot take apart: the guest gets what
 * it would get from a bus (api.rst, 4.31 and KVM_EXIT_ARM_NISV). */
static int abort_access(struct arch_vcpu *c, struct err *e)
{
	struct kvm_vcpu_events ev = {.exception = {.ext_dabt_pending = 1}};
	uint64_t ipa = c->run->arm_nisv.fault_ipa;

	if (ioctl(c->fd, KVM_SET_VCPU_EVENTS, &ev) < 0)
		return err_sys(e, ERR_KVM, errno,
			       "vCPU %u: an access to 0x%llx that KVM cannot decode", c->id,
			       (unsigned long long)ipa);
	return 0;
}

int arch_vcpu_run(struct arch_vcpu *c, struct arch_io *io, struct err *e)
{
	struct kvm_run *run = c->run;

	for (;;) {
		int r = kvm_enter_(c->fd, run, c->id, e);
		if (r <= 0)
			return r;
		switch (run->exit_reason) {
		case KVM_EXIT_MMIO:
			kvm_memory_io_(run, io);
			break;
		case KVM_EXIT_SYSTEM_EVENT:
			return system_event(c, e);
		case KVM_EXIT_INTR:
			break;
		case KVM_EXIT_ARM_NISV:
			if (abort_access(c, e))
				return -ERR_KVM;
			break;
		default:
			return kvm_exit_error_(run, c->id, e);
		}
	}
}

void arch_vcpu_interrupt(struct arch_vcpu *c, bool on)
{
	__atomic_store_n(&c->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}
