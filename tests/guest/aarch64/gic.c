/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts: GICv2 (IHI 0048) and GICv3 (IHI 0069), in group 0 of the one and group 1 of the
 * other. */
#include "guest.h"

#define GICD_CTLR	0x0
#define GICD_IGROUPR	0x80
#define GICD_ISENABLER	0x100
#define GICD_ICENABLER	0x180
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR	0x800
#define GICD_ICFGR	0xc00
#define GICD_SGIR	0xf00
#define GICD_IROUTER	0x6000

#define GICR_TYPER    0x8
#define GICR_WAKER    0x14
#define GICR_BYTES    0x20000ull
#define GICR_SGI_BASE 0x10000

#define GICC_CTLR 0x0
#define GICC_PMR  0x4
#define GICC_IAR  0xc
#define GICC_EOIR 0x10

#define PRIORITY 0x80
#define NO_ID	 1020 /* and up to 1023 */

struct gic gic;
static uint64_t redist[CPUS_MAX];
static void (*handlers[GIC_IDS])(uint32_t id);
static volatile uint32_t counts[CPUS_MAX][GIC_IDS + GIC_LPIS_MAX];

static void wait_written(uint64_t at, uint32_t bit)
{
	while (in32(at) & bit)
		relax();
}

void gic_init(void)
{
	gic.version = 3;
	gic.node = fdt_next_compatible(FDT_NONE, "arm,gic-v3");
	if (gic.node == FDT_NONE) {
		gic.version = 2;
		gic.node = fdt_next_compatible(FDT_NONE, "arm,cortex-a15-gic");
	}
	CHECK(gic.node != FDT_NONE, "no interrupt controller");
	gic.dist = mmu_reg(gic.node, 0);
	gic.other = mmu_reg(gic.node, 1);
	out32(gic.dist.start + GICD_CTLR, gic.version == 3 ? 0x12 : 1);
	if (gic.version == 3)
		wait_written(gic.dist.start, 1u << 31);
}

/* The frame with this CPU's affinity. */
static uint64_t find_redist(void)
{
	uint64_t mine = READ_SYSREG(mpidr_el1) & 0xffffff, typer;

	for (uint64_t at = gic.other.start; at < gic.other.start + gic.other.size;
	     at += GICR_BYTES) {
		typer = in64(at + GICR_TYPER);
		if (typer >> 32 == mine)
			return at;
		if (typer & 1 << 4)
			break;
	}
	failed("no redistributor of CPU 0x%lx", mine);
}

uint64_t gic_redist(unsigned cpu)
{
	return redist[cpu];
}

static void init_v3(void)
{
	uint64_t at = redist[cpu_self()] = find_redist();

	out32(at + GICR_WAKER, in32(at + GICR_WAKER) & ~2u);
	wait_written(at + GICR_WAKER, 4);
	out32(at + GICR_SGI_BASE + GICD_IGROUPR, ~0u);
	WRITE_SYSREG(s3_0_c12_c12_5, 7);  /* ICC_SRE_EL1 */
	WRITE_SYSREG(s3_0_c4_c6_0, 0xff); /* ICC_PMR_EL1 */
	WRITE_SYSREG(s3_0_c12_c12_3, 0);  /* ICC_BPR1_EL1 */
	WRITE_SYSREG(s3_0_c12_c12_4, 0);  /* ICC_CTLR_EL1 */
	WRITE_SYSREG(s3_0_c12_c12_7, 1);  /* ICC_IGRPEN1_EL1 */
}

void gic_cpu_init(void)
{
	if (gic.version == 3) {
		init_v3();
	} else {
		out32(gic.other.start + GICC_PMR, 0xff);
		out32(gic.other.start + GICC_CTLR, 1);
	}
	for (uint32_t sgi = 0; sgi < 16; sgi++)
		gic_enable(sgi, true, NULL);
}

/* Registers of @id: those of one CPU or those of all. */
static uint64_t registers(uint32_t id)
{
	return gic.version == 3 && id < GIC_SPI ? redist[cpu_self()] + GICR_SGI_BASE
						: gic.dist.start;
}

void gic_enable(uint32_t id, bool edge, void (*handler)(uint32_t id))
{
	uint64_t at = registers(id), config = at + GICD_ICFGR + id / 16 * 4;
	uint32_t bit = 2u << id % 16 * 2;

	CHECK(id < GIC_IDS, "interrupt %u", id);
	if (handler)
		handlers[id] = handler;
	if (id >= 16)
		out32(config, edge ? in32(config) | bit : in32(config) & ~bit);
	out8(at + GICD_IPRIORITYR + id, PRIORITY);
	if (id >= GIC_SPI && gic.version == 3) {
		uint64_t group = at + GICD_IGROUPR + id / 32 * 4;
		out32(group, in32(group) | 1u << id % 32);
		out64(at + GICD_IROUTER + id * 8, cpu_affinity(0));
	} else if (id >= GIC_SPI) {
		out8(at + GICD_ITARGETSR + id, 1);
	}
	out32(at + GICD_ISENABLER + id / 32 * 4, 1u << id % 32);
}

void gic_disable(uint32_t id)
{
	out32(registers(id) + GICD_ICENABLER + id / 32 * 4, 1u << id % 32);
}

void gic_sgi(unsigned cpu, uint32_t id)
{
	uint64_t a = cpu_affinity(cpu);

	barrier();
	if (gic.version == 3)
		WRITE_SYSREG(s3_0_c12_c11_5, /* ICC_SGI1R_EL1 */
			     (a >> 16 & 0xff) << 32 | (a >> 8 & 0xff) << 16 | (uint64_t)id << 24 |
				 1ull << (a & 15));
	else
		out32(gic.dist.start + GICD_SGIR, 1u << (16 + cpu) | id);
}

static uint32_t slot_of(uint32_t id)
{
	return id < GIC_IDS ? id : GIC_IDS + id - GIC_LPI;
}

uint32_t gic_count_of(unsigned cpu, uint32_t id)
{
	return counts[cpu][slot_of(id)];
}

uint32_t gic_count(uint32_t id)
{
	return gic_count_of(cpu_self(), id);
}

void gic_await(uint32_t id, uint32_t before)
{
	irqs_on();
	while (gic_count(id) == before)
		relax();
	irqs_off();
}

/* From start.S: one interrupt. */
void gic_interrupt(void)
{
	bool v3 = gic.version == 3;
	uint32_t ack =
	    v3 ? (uint32_t)READ_SYSREG(s3_0_c12_c12_0) : in32(gic.other.start + GICC_IAR);
	uint32_t id = ack & (v3 ? 0xffffff : 0x3ff);

	if (id >= NO_ID && id < 1024)
		return;
	CHECK(id < GIC_IDS || (id >= GIC_LPI && id < GIC_LPI + GIC_LPIS_MAX), "interrupt %u", id);
	if (id < GIC_IDS && handlers[id])
		handlers[id](id);
	counts[cpu_self()][slot_of(id)]++;
	if (v3)
		WRITE_SYSREG(s3_0_c12_c12_1, ack);
	else
		out32(gic.other.start + GICC_EOIR, ack);
}
