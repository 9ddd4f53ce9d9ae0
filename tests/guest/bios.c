/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test firmware does: it starts the other CPUs, finds a virtio disk by PCI configuration,
 * and reads the disk again and again, comparing each sector with what its number says must be there.
 * The first sector says how often (struct task), and how often the machine is reset before: the
 * firmware is spoiled first, so that it must have been put back to come up again.
 *
 * Says on COM1 what it is doing, and at the end PASSED or FAILED; then writes to the debug-exit port
 * and powers off. Nothing waits for an interrupt.
 */
#include "disk.h"
#include "port.h"

#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdint.h>

#define COM1	     0x3f8
#define CMOS	     0x70
#define I8042	     0x64
#define DEBUG_EXIT   0xf4
#define ACPI_CONTROL 0x604
#define ACPI_RESET   0x60c
#define EXIT_PASSED  0x10
#define EXIT_FAILED  0x11

#define GIB	    0x40000000ull
#define LARGE_PAGE  0x200000ull
#define MAPPED	    0x100000000ull
#define LAPIC	    0xfee00000ull
#define AP_PAGE	    0x8000ull
#define ROM	    0xffff0000ull
#define SHADOW	    0xf0000ull
#define ROM_BYTES   0x10000u
#define RESET_VECTOR 0xfff0u

#define SECTOR_WORDS  64
#define BATCH	      8 /* sectors read at once */
#define REPORT_EVERY  16 /* batches */
#define MIRRORS	      17 /* not what a number of batches is a multiple of */
#define MIRROR_BYTES  0x20000u
#define TASK_MAGIC    0x304b53415453494bull

/* The first sector, as tests/native/test_bios.py writes it. */
struct task {
	uint64_t magic;
	uint64_t sectors; /* after this one, a multiple of BATCH */
	uint64_t passes;
	uint64_t resets; /* before them */
	uint64_t boots;	 /* how often it was reset already */
	uint64_t reserved[SECTOR_WORDS - 5];
};
_Static_assert(sizeof(struct task) == 512, "a sector");

/* bios.S */
extern uint64_t pml4[];
extern const uint8_t ap_start[], ap_count[], ap_end[];
void triple_fault(void) __attribute__((noreturn));
void bios(void) __attribute__((noreturn));

static uint64_t spare_table[8][512] __attribute__((aligned(4096)));
static unsigned spare_n;

/* --- the machine --------------------------------------------------------------------------- */

static void say(const char *s)
{
	for (; *s; s++)
		out8(COM1, (uint8_t)*s);
}

static void say_number(const char *name, uint64_t v, unsigned base)
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

static void end(uint32_t code) __attribute__((noreturn));
static void end(uint32_t code)
{
	out32(DEBUG_EXIT, code);
	out16(ACPI_CONTROL, 5 << 10 | 1 << 13); /* S5, SLP_EN */
	for (;;)
		asm volatile("cli; hlt");
}

static void failed(const char *what, uint64_t number) __attribute__((noreturn));
static void failed(const char *what, uint64_t number)
{
	say("FAILED ");
	say_number(what, number, 16);
	say("\n");
	end(EXIT_FAILED);
}

static uint32_t cmos(uint8_t at)
{
	out8(CMOS, at);
	return in8(CMOS + 1);
}

static uint64_t *new_table(void)
{
	if (spare_n == sizeof spare_table / sizeof spare_table[0])
		failed("tables", spare_n);
	return spare_table[spare_n++];
}

/* bios.S has mapped the first 4 GiB; BARs and RAM may lie above. */
static void map(uint64_t at)
{
	uint64_t *l4 = &pml4[at >> 39 & 511], *l3;

	if (!(*l4 & 1))
		*l4 = (uint64_t)new_table() | 3;
	l3 = (uint64_t *)(*l4 & ~4095ull) + (at >> 30 & 511);
	if (*l3 & 1)
		return;
	uint64_t *l2 = new_table();
	for (uint64_t i = 0; i < 512; i++)
		l2[i] = ((at & ~(GIB - 1)) + i * LARGE_PAGE) | 0x83;
	*l3 = (uint64_t)l2 | 3;
}

static void same_below_1m(void)
{
	const uint64_t *rom = (const uint64_t *)ROM, *shadow = (const uint64_t *)SHADOW;

	for (unsigned i = 0; i < ROM_BYTES / 8; i++)
		if (rom[i] != shadow[i])
			failed("shadow", i * 8);
}

