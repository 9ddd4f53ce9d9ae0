/* SPDX-License-Identifier: Apache-2.0 */
/* Other CPUs by PSCI (Arm DEN0022), and the timer of each. */
#include "guest.h"

#define PSCI_CPU_ON_64 0xc4000003
#define TIMER_VIRTUAL  2 /* the third interrupt of the node (arm,arch_timer.yaml) */

unsigned cpu_n;
static uint64_t affinity[CPUS_MAX];
static void (*volatile job)(unsigned cpu);
static volatile unsigned job_number; /* counts jobs, so that each is done once */
static volatile unsigned done[CPUS_MAX];
static bool started;
static uint32_t timer_id;
static uint64_t timer_again[CPUS_MAX];

void cpu_init(void)
{
	int cpus = fdt_child(0, "cpus");
	struct range r;

	for (int node = fdt_next(cpus); node != FDT_NONE && fdt_parent(node) == cpus;
	     node = fdt_next(node)) {
		CHECK(cpu_n < CPUS_MAX && fdt_reg(node, 0, &r), "a CPU");
		affinity[cpu_n++] = r.start;
	}
	CHECK(cpu_n && affinity[0] == (READ_SYSREG(mpidr_el1) & 0xffffff), "first CPU");
	timer_id = fdt_interrupt(fdt_next_compatible(FDT_NONE, "arm,armv8-timer"), TIMER_VIRTUAL);
}

uint64_t cpu_affinity(unsigned cpu)
{
	return affinity[cpu];
}

void cpu_started(unsigned cpu)
{
	unsigned seen = 0;

	CHECK(affinity[cpu] == (READ_SYSREG(mpidr_el1) & 0xffffff), "CPU %u is another", cpu);
	gic_cpu_init();
	for (;;) {
		while (job_number == seen) {
			asm volatile("wfi");
			irqs_on();
			irqs_off();
		}
		barrier();
		seen = job_number;
		job(cpu);
		barrier();
		irqs_off();
		done[cpu] = seen;
	}
}

void cpu_run(void (*f)(unsigned cpu))
{
	job = f;
	barrier();
	unsigned number = ++job_number;
	for (unsigned i = 1; i < cpu_n; i++) {
		if (started)
			gic_sgi(i, GIC_SGI_WAKE);
		else
			CHECK(!hvc(PSCI_CPU_ON_64, affinity[i], (uint64_t)cpu_start, i),
			      "CPU_ON %u", i);
	}
	started = true;
	f(0);
	irqs_on();
	for (unsigned i = 1; i < cpu_n; i++)
		while (done[i] != number)
			relax();
	irqs_off();
	barrier();
}

uint32_t timer_interrupt(void)
{
	return timer_id;
}

static void on_timer(uint32_t id)
{
	uint64_t again = timer_again[cpu_self()];

	if (again)
		WRITE_SYSREG(cntv_cval_el0, counter() + again);
	else
		timer_stop();
}

void timer_start(uint64_t ticks, uint64_t again)
{
	timer_again[cpu_self()] = again;
	gic_enable(timer_id, false, on_timer);
	WRITE_SYSREG(cntv_cval_el0, counter() + ticks);
	WRITE_SYSREG(cntv_ctl_el0, 1);
}

void timer_stop(void)
{
	WRITE_SYSREG(cntv_ctl_el0, 0);
}
