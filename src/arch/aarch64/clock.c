/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest time: the virtual counter, one for the whole machine. KVM keeps it as an offset to the
 * host's physical counter, which is what a process reads as CNTVCT_EL0.
 */
#include "arch/aarch64/kvm.h"

#define NS_PER_S UINT64_C(1000000000)

uint64_t counter_now_(void)
{
	uint64_t v;

	/* Not before what was asked for earlier. */
	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(v)::"memory");
	return v;
}

uint32_t counter_hz_(void)
{
	uint64_t v;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(v));
	return (uint32_t)v;
}

static uint64_t ns_to_ticks(uint64_t ns, uint32_t hz)
{
	return ns / NS_PER_S * hz + ns % NS_PER_S * hz / NS_PER_S;
}

int arch_clock_save(struct arch_vm *vm, struct clock *out, struct err *e)
{
	*out = (struct clock){.realtime_ns = io_realtime_ns()};
	vm->saved_counter = counter_now_();
	return 0;
}

/* One offset for all vCPUs: any of them sets it. */
int counter_load_(struct arch_vm *vm, const struct arm64_vcpu *st, uint64_t elapsed_ns,
		  struct err *e)
{
	uint64_t ticks = ns_to_ticks(elapsed_ns, st->counter_hz);
	uint64_t counter = st->counter + ticks, physical = st->physical_counter + ticks, v;
	int fd = vm->vcpu[0].fd;

	if (st->counter_hz != counter_hz_())
		return err_set(e, ERR_INCOMPATIBLE, "counter of %u Hz, this host has %u Hz",
			       st->counter_hz, counter_hz_());
	int r = reg_set_(fd, ARM64_TIMER_CNT, &counter, e);
	if (r || !st->has_physical_counter || reg_get_(fd, ARM64_PTIMER_CNT, &v, NULL))
		return r;
	return reg_set_(fd, ARM64_PTIMER_CNT, &physical, e);
}

/* Guests have no clock of KVM's that would have to be told. */
void arch_resuming(struct arch_vm *vm)
{
}
