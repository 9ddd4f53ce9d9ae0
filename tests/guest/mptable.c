/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A multiboot kernel that believes the MP table and nothing else: it starts the processors that are
 * listed, one by one, and has an interrupt of the serial port and one of a PCI device delivered by
 * the I/O APIC, at the pins that the table gives for them. Says so on COM1 and ends by the
 * debug-exit port. What does not come is waited for in vain.
 */
#include "port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1	    0x3f8
#define COM1_LINE   4
#define DEBUG_EXIT  0xf4
#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define EXIT_GOOD   0x10
#define EXIT_BAD    0x11
#define AP_PAGE	    0x8000u
#define VECTOR_COM  0x50
#define VECTOR_PCI  0x51
#define RNG_BYTES   32

/* Virtio 1.1: 4.1.4, 4.1.4.3, 2.1, 2.6.5. The headers of the kernel are not there for 32 bits. */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_ACCESS };
enum {
	COMMON_FEATURES_SELECT = 8,
	COMMON_FEATURES = 12,
	COMMON_STATUS = 20,
	COMMON_Q_SELECT = 22,
	COMMON_Q_SIZE = 24,
	COMMON_Q_ENABLE = 28,
	COMMON_Q_DESC = 32,
	COMMON_Q_AVAIL = 40,
	COMMON_Q_USED = 48,
};
#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER	   2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8
#define DESC_WRITE	   2

enum { ENTRY_PROCESSOR, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_LINE };

void multiboot(uint32_t magic, const void *info) __attribute__((noreturn));

static struct {
	volatile uint32_t *lapic, *ioapic;
	unsigned cpus, pci_bus, isa_bus;
	uint8_t com_pin, com_flags, pci_pin, pci_slot;
} found;

static struct desc {
	uint64_t at;
	uint32_t len;
	uint16_t flags, next;
} desc[1] __attribute__((aligned(16)));
static struct {
	uint16_t flags, idx, ring[1];
} avail __attribute__((aligned(2)));
static struct {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[1];
} used __attribute__((aligned(4)));
static uint8_t random[RNG_BYTES];

static void say(const char *s)
{
	for (; *s; s++)
		out8(COM1, (uint8_t)*s);
}

static void say_number(const char *name, uint32_t v)
{
	char digits[12], *p = digits + sizeof digits;

	*--p = 0;
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	say(name);
	say("=");
	say(p);
}

static void end(uint32_t code) __attribute__((noreturn));
static void end(uint32_t code)
{
	out32(DEBUG_EXIT, code);
	for (;;)
		asm volatile("cli; hlt");
}

static void bad(const char *what) __attribute__((noreturn));
static void bad(const char *what)
{
	say("BAD ");
	say(what);
	say("\n");
	end(EXIT_BAD);
}

static bool adds_up(const uint8_t *p, unsigned n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return !sum;
}

static uint32_t word(const uint8_t *p)
{
	return *(const uint32_t *)p;
}

/* --- the table ----------------------------------------------------------------------------- */

static const uint8_t *find_table(void)
{
	/* The last KiB of base memory. */
	for (const uint8_t *p = (const uint8_t *)(639 << 10); p < (const uint8_t *)(640 << 10);
	     p += 16)
		if (word(p) == 0x5f504d5f && adds_up(p, 16)) /* "_MP_" */
			return (const uint8_t *)word(p + 4);
	bad("no pointer");
}

/* INIT and start-up to one; each counts itself, and the next is started only then. */
static void start_cpu(uint8_t id)
{
	static const uint8_t code[] = {0x2e, 0xff, 0x06, 0x10, 0x00, /* incw %cs:16 */
				       0xfa, 0xf4, 0xeb, 0xfc};	     /* cli; hlt; again */
	volatile uint8_t *to = (volatile uint8_t *)AP_PAGE;
	volatile uint16_t *count = (volatile uint16_t *)(AP_PAGE + 16);

	for (unsigned i = 0; i < sizeof code; i++)
		to[i] = code[i];
	*count = 0;
	found.lapic[0x310 / 4] = (uint32_t)id << 24;
	found.lapic[0x300 / 4] = 0x4500;
	found.lapic[0x310 / 4] = (uint32_t)id << 24;
	found.lapic[0x300 / 4] = 0x4600 | AP_PAGE >> 12;
	while (!*count)
		asm volatile("pause");
}

static void take_line(const uint8_t *p)
{
	if (p[1] != 0)
		return;
	if (p[4] == found.isa_bus && p[5] == COM1_LINE) {
		found.com_pin = p[7];
		found.com_flags = p[2];
	}
	/* The first slot: its pin A. */
	if (p[4] == found.pci_bus && !found.pci_pin && !(p[5] & 3)) {
		found.pci_slot = p[5] >> 2;
		found.pci_pin = p[7];
	}
}

static void read_table(const uint8_t *t)
{
	const uint8_t *p = t + 44, *last = t + (word(t + 4) & 0xffff);

	if (word(t) != 0x504d4350 || !adds_up(t, (unsigned)(last - t))) /* "PCMP" */
		bad("table");
	found.lapic = (volatile uint32_t *)word(t + 36);
	found.lapic[0xf0 / 4] = 0x1ff;
	for (; p < last; p += *p == ENTRY_PROCESSOR ? 20 : 8) {
		if (*p == ENTRY_PROCESSOR && p[3] & 1) {
			found.cpus++;
			if (!(p[3] & 2))
				start_cpu(p[1]);
		} else if (*p == ENTRY_BUS) {
			*(p[2] == 'P' ? &found.pci_bus : &found.isa_bus) = p[1];
		} else if (*p == ENTRY_IOAPIC) {
			found.ioapic = (volatile uint32_t *)word(p + 4);
		} else if (*p == ENTRY_LINE) {
			take_line(p);
		}
	}
	if (!found.ioapic || !found.com_pin || !found.pci_pin)
		bad("entries");
}