/* Returns how many have come. There is no time limit: a CPU that does not start is a hang. */
static uint32_t start_others(void)
{
	volatile uint32_t *lapic = (volatile uint32_t *)LAPIC;
	volatile uint8_t *to = (volatile uint8_t *)AP_PAGE;
	volatile uint16_t *count = (volatile uint16_t *)(AP_PAGE + (size_t)(ap_count - ap_start));
	uint32_t a = 1, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	uint32_t cpus = b >> 16 & 0xff;
	for (unsigned i = 0; ap_start + i < ap_end; i++)
		to[i] = ap_start[i];
	lapic[0xf0 / 4] = 0x1ff;
	lapic[0x300 / 4] = 0xc4500;
	lapic[0x300 / 4] = 0xc4600 | AP_PAGE >> 12;
	while (cpus && *count != cpus - 1)
		asm volatile("pause");
	return *count + 1u;
}

/* --- the disk ------------------------------------------------------------------------------ */

void disk_map(uint64_t at)
{
	map(at);
}

void disk_failed(const char *what, uint64_t number)
{
	failed(what, number);
}

static void find_disk(void)
{
	say_number("DISK slot", disk_find(), 10);
	say_number(" registers", disk_registers(), 16);
	say("\n");
	disk_start(0);
}

static void transfer(uint32_t type, uint64_t sector, void *data, uint32_t sectors)
{
	disk_begin(type, sector, (uint64_t)data, sectors);
	disk_end();
}

/* --- the work ------------------------------------------------------------------------------ */

/* What a sector must contain: tests/native/test_bios.py writes the same. */
static uint64_t verify(uint64_t sector, const uint64_t *data, uint64_t sum)
{
	uint64_t expected = sector * 0x9e3779b97f4a7c15ull;

	for (unsigned i = 0; i < SECTOR_WORDS; i++) {
		if (data[i] != expected + i)
			failed("sector", sector);
		sum = sum * 31 + data[i];
	}
	return sum;
}

/* Where nobody but the device ever writes, each time other sectors than before; a place for itself in
 * any chunk of a snapshot that is not larger. */
static uint64_t *place(uint64_t *data, uint64_t batch)
{
	return data + (MIRROR_BYTES + batch % MIRRORS * MIRROR_BYTES) / sizeof *data;
}

static void work(const struct task *t, uint64_t *data)
{
	uint64_t batches = 0, sum = 0;

	for (uint64_t pass = 0; pass < t->passes; pass++) {
		for (uint64_t s = 1; s <= t->sectors; s += BATCH) {
			/* What is left of the last time must not do. */
			for (unsigned i = 0; i < BATCH; i++)
				data[i * SECTOR_WORDS] = 0;
			transfer(VIRTIO_BLK_T_IN, s, data, BATCH);
			for (unsigned i = 0; i < BATCH; i++)
				sum = verify(s + i, data + i * SECTOR_WORDS, sum);
			transfer(VIRTIO_BLK_T_IN, s, place(data, batches), BATCH);
			/* Not all of it: here every instruction may be emulated. */
			if (*place(data, batches) != data[0])
				failed("sector", s);
			if (++batches % REPORT_EVERY)
				continue;
			say_number("READ sectors", batches * BATCH, 10);
			say_number(" sum", sum, 16);
			say("\n");
		}
	}
	say_number("PASSED sectors", batches * BATCH, 10);
	say_number(" sum", sum, 16);
	say("\n");
	end(EXIT_PASSED);
}

/* Each time in another way. */
static void reset(struct task *t) __attribute__((noreturn));
static void reset(struct task *t)
{
	uint64_t way = t->boots++ % 3;

	transfer(VIRTIO_BLK_T_OUT, 0, t, 1);
	*(volatile uint64_t *)(ROM + RESET_VECTOR) = 0;
	*(volatile uint64_t *)(SHADOW + RESET_VECTOR) = 0;
	say_number("RESET way", way, 10);
	say("\n");
	if (way == 0)
		out8(I8042, 0xfe);
	else if (way == 1)
		out8(ACPI_RESET, 1);
	else
		triple_fault();
	for (;;)
		asm volatile("cli; hlt");
}

void bios(void)
{
	uint64_t above = (uint64_t)(cmos(0x5b) | cmos(0x5c) << 8 | cmos(0x5d) << 16) << 16;
	uint64_t below = (uint64_t)(cmos(0x34) | cmos(0x35) << 8) << 16;
	/* Above 4 GiB if there is RAM. */
	struct task *t = (struct task *)(above ? MAPPED : 0x100000);

	map((uint64_t)t);
	same_below_1m();
	say_number("BIOS cpus", start_others(), 10);
	say_number(" ram_above_16m", below, 10);
	say_number(" ram_above_4g", above, 10);
	say("\n");
	find_disk();
	transfer(VIRTIO_BLK_T_IN, 0, t, 1);
	if (t->magic != TASK_MAGIC || !t->sectors || t->sectors % BATCH)
		failed("task", t->magic);
	say_number("TASK boots", t->boots, 10);
	say("\n");
	if (t->boots < t->resets)
		reset(t);
	work(t, (uint64_t *)(t + 1));
	failed("end", 0);
}
