/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that works in ring 3, where a KVM without hardware virtualization is fast too: it maps
 * the RAM that it was told of, drops to ring 3 and does deterministic work over a span of memory,
 * telling its progress in a page at the start of its image (work.h). Command line, all optional:
 *
 *   iters=N    iterations; 0 for no end                                     (1000000)
 *   span=BYTES of memory worked on, K, M, G understood                      (16M)
 *   from=BYTES where in physical memory it begins, a multiple of 2 MiB      (16M)
 *   seed=N                                                                  (1)
 *   fill       contents before the first iteration, see guest_work_fill()
 *   pace=TICKS of the TSC at least between two iterations                   (0)
 *   gap=TICKS  from which on an interval counts as a gap                    (300000)
 *   order      instead of that work: the number of the iteration into each page, one after the other
 *   disk=N     iterations of the first CPU between two requests to a virtio disk of at least 64 KiB,
 *              zero at first, which reads and writes the last 512 bytes of pages of the span; 0: none (0)
 *   cpus=N     that work, each on its part of the span and with seed + its number (1)
 *   tick=COUNT of the first CPU's timer between two interrupts; 0 for none  (0)
 *   com=PORT   serial port                                                  (0x3f8)
 *   exit=PORT  debug exit port to use instead of ACPI to end
 *   stay       at the end, halted, instead of ending
 *
 * At the end it says "DONE cpu=... iters=... checksum=0x..." for each CPU and powers off by ACPI.
 */
#include "ring3.h"

#include "disk.h"
#include "port.h"
#include "ring3_disk.h"

#include <asm/bootparam.h>
#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stddef.h>

#define PAGE_PWU      0x07ull
#define PAGE_LARGE    0x80ull
#define PAGE_UNCACHED 0x10ull
#define LARGE_PAGE    0x200000ull
#define GIB	      0x40000000ull
#define SPAN_GIB_MAX  64
#define SPAN_VIRTUAL  0x8000000000ull /* second entry of the PML4 */

/* ring3.S */
extern uint64_t gdt[], identity_pml4[], identity_pdpt[];
extern const uint8_t exceptions[], invalid_opcode[], tick[], ap_start[], ap_end[];
extern uint8_t stacks0[][4096];

uint64_t setup(const struct boot_params *bp, const struct start_info *si);
void work(unsigned cpu);
void fault(uint64_t vector, uint64_t code, uint64_t rip, uint64_t address);

struct guest_progress progress[GUEST_CPUS_MAX]
    __attribute__((section(".progress"), aligned(4096), used));
struct gate idt[256] __attribute__((aligned(16)));
volatile uint64_t tick_count;
volatile uint32_t *lapic;
static struct tss tss[GUEST_CPUS_MAX];
static uint64_t span_pdpt[512] __attribute__((aligned(4096)));
static uint64_t span_pd[SPAN_GIB_MAX][512] __attribute__((aligned(4096)));
static uint64_t device_pd[4][512] __attribute__((aligned(4096)));

static struct {
	uint64_t iters, span, from, seed, pace, gap, cpus, tick, disk, com, exit;
	bool fill, stay, order;
	const uint8_t *rsdp;
} option = {
    .iters = 1000000,
    .span = 16 << 20,
    .from = 16 << 20,
    .seed = 1,
    .gap = 300000,
    .com = 0x3f8,
};

static uint64_t tsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

/* --- saying things ------------------------------------------------------------------------- */

void say(const char *s)
{
	for (; *s; s++)
		out8((uint16_t)option.com, (uint8_t)*s);
}

void say_number(const char *name, uint64_t v, unsigned base)
{
	char digits[24], *p = digits + sizeof digits;

	*--p = 0;
	do
		*--p = "0123456789abcdef"[v % base];
	while (v /= base);
	say(name);
	say(base == 16 ? "=0x" : "=");
	say(p);
}

