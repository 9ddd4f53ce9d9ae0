/* SPDX-License-Identifier: Apache-2.0 */
/* Message interrupts through the ITS of a GICv3 (IHI 0069, chapter 5), all to the first CPU. */
#include "guest.h"

#define GITS_CTLR     0x0
#define GITS_TYPER    0x8
#define GITS_CBASER   0x80
#define GITS_CWRITER  0x88
#define GITS_CREADR   0x90
#define GITS_BASER    0x100
#define GITS_DOORBELL 0x10040

#define GICR_CTLR      0x0
#define GICR_TYPER     0x8
#define GICR_PROPBASER 0x70
#define GICR_PENDBASER 0x78
#define LPI_ID_BITS    13 /* one less */

#define VALID	   (1ull << 63)
#define CACHED	   (7ull << 59 | 1ull << 10)
#define LPI_CACHED (7ull << 7 | 1ull << 10)
#define PAGES_64K  (2ull << 8)
#define TABLE	   0x10000
#define BASERS	   8

enum { MAPD = 0x8, MAPC = 0x9, MAPTI = 0xa, INV = 0xc, SYNC = 0x5 };
#define EVENT_BITS 4u /* one less, of each device */

static uint8_t devices[TABLE] __attribute__((aligned(TABLE)));
static uint8_t collections[TABLE] __attribute__((aligned(TABLE)));
static uint8_t pending[TABLE] __attribute__((aligned(TABLE)));
static uint8_t config[1 << (LPI_ID_BITS + 1)] __attribute__((aligned(4096)));
static uint8_t translation[256] __attribute__((aligned(256)));
static volatile uint64_t queue[512] __attribute__((aligned(TABLE)));
static uint32_t mapped = ~0u;
static struct range its;
static uint64_t target;

static void command(uint64_t w0, uint64_t w1, uint64_t w2)
{
	uint64_t at = in64(its.start + GITS_CWRITER);

	queue[at / 8] = w0;
	queue[at / 8 + 1] = w1;
	queue[at / 8 + 2] = w2;
	queue[at / 8 + 3] = 0;
	barrier();
	at = (at + 32) % sizeof queue;
	out64(its.start + GITS_CWRITER, at);
	while (in64(its.start + GITS_CREADR) != at)
		relax();
}

static void start_lpis(void)
{
	uint64_t redist = gic_redist(0);

	for (unsigned i = 0; i < GIC_LPIS_MAX; i++)
		config[i] = 0x80 | 2 | 1; /* priority, always set, enabled */
	out64(redist + GICR_PROPBASER, (uint64_t)config | LPI_CACHED | LPI_ID_BITS);
	out64(redist + GICR_PENDBASER, (uint64_t)pending | LPI_CACHED | 1ull << 62);
	out32(redist + GICR_CTLR, 1);
	CHECK(in32(redist + GICR_CTLR) & 1, "LPIs stay off");
	target = (in64(redist + GICR_TYPER) >> 8 & 0xffff) << 16;
}

static void give_tables(void)
{
	for (unsigned i = 0; i < BASERS; i++) {
		uint64_t at = its.start + GITS_BASER + 8 * i, type = in64(at) >> 56 & 7;
		uint8_t *table = type == 1 ? devices : type == 4 ? collections : NULL;
		if (!table)
			continue;
		out64(at, (uint64_t)table | VALID | CACHED | PAGES_64K);
		CHECK((in64(at) & (3ull << 8)) == PAGES_64K, "GITS_BASER %u: 0x%lx", i, in64(at));
	}
}

bool its_init(void)
{
	int node = fdt_next_compatible(gic.node, "arm,gic-v3-its");

	if (node == FDT_NONE)
		return false;
	its = mmu_reg(node, 0);
	CHECK(in64(its.start + GITS_TYPER) & 1, "an ITS without LPIs");
	CHECK(!(in64(its.start + GITS_TYPER) >> 19 & 1), "targets are addresses");
	start_lpis();
	give_tables();
	out64(its.start + GITS_CBASER, (uint64_t)queue | VALID | CACHED);
	CHECK((in64(its.start + GITS_CBASER) & 0xffffffff000) == (uint64_t)queue, "GITS_CBASER");
	out64(its.start + GITS_CWRITER, 0);
	out32(its.start + GITS_CTLR, 1);
	command(MAPC, 0, VALID | target);
	command(SYNC, 0, target);
	return true;
}

uint64_t its_base(void)
{
	return its.start;
}

uint64_t its_doorbell(void)
{
	return its.start + GITS_DOORBELL;
}

/* One device has interrupts here. */
void its_map(uint32_t device, uint32_t event, uint32_t lpi)
{
	CHECK(its.start, "no ITS");
	CHECK(mapped == ~0u || mapped == device, "device 0x%x of the ITS", device);
	mapped = device;
	command(MAPD | (uint64_t)device << 32, EVENT_BITS, (uint64_t)translation | VALID);
	command(MAPTI | (uint64_t)device << 32, event | (uint64_t)lpi << 32, 0);
	command(INV | (uint64_t)device << 32, event, 0);
	command(SYNC, 0, target);
}
