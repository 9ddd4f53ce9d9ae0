/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every address is mapped to itself, in blocks of 2 MiB and, where that does, of 1 GiB. Memory is
 * mapped before the MMU is on; devices when they are found.
 */
#include "guest.h"

#define GIB		0x40000000ull
#define TABLES		24
#define VALID		1ull
#define TABLE		3ull
#define MEMORY		(1ull << 2) /* of MAIR in start.S */
#define SHARED_ACCESSED (3ull << 8 | 1ull << 10)
#define NEVER_EXECUTED	(3ull << 53)
#define ADDRESS		0xfffffffff000ull

uint64_t mmu_tables[TABLES][512] __attribute__((aligned(4096)));
static unsigned used = 1;

static uint64_t *next_table(uint64_t *slot)
{
	if (!(*slot & VALID)) {
		CHECK(used < TABLES, "page tables");
		*slot = (uint64_t)mmu_tables[used++] | TABLE;
	}
	CHECK((*slot & TABLE) == TABLE, "two mappings in one GiB");
	return (uint64_t *)(*slot & ADDRESS);
}

void mmu_map(uint64_t start, uint64_t bytes, enum mmu_type type)
{
	uint64_t flags = VALID | SHARED_ACCESSED | (type == MMU_MEMORY ? MEMORY : NEVER_EXECUTED);
	uint64_t last = start + bytes, step;

	for (uint64_t at = start & ~(HUGE - 1); at < last; at += step) {
		uint64_t *slot = next_table(&mmu_tables[0][at >> 39 & 511]) + (at >> 30 & 511);
		bool whole = at % GIB == 0 && last - at >= GIB && !(*slot & VALID);
		step = whole ? GIB : HUGE;
		if (!whole)
			slot = next_table(slot) + (at >> 21 & 511);
		CHECK(!(*slot & VALID) || *slot == (at | flags), "two mappings of 0x%lx", at);
		*slot = at | flags;
	}
	barrier();
}

struct range mmu_reg(int node, unsigned i)
{
	struct range r = fdt_need_reg(node, i);

	mmu_map(r.start, r.size, MMU_DEVICE);
	return r;
}

/* The MMU is off: what fails here says nothing. */
void mmu_build(uint64_t fdt)
{
	fdt_open(fdt);
	mmu_map((uint64_t)head, (uint64_t)(image_end - head), MMU_MEMORY);
	for (int node = fdt_next(FDT_NONE); node != FDT_NONE; node = fdt_next(node)) {
		const char *kind = (const char *)fdt_property(node, "device_type", 2, NULL);
		struct range r;
		if (kind && same_text(kind, "memory"))
			for (unsigned i = 0; fdt_reg(node, i, &r); i++)
				mmu_map(r.start, r.size, MMU_MEMORY);
	}
}
