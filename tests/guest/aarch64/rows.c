/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every row of the memory map is touched where the device tree has it, and said so: "ROW name
 * address" and what was seen. The names are those of the layout definitions, for whoever compares.
 *
 *   hold        between the two passes until a character arrives at the second serial port; the
 *               second pass finds what the first one has left
 *   absent=ADDR nothing in the device tree may lie there, and nothing answers
 */
#include "rows.h"

unsigned rows_pass;

uint64_t rows_mark(unsigned pass, unsigned i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull + pass;
}

void row(const char *name, uint64_t at)
{
	say("ROW %s 0x%lx", name, at);
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Each word is turned over and back, but for those of this image. */
static void touch(uint64_t start, uint64_t bytes)
{
	for (uint64_t at = start; at < start + bytes; at += 8) {
		volatile uint64_t *word = (volatile uint64_t *)at;
		if (at >= (uint64_t)head && at < (uint64_t)image_end)
			continue;
		uint64_t was = *word;
		*word = ~was;
		barrier();
		CHECK(*word == ~was, "memory at 0x%lx", at);
		*word = was;
	}
}

static void ram(void)
{
	struct range r = fdt_need_reg(fdt_child(0, "memory"), 0);

	touch(r.start, MIB);
	touch(r.start + r.size - MIB, MIB);
	row("AARCH64_PHYS_MEM_START", r.start);
	say(" bytes=%lu\n", r.size);
}

static void initrd(void)
{
	int chosen = fdt_child(0, "chosen");
	const uint8_t *start = fdt_property(chosen, "linux,initrd-start", 8, NULL);
	const uint8_t *last = fdt_property(chosen, "linux,initrd-end", 8, NULL);

	if (!start || !last)
		return;
	uint64_t bytes = fdt_u64(last) - fdt_u64(start);
	row("initrd_addr", fdt_u64(start));
	say(" bytes=%lu sum=0x%lx\n", bytes, checksum((const void *)fdt_u64(start), bytes));
}

bool pool_find(struct range *out)
{
	int pool = fdt_next_compatible(FDT_NONE, "restricted-dma-pool");

	if (pool == FDT_NONE)
		return false;
	const uint8_t *p = fdt_property(pci.node, "memory-region", 4, NULL);
	CHECK(p && fdt_by_phandle(fdt_u32(p)) == pool, "the pool is not that of PCI");
	*out = fdt_need_reg(pool, 0);
	return true;
}

/* A mark in each page, which the second pass finds. */
static void pool(void)
{
	struct range r;

	if (!pool_find(&r))
		return;
	for (unsigned pass = rows_pass ? 0 : 1; pass < 2; pass++)
		for (uint64_t i = 0; i < r.size / 4096; i++) {
			volatile uint64_t *word = (volatile uint64_t *)(r.start + i * 4096);
			if (pass)
				*word = rows_mark(rows_pass, (unsigned)i);
			else
				CHECK(*word == rows_mark(0, (unsigned)i), "pool page %lu", i);
		}
	row("get_swiotlb_addr", r.start);
	say(" bytes=%lu\n", r.size);
}

static void images(void)
{
	row(ROWS_FDT, entry[0]);
	say(" bytes=%u\n", fdt_total_bytes());
	row(ROWS_IMAGE, (uint64_t)head);
	say("\n");
	if (entry[3] != FIRMWARE_MARK)
		return;
	/* Entered by the firmware, which says where it is; it is still there. */
	mmu_map(entry[2], 1, MMU_MEMORY);
	CHECK(!__builtin_memcmp((const void *)(entry[2] + 56), "ARM\x64", 4), "no firmware there");
	row("AARCH64_PROTECTED_VM_FW_START", entry[2]);
	say("\n");
}

/* DDI 0487, ESR_EL1: a data abort from this exception level, synchronous, external. */
#define ESR_CAUSE	   0xfc00003full
#define ESR_EXTERNAL_ABORT 0x94000010ull

/* --- what is not there ----------------------------------------------------------------------- */

static void absent(void)
{
	uint64_t at = word_number("absent", 0);
	int cpus = fdt_child(0, "cpus");
	struct range r;

	if (!at)
		return;
	for (int node = fdt_next(0); node != FDT_NONE; node = fdt_next(node))
		for (unsigned i = 0; fdt_parent(node) != cpus && fdt_reg(node, i, &r); i++)
			CHECK(at < r.start || at - r.start >= r.size, "%s is at 0x%lx",
			      fdt_name(node), at);
	CHECK(at - pci.low.start >= pci.low.size && at - pci.high.start >= pci.high.size,
	      "a window is at 0x%lx", at);
	mmu_map(at, 4, MMU_DEVICE);
	CHECK(in32(at) == ~0u, "something answers at 0x%lx", at);
	/* An instruction that a hypervisor cannot decode gets what a bus gives. */
	uint64_t esr = store_pair(at);
	CHECK((esr & ESR_CAUSE) == ESR_EXTERNAL_ABORT, "a pair at 0x%lx: esr 0x%lx", at, esr);
	say("ABSENT 0x%lx\n", at);
}

static void pass(void)
{
	say("PASS %u\n", rows_pass);
	ram();
	images();
	initrd();
	pool();
	rows_platform();
	rows_pci();
	rows_cpus();
	absent();
}

void rows(void)
{
	pass();
	if (has_word("hold")) {
		hold();
		rows_pass = 1;
		pass();
	}
}
