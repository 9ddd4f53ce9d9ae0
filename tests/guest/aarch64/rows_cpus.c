/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that each CPU has a part of: interrupt controllers, stall detector, stolen time. */
#include "rows.h"

#define SGI 3

#define GICD_TYPER 0x4
#define GICC_IIDR  0xfc
#define GITS_TYPER 0x8

/* Arm DEN0057A */
#define ARCH_FEATURES	 0x80000001u
#define PV_TIME_FEATURES 0xc5000020u
#define PV_TIME_ST	 0xc5000021u
#define PV_REVISION	 0
#define PV_STOLEN	 8

/* drivers/misc/vcpu_stall_detector.c of Linux: of each CPU */
#define STALL_STATUS  0x0
#define STALL_LOAD    0x4
#define STALL_CURRENT 0x8
#define STALL_CLOCK   0xc
#define STALL_BYTES   0x10
#define STALL_TICKS   3

static struct range detector;
static uint32_t detector_line, detector_hz;

uint64_t stolen_time_at(void)
{
	uint64_t at;

	if ((int32_t)hvc(ARCH_FEATURES, PV_TIME_FEATURES, 0, 0) < 0 ||
	    (int64_t)hvc(PV_TIME_FEATURES, PV_TIME_ST, 0, 0) < 0)
		return 0;
	at = hvc(PV_TIME_ST, 0, 0, 0);
	if ((int64_t)at < 0)
		return 0;
	mmu_map(at, 1, MMU_MEMORY);
	CHECK(!*(volatile uint64_t *)(at + PV_REVISION), "stolen time of another revision");
	return at;
}

static uint64_t frame(unsigned cpu)
{
	return detector.start + cpu * STALL_BYTES;
}

/* A fresh load is what tells that it goes on; then off. */
static void on_stall(uint32_t id)
{
	out32(frame(cpu_self()) + STALL_LOAD, STALL_TICKS);
	out32(frame(cpu_self()) + STALL_STATUS, 0);
}

static void find_detector(void)
{
	int node = fdt_next_compatible(FDT_NONE, "qemu,vcpu-stall-detector");
	const uint8_t *hz = fdt_property(node, "clock-frequency", 4, NULL);

	if (node == FDT_NONE || !hz)
		return;
	detector = mmu_reg(node, 0);
	detector_line = fdt_interrupt(node, 0);
	detector_hz = fdt_u32(hz);
}

static void start_detector(unsigned cpu, uint32_t ticks)
{
	out32(frame(cpu) + STALL_CLOCK, detector_hz);
	out32(frame(cpu) + STALL_LOAD, ticks);
	CHECK(in32(frame(cpu) + STALL_CLOCK) == detector_hz, "clock of stall detector %u", cpu);
	CHECK(in32(frame(cpu) + STALL_LOAD) == ticks, "load of stall detector %u", cpu);
	out32(frame(cpu) + STALL_STATUS, 1);
}

/* It counts down, and tells of it when nobody loads it again. */
static void try_detector(unsigned cpu)
{
	uint32_t before = gic_count(detector_line);

	gic_enable(detector_line, false, on_stall);
	start_detector(cpu, STALL_TICKS);
	while (in32(frame(cpu) + STALL_CURRENT) >= STALL_TICKS)
		relax();
	gic_await(detector_line, before);
	CHECK(!in32(frame(cpu) + STALL_STATUS), "stall detector %u is still on", cpu);
}

static void each(unsigned cpu)
{
	uint32_t sgi = gic_count(SGI), tick = gic_count(timer_interrupt());
	uint64_t at = stolen_time_at();

	gic_sgi(cpu, SGI);
	gic_await(SGI, sgi);
	timer_start(1000, 0);
	gic_await(timer_interrupt(), tick);
	if (detector.size)
		try_detector(cpu);
	say("CPU %u redist=0x%lx stolen=0x%lx detector=0x%lx\n", cpu, gic_redist(cpu), at,
	    detector.size ? frame(cpu) : 0);
}

/* One CPU after the other, so that lines come in order. */
static volatile unsigned turn;

static void in_turn(unsigned cpu)
{
	while (turn != cpu)
		relax();
	each(cpu);
	turn = cpu + 1;
}

void rows_cpus(void)
{
	row("AARCH64_GIC_DIST_BASE", gic.dist.start);
	say(" lines=%u\n", ((in32(gic.dist.start + GICD_TYPER) & 31) + 1) * 32);
	row(gic.version == 3 ? "AARCH64_GIC_REDIST_BASE" : "AARCH64_GIC_CPUI_BASE",
	    gic.other.start);
	if (gic.version == 2)
		say(" iidr=0x%x", in32(gic.other.start + GICC_IIDR));
	say(" bytes=%lu\n", gic.other.size);
	if (its_base()) {
		row("AARCH64_GIC_ITS_BASE", its_base());
		say(" typer=0x%lx\n", in64(its_base() + GITS_TYPER));
	}
	find_detector();
	turn = 0;
	cpu_run(in_turn);
	if (detector.size) {
		row("AARCH64_VMWDT_ADDR", detector.start);
		say(" line=%u hz=%u\n", detector_line, detector_hz);
	}
	uint64_t at = stolen_time_at();
	if (at) {
		row("AARCH64_PVTIME_IPA_START", at);
		say("\n");
	}
}

/* --- modes of their own ---------------------------------------------------------------------- */

uint64_t stolen_ns(void)
{
	static uint64_t at;

	if (!at)
		at = stolen_time_at();
	CHECK(at, "no stolen time");
	return *(volatile uint64_t *)(at + PV_STOLEN);
}

/* The last CPU enables its detector and does nothing any more, with interrupts masked. */
static void stop(unsigned cpu)
{
	irqs_off();
	if (cpu == cpu_n - 1) {
		gic_enable(detector_line, false, NULL);
		start_detector(cpu, STALL_TICKS);
	}
	for (;;)
		relax();
}

void stall(void)
{
	find_detector();
	CHECK(detector.size, "no stall detector");
	say("STALL cpu=%u\n", cpu_n - 1);
	cpu_run(stop);
}
