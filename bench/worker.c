/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmarks' guest: works in ring 3, where a KVM without hardware virtualization is fast too.
 * It counts, notes for how long it did not run, writes to pages at a set rate and touches pages
 * when told to, all by way of worker.h. Entered by PVH, by tests/guest/ring3.S; no devices, no
 * interrupts.
 */
#include "worker.h"
#include "../tests/guest/ring3.h"

#include <asm/bootparam.h>
#include <stddef.h>

#define PAGE_PWU    0x07ull
#define PAGE_LARGE  0x80ull
#define LARGE_SHIFT 21
#define GIB_SHIFT   30
#define GIB_MAX	    64
#define E820_IS_RAM 1

/* ring3.S */
extern uint64_t gdt[], identity_pdpt[];
extern const uint8_t exceptions[];
extern uint8_t stacks0[][4096];

uint64_t setup(const struct boot_params *bp, const struct start_info *si);
void work(unsigned cpu);
void fault(uint64_t vector, uint64_t code, uint64_t rip, uint64_t address);

struct worker_page page __attribute__((section(".progress"), aligned(4096), used));
struct gate idt[256] __attribute__((aligned(16)));
volatile uint64_t tick_count;
volatile uint32_t *lapic;
static struct tss tss;
static uint64_t pd[GIB_MAX - 1][512] __attribute__((aligned(4096)));

/* Every address as it is; ring3.S has mapped the first GiB. */
static void map_all(const struct start_info *si)
{
	const struct memmap_entry *m = (const void *)si->memmap;
	uint64_t end = 0;

	for (unsigned i = 0; i < si->memmap_entries; i++)
		if (m[i].type == E820_IS_RAM && m[i].addr + m[i].size > end)
			end = m[i].addr + m[i].size;
	for (uint64_t g = 1; g < GIB_MAX && g << GIB_SHIFT < end; g++) {
		identity_pdpt[g] = (uint64_t)pd[g - 1] | PAGE_PWU;
		for (uint64_t i = 0; i < 512; i++)
			pd[g - 1][i] = g << GIB_SHIFT | i << LARGE_SHIFT | PAGE_PWU | PAGE_LARGE;
	}
}

static void set_exceptions(void)
{
	for (unsigned i = 0; i < 32; i++) {
		uint64_t at = (uint64_t)exceptions + 16 * i;
		idt[i] = (struct gate){
		    .low = (uint16_t)at,
		    .selector = 0x08,
		    .flags = 0x8e00, /* present, interrupt gate */
		    .mid = (uint16_t)(at >> 16),
		    .high = (uint32_t)(at >> 32),
		};
	}
}

static void set_task(void)
{
	uint64_t t = (uint64_t)&tss;

	tss.rsp0 = (uint64_t)stacks0[1];
	tss.iomap = sizeof tss;
	gdt[6] = (sizeof tss - 1) | (t & 0xffffff) << 16 | 0x89ull << 40 | (t >> 24 & 0xff) << 56;
	gdt[7] = t >> 32;
}

/* In ring 0, as little as possible of it. Returns what ring 3 gets in RFLAGS. */
uint64_t setup(const struct boot_params *bp, const struct start_info *si)
{
	(void)bp;
	map_all(si);
	set_exceptions();
	set_task();
	return 0;
}

void fault(uint64_t vector, uint64_t code, uint64_t rip, uint64_t address)
{
	(void)code, (void)rip, (void)address;
	page.fault = vector + 1;
	for (;;)
		asm volatile("cli; hlt");
}

/* --- ring 3 -------------------------------------------------------------------------------- */

static uint64_t tsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* A restored TSC may have gone back: that is no gap. */
static uint64_t note_time(volatile struct worker_page *p)
{
	uint64_t now = tsc(), last = p->tsc, gap = now > last ? now - last : 0;

	if (gap > p->gap_ticks) {
		p->gaps = p->gaps + 1;
		p->gap_sum = p->gap_sum + gap;
		if (gap > p->gap_max)
			p->gap_max = gap;
	}
	p->tsc = now;
	p->counter = p->counter + 1;
	return now;
}

static volatile uint64_t *words_of(volatile struct worker_page *p, unsigned order, uint64_t i)
{
	return (volatile uint64_t *)((uint64_t)p->list[order][i % p->pages] << 12);
}

static void touch(volatile struct worker_page *p)
{
	uint64_t sum = 0;

	p->touched = 0;
	for (uint64_t i = 0; i < p->count; i++) {
		volatile uint64_t *at = words_of(p, p->order & 1, p->first + i);
		sum += at[1];
		if (p->kind == WORKER_WRITE) {
			at[0] = p->counter;
			p->written = p->written + 1;
		}
		p->touched = i + 1;
		note_time(p);
	}
	p->sum = sum;
}

static void obey(volatile struct worker_page *p)
{
	uint64_t command = p->command;

	if (p->kind == WORKER_RESET)
		p->gaps = p->gap_sum = p->gap_max = 0;
	else if (p->pages)
		touch(p);
	p->done = command;
}

void work(unsigned cpu)
{
	volatile struct worker_page *p = &page;
	uint64_t now, due = 0, next = 0;

	(void)cpu;
	p->gap_ticks = ~0ull;
	p->tsc = tsc();
	p->magic = WORKER_MAGIC;
	for (;;) {
		now = note_time(p);
		if (p->write_ticks && p->pages && now >= due) {
			*words_of(p, 1, next++) = now;
			p->written = p->written + 1;
			/* What was missed in a gap is not made up for. */
			due = now - due > 16 * p->write_ticks ? now + p->write_ticks
							      : due + p->write_ticks;
		}
		if (p->command != p->done)
			obey(p);
	}
}