/* PM1a_CNT of the FADT, found as an operating system does; 0 when there is none. */
static uint16_t pm1_control(void)
{
	const uint8_t *xsdt, *fadt;

	if (!option.rsdp || option.rsdp[15] < 2)
		return 0; /* none, or none with an XSDT */
	xsdt = (const uint8_t *)*(const uint64_t *)(option.rsdp + 24);
	for (uint32_t i = 36; i + 8 <= *(const uint32_t *)(xsdt + 4); i += 8) {
		fadt = (const uint8_t *)*(const uint64_t *)(xsdt + i);
		if (*(const uint32_t *)fadt == 0x50434146) /* "FACP" */
			return (uint16_t) * (const uint32_t *)(fadt + 64);
	}
	return 0;
}

static void halt(void) __attribute__((noreturn));
static void halt(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

void end(uint32_t code)
{
	uint16_t pm1 = pm1_control();

	if (option.stay)
		halt();
	if (option.exit)
		out32((uint16_t)option.exit, code);
	else if (pm1)
		out16(pm1, 5 << 10 | 1 << 13); /* SLP_TYP of S5, SLP_EN */
	halt();
}

void fault(uint64_t vector, uint64_t code, uint64_t rip, uint64_t address)
{
	say_number("FAULT vector", vector, 10);
	say_number(" code", code, 16);
	say_number(" rip", rip, 16);
	say_number(" cr2", address, 16);
	say("\n");
	end(1);
}

/* --- the command line ---------------------------------------------------------------------- */

static const char *after(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

static uint64_t number(const char *s)
{
	uint64_t v = 0;
	bool hex = s[0] == '0' && s[1] == 'x';

	for (s += hex ? 2 : 0;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v * (hex ? 16 : 10) + (uint64_t)(*s - '0');
		else if (hex && *s >= 'a' && *s <= 'f')
			v = v * 16 + (uint64_t)(*s - 'a') + 10;
		else
			break;
	}
	return *s == 'K' ? v << 10 : *s == 'M' ? v << 20 : *s == 'G' ? v << 30 : v;
}

static void parse(const char *s)
{
	static const struct option_name {
		const char *name;
		uint64_t *value;
	} numbers[] = {
	    {"iters=", &option.iters},
	    {"span=", &option.span},
	    {"from=", &option.from},
	    {"seed=", &option.seed},
	    {"pace=", &option.pace},
	    {"gap=", &option.gap},
	    {"cpus=", &option.cpus},
	    {"tick=", &option.tick},
	    {"disk=", &option.disk},
	    {"com=", &option.com},
	    {"exit=", &option.exit},
	    {NULL, NULL},
	};
	const char *v;

	while (*s) {
		for (const struct option_name *o = numbers; o->name; o++)
			if ((v = after(s, o->name)))
				*o->value = number(v);
		if ((v = after(s, "fill")) && (*v == ' ' || !*v))
			option.fill = true;
		if ((v = after(s, "stay")) && (*v == ' ' || !*v))
			option.stay = true;
		if ((v = after(s, "order")) && (*v == ' ' || !*v))
			option.order = true;
		while (*s && *s != ' ')
			s++;
		while (*s == ' ')
			s++;
	}
}

/* --- ring 0: tables ------------------------------------------------------------------------ */

static uint64_t mapped;

/* RAM from option.from on, one range after the other, side by side at SPAN_VIRTUAL. */
static void map_ram(uint64_t start, uint64_t size)
{
	uint64_t last = start + size;

	if (start < option.from)
		start = option.from;
	start = (start + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
	for (; start + LARGE_PAGE <= last && mapped < option.span; start += LARGE_PAGE) {
		uint64_t n = mapped / LARGE_PAGE;
		if (n / 512 == SPAN_GIB_MAX)
			return;
		span_pd[n / 512][n % 512] = start | PAGE_PWU | PAGE_LARGE;
		mapped += LARGE_PAGE;
	}
}

static void map_span(const struct boot_params *bp, const struct start_info *si)
{
	const struct memmap_entry *m = si ? (const void *)si->memmap : NULL;

	identity_pml4[1] = (uint64_t)span_pdpt | PAGE_PWU;
	for (unsigned i = 0; i < SPAN_GIB_MAX && i * GIB < option.span; i++)
		span_pdpt[i] = (uint64_t)span_pd[i] | PAGE_PWU;
	for (unsigned i = 0; bp && i < bp->e820_entries; i++)
		if (bp->e820_table[i].type == 1)
			map_ram(bp->e820_table[i].addr, bp->e820_table[i].size);
	for (unsigned i = 0; m && i < si->memmap_entries; i++)
		if (m[i].type == 1)
			map_ram(m[i].addr, m[i].size);
	if (option.span > mapped)
		option.span = mapped;
}

static void set_gate(unsigned vector, const void *handler)
{
	uint64_t at = (uint64_t)handler;

	idt[vector] = (struct gate){
	    .low = (uint16_t)at,
	    .selector = 0x08,
	    .flags = 0x8e00, /* present, interrupt gate */
	    .mid = (uint16_t)(at >> 16),
	    .high = (uint32_t)(at >> 32),
	};
}

#define MSR_APIC_BASE 0x1b
#define TICK_VECTOR   0x40

/* Above the first GiB, which is mapped already, and below 512 GiB. */
void map_device(uint64_t at)
{
	static unsigned used;
	uint64_t *entry = &identity_pdpt[at / GIB];

	if (!*entry)
		*entry = (uint64_t)device_pd[used++ % 4] | PAGE_PWU;
	((uint64_t *)(*entry & ~0xfffull))[at % GIB / LARGE_PAGE] =
	    (at & ~(LARGE_PAGE - 1)) | PAGE_PWU | PAGE_LARGE | PAGE_UNCACHED;
}

static void map_lapic(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) & ~0xfffull;

	map_device(base);
	lapic = (volatile uint32_t *)base;
}

static void start_timer(void)
{
	out8(0x21, 0xff); /* firmware may have left lines of the 8259s open */
	out8(0xa1, 0xff);
	set_gate(TICK_VECTOR, tick);
	lapic[0xf0 / 4] = 0x1ff;		  /* enabled, spurious vector 255 */
	lapic[0x3e0 / 4] = 0xb;			  /* divide by 1 */
	lapic[0x320 / 4] = 1 << 17 | TICK_VECTOR; /* periodic */
	lapic[0x380 / 4] = (uint32_t)option.tick;
}

/* INIT and start-up to all others; vCPUs need no time in between. Those that have no work halt. */
#define AP_PAGE 0x10000

static void start_others(void)
{
	volatile uint8_t *to = (volatile uint8_t *)AP_PAGE;

	for (unsigned i = 0; ap_start + i < ap_end; i++)
		to[i] = ap_start[i];
	lapic[0xf0 / 4] = 0x1ff;
	lapic[0x300 / 4] = 0xc4500;
	lapic[0x300 / 4] = 0xc4600 | AP_PAGE >> 12;
}

static void set_task(unsigned cpu)
{
	uint64_t t = (uint64_t)&tss[cpu];

	tss[cpu].rsp0 = (uint64_t)stacks0[cpu + 1];
	tss[cpu].iomap = sizeof tss[cpu];
	gdt[6 + 2 * cpu] =
	    (sizeof tss[cpu] - 1) | (t & 0xffffff) << 16 | 0x89ull << 40 | (t >> 24 & 0xff) << 56;
	gdt[7 + 2 * cpu] = t >> 32;
}

/* Returns what ring 3 gets in RFLAGS. */
uint64_t setup(const struct boot_params *bp, const struct start_info *si)
{
	option.rsdp = (const uint8_t *)(bp ? bp->acpi_rsdp_addr : si->rsdp);
	parse((const char *)(bp ? bp->hdr.cmd_line_ptr : si->cmdline));
	if (option.cpus < 1 || option.cpus > GUEST_CPUS_MAX)
		option.cpus = 1;
	map_span(bp, si);
	for (unsigned i = 0; i < 32; i++)
		set_gate(i, exceptions + 16 * i);
	set_gate(6, invalid_opcode);
	for (unsigned i = 0; i < (option.cpus > 1 ? GUEST_CPUS_MAX : 1); i++)
		set_task(i);
	say_number("WORK span", option.span, 10);
	say("\n");
	if (option.span / option.cpus < 4096)
		end(1);
	if (option.tick || option.cpus > 1)
		map_lapic();
	if (option.disk) {
		disk_find();
		disk_start(1u << VIRTIO_BLK_F_FLUSH); /* or each write would be flushed */
	}
	if (option.cpus > 1)
		start_others();
	if (option.tick)
		start_timer();
	return option.tick ? 0x200 : 0; /* interrupts */
}

/* --- ring 3 -------------------------------------------------------------------------------- */

void in_ring0(void (*f)(void))
{
	asm volatile("ud2"
		     : "+a"(f)
		     :
		     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

static void say_done(void)
{
	for (unsigned i = 0; i < option.cpus; i++) {
		say_number("DONE cpu", i, 10);
		say_number(" iters", progress[i].iterations, 10);
		say_number(" checksum", progress[i].checksum, 16);
		say_number(" gaps", progress[i].gaps, 10);
		say_number(" interrupts", progress[i].interrupts, 10);
		say("\n");
	}
	end(0);
}

uint64_t physical(const void *at)
{
	uint64_t offset = (uint64_t)at - SPAN_VIRTUAL, n = offset / LARGE_PAGE;

	return (span_pd[n / 512][n % 512] & ~(LARGE_PAGE - 1)) + offset % LARGE_PAGE;
}

/* At any moment the words are the same up to some page, and one less behind it. */
static void in_order(uint64_t number, volatile uint64_t *span, uint64_t words)
{
	for (uint64_t i = 0; i < words; i += 512)
		span[i] = number;
}

static void steps(volatile struct guest_progress *p, struct guest_work *w, uint64_t *span,
		  uint64_t words)
{
	uint64_t per_page = option.disk ? WORDS_BESIDE_DISK : 512;
	uint64_t disk = p == progress ? option.disk : 0;
	uint64_t last, now, due;

	p->tsc_start = last = tsc();
	for (uint64_t i = 0; !option.iters || i < option.iters;) {
		p->busy = 1;
		if (option.order)
			in_order(i + 1, span, words);
		else
			guest_work_step_in(w, span, words, per_page);
		if (disk && i % disk == 0)
			disk_step(w, span, option.span / 4096);
		p->checksum = w->checksum;
		p->rng = w->rng;
		if (disk)
			p->requests = disk_requests();
		p->iterations = ++i;
		p->busy = 0;
		due = last + option.pace;
		do {
			now = tsc();
			if (now - last > option.gap) {
				p->gaps = p->gaps + 1;
				p->gap_sum = p->gap_sum + now - last;
				if (now - last > p->gap_max)
					p->gap_max = now - last;
			}
			last = now;
		} while (now < due);
		p->tsc_now = now;
		p->interrupts = tick_count;
	}
	if (disk) {
		disk_finish(w);
		p->checksum = w->checksum;
	}
}

void work(unsigned cpu)
{
	volatile struct guest_progress *p = &progress[cpu];
	uint64_t words = option.span / option.cpus / 4096 * 512;
	uint64_t *span = (uint64_t *)SPAN_VIRTUAL + cpu * words;
	struct guest_work w = guest_work_start(option.seed + cpu);

	if (cpu >= option.cpus)
		in_ring0(halt);
	p->span_bytes = words * 8;
	p->span_start = (uint64_t)span;
	p->gap_ticks = option.gap;
	p->rng = w.rng;
	p->state = GUEST_FILLING;
	p->magic = GUEST_MAGIC;
	if (option.fill)
		guest_work_fill(option.seed + cpu, span, words);
	p->state = GUEST_WORKING;
	steps(p, &w, span, words);
	p->state = GUEST_DONE;
	if (cpu)
		in_ring0(halt);
	for (unsigned i = 1; i < option.cpus; i++)
		while (((volatile struct guest_progress *)progress)[i].state != GUEST_DONE)
			asm volatile("pause");
	in_ring0(say_done);
}
