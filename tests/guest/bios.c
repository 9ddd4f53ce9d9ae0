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
#include "port.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1	     0x3f8
#define CMOS	     0x70
#define I8042	     0x64
#define PCI_ADDRESS  0xcf8
#define PCI_DATA     0xcfc
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
#define QUEUE_SIZE    4
#define REPORT_EVERY  16 /* batches */
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

static struct {
	volatile struct virtio_pci_common_cfg *common;
	volatile uint16_t *doorbell;
	uint16_t used; /* requests that have come back */
} disk;

static struct vring_desc desc[QUEUE_SIZE] __attribute__((aligned(16)));
static struct {
	uint16_t flags, idx, ring[QUEUE_SIZE];
} avail __attribute__((aligned(2)));
static struct {
	uint16_t flags, idx;
	struct vring_used_elem ring[QUEUE_SIZE];
} used __attribute__((aligned(4)));
static struct virtio_blk_outhdr header;
static volatile uint8_t status;

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

/* --- PCI ----------------------------------------------------------------------------------- */

static void pci_select(unsigned slot, unsigned reg)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfc));
}

static uint32_t pci_read(unsigned slot, unsigned reg)
{
	pci_select(slot, reg);
	return in32(PCI_DATA);
}

static uint8_t pci_read8(unsigned slot, unsigned reg)
{
	pci_select(slot, reg);
	return in8(PCI_DATA + (reg & 3));
}

static unsigned find_disk(void)
{
	for (unsigned slot = 1; slot < 32; slot++)
		if (pci_read(slot, 0) == (0x1042u << 16 | 0x1af4))
			return slot;
	failed("disk", 0);
}

static uint64_t bar(unsigned slot, unsigned n)
{
	uint32_t low = pci_read(slot, 0x10 + 4 * n);
	uint64_t at = low & ~15u;

	if (low & 1)
		failed("bar", low);
	if ((low & 6) == 4)
		at |= (uint64_t)pci_read(slot, 0x14 + 4 * n) << 32;
	if (!at)
		failed("bar", n);
	map(at);
	return at;
}

static void find_registers(unsigned slot)
{
	uint64_t notify = 0;
	uint32_t multiplier = 0;

	/* Memory space and bus mastering. */
	pci_select(slot, 4);
	out16(PCI_DATA, 6);
	for (unsigned at = pci_read8(slot, 0x34); at; at = pci_read8(slot, at + 1)) {
		if (pci_read8(slot, at) != 9)
			continue;
		unsigned type = pci_read8(slot, at + 3);
		if (type != VIRTIO_PCI_CAP_COMMON_CFG && type != VIRTIO_PCI_CAP_NOTIFY_CFG)
			continue;
		uint64_t where = bar(slot, pci_read8(slot, at + 4)) + pci_read(slot, at + 8);
		if (type == VIRTIO_PCI_CAP_COMMON_CFG) {
			disk.common = (volatile struct virtio_pci_common_cfg *)where;
		} else {
			notify = where;
			multiplier = pci_read(slot, at + 16);
		}
	}
	if (!disk.common || !notify)
		failed("capabilities", slot);
	say_number("DISK slot", slot, 10);
	say_number(" registers", (uint64_t)disk.common, 16);
	say("\n");
	disk.common->queue_select = 0;
	disk.doorbell = (volatile uint16_t *)(notify + disk.common->queue_notify_off * multiplier);
}

/* --- the disk ------------------------------------------------------------------------------ */

/* Virtio 1.1, 3.1.1 */
static void start_disk(void)
{
	volatile struct virtio_pci_common_cfg *c = disk.common;
	uint8_t now = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	c->device_status = 0;
	while (c->device_status)
		asm volatile("pause");
	c->device_status = now;
	c->device_feature_select = VIRTIO_F_VERSION_1 / 32;
	if (!(c->device_feature & 1u << VIRTIO_F_VERSION_1 % 32))
		failed("features", c->device_feature);
	c->guest_feature_select = 0;
	c->guest_feature = 0;
	c->guest_feature_select = VIRTIO_F_VERSION_1 / 32;
	c->guest_feature = 1u << VIRTIO_F_VERSION_1 % 32;
	c->device_status = now |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (c->device_status != now)
		failed("status", c->device_status);
	c->queue_select = 0;
	c->queue_size = QUEUE_SIZE;
	c->queue_desc_lo = (uint32_t)(uint64_t)desc;
	c->queue_desc_hi = 0;
	c->queue_avail_lo = (uint32_t)(uint64_t)&avail;
	c->queue_avail_hi = 0;
	c->queue_used_lo = (uint32_t)(uint64_t)&used;
	c->queue_used_hi = 0;
	c->queue_enable = 1;
	c->device_status = now | VIRTIO_CONFIG_S_DRIVER_OK;
}

static void transfer(uint32_t type, uint64_t sector, void *data, uint32_t sectors)
{
	volatile uint16_t *came = &used.idx;

	header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	status = 0xff;
	desc[0] = (struct vring_desc){(uint64_t)&header, sizeof header, VRING_DESC_F_NEXT, 1};
	desc[1] = (struct vring_desc){
		(uint64_t)data, sectors * 512,
		VRING_DESC_F_NEXT | (type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0), 2};
	desc[2] = (struct vring_desc){(uint64_t)&status, 1, VRING_DESC_F_WRITE, 0};
	avail.ring[avail.idx % QUEUE_SIZE] = 0;
	asm volatile("" : : : "memory"); /* stores are seen in order on x86 */
	avail.idx++;
	asm volatile("" : : : "memory");
	*disk.doorbell = 0;
	disk.used++;
	while (*came != disk.used)
		asm volatile("pause");
	if (status)
		failed("request", status);
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
	find_registers(find_disk());
	start_disk();
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