/* --- interrupts ---------------------------------------------------------------------------- */

/* Requested at the local APIC, and left at that: not every KVM that only emulates kernel code can
 * deliver an interrupt to 32-bit code. */
static bool came(unsigned vector)
{
	return found.lapic[0x200 / 4 + vector / 32 * 4] >> vector % 32 & 1;
}

static void route(unsigned pin, uint32_t vector, bool level_low)
{
	found.ioapic[0] = 0x11 + 2 * pin;
	found.ioapic[4] = 0; /* to APIC 0 */
	found.ioapic[0] = 0x10 + 2 * pin;
	found.ioapic[4] = vector | (level_low ? 0xa000 : 0);
}

static void set_interrupts(void)
{
	out8(0x21, 0xff); /* not by the 8259As */
	out8(0xa1, 0xff);
	route(found.com_pin, VECTOR_COM, false);
	route(found.pci_pin, VECTOR_PCI, true);
	if (came(VECTOR_COM) || came(VECTOR_PCI))
		bad("too early");
}

/* --- an entropy source, through configuration space alone ---------------------------------- */

static unsigned access_cap;

static void pci_select(unsigned reg)
{
	out32(PCI_ADDRESS, 0x80000000u | (uint32_t)found.pci_slot << 11 | (reg & 0xfc));
}

static uint32_t pci_read(unsigned reg)
{
	pci_select(reg);
	return in32(PCI_DATA);
}

static void pci_write(unsigned reg, uint32_t v)
{
	pci_select(reg);
	out32(PCI_DATA, v);
}

/* Virtio 1.1, 4.1.4.8 */
static void reg_select(unsigned bytes, uint32_t offset)
{
	pci_select(access_cap + 4);
	out8(PCI_DATA, 2); /* BAR: checked by find_registers() */
	pci_write(access_cap + 8, offset);
	pci_write(access_cap + 12, bytes);
	pci_select(access_cap + 16);
}

static void reg_write(unsigned bytes, uint32_t offset, uint32_t v)
{
	reg_select(bytes, offset);
	out32(PCI_DATA, v);
}

static void find_registers(uint32_t at[static CAP_ACCESS + 1])
{
	for (unsigned cap = pci_read(0x34) & 0xff; cap; cap = pci_read(cap) >> 8 & 0xff) {
		unsigned type = pci_read(cap) >> 24;
		if ((pci_read(cap) & 0xff) != 9 || type > CAP_ACCESS)
			continue;
		if (type == CAP_ACCESS)
			access_cap = cap;
		else if ((pci_read(cap + 4) & 0xff) != 2)
			bad("bar");
		at[type] = pci_read(cap + 8);
	}
	if (pci_read(0) != 0x10441af4 || !access_cap)
		bad("slot");
}

static void ask_for_bytes(void)
{
	uint32_t at[CAP_ACCESS + 1];
	uint8_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

	find_registers(at);
	uint32_t c = at[CAP_COMMON];
	pci_write(4, 6);
	reg_write(1, c + COMMON_STATUS, status);
	reg_write(4, c + COMMON_FEATURES_SELECT, 1);
	reg_write(4, c + COMMON_FEATURES, 1); /* VIRTIO_F_VERSION_1 */
	status |= STATUS_FEATURES_OK;
	reg_write(1, c + COMMON_STATUS, status);
	reg_write(2, c + COMMON_Q_SELECT, 0);
	reg_write(2, c + COMMON_Q_SIZE, 1);
	reg_write(4, c + COMMON_Q_DESC, (uint32_t)desc);
	reg_write(4, c + COMMON_Q_AVAIL, (uint32_t)&avail);
	reg_write(4, c + COMMON_Q_USED, (uint32_t)&used);
	reg_write(2, c + COMMON_Q_ENABLE, 1);
	reg_write(1, c + COMMON_STATUS, status | STATUS_DRIVER_OK);
	desc[0] = (struct desc){(uint32_t)random, RNG_BYTES, DESC_WRITE, 0};
	asm volatile("" : : : "memory");
	avail.idx = 1;
	asm volatile("" : : : "memory");
	reg_write(2, at[CAP_NOTIFY], 0);
}

void multiboot(uint32_t magic, const void *info)
{
	(void)magic;
	(void)info;
	read_table(find_table());
	say_number("MPTABLE cpus", found.cpus);
	say_number(" com", found.com_pin);
	say_number(" slot", found.pci_slot);
	say_number(" pin", found.pci_pin);
	say("\n");
	set_interrupts();
	out8(COM1 + 4, 8); /* interrupts enabled */
	out8(COM1 + 1, 2); /* when there is nothing left to send */
	while (!came(VECTOR_COM))
		asm volatile("pause");
	out8(COM1 + 1, 0);
	say("COM1 came\n");
	ask_for_bytes();
	while (!came(VECTOR_PCI))
		asm volatile("pause");
	say_number("PCI came, bytes", used.ring[0].len);
	say("\n");
	end(EXIT_GOOD);
}
