/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/mptable.h"

#include "arch/x86_64/acpi_priv.h"

#include <string.h>

#define SPEC_1_4       4
#define POINTER_BYTES  16
#define POINTER_WITHIN KIB /* of the end of base memory (4: where an operating system searches) */
#define HEADER_BYTES   44

/* Types of entries (4.3), and of interrupts in them. */
enum { ENTRY_PROCESSOR, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_LINE, ENTRY_LOCAL };
enum { TYPE_INT, TYPE_NMI, TYPE_SMI, TYPE_EXTINT };

enum { BUS_PCI, BUS_ISA }; /* numbers of the buses: that of PCI is its own */

#define CPU_ENABLED   1
#define CPU_BOOT      2
#define IOAPIC_ID     0 /* as KVM's has after reset */
#define IOAPIC_ENABLE 1
#define APIC_VERSION  0x14 /* as KVM's local APIC says, */
#define IO_VERSION    0x11 /* and its I/O APIC */
#define ALL_APICS     0xff
#define AS_BUS	      0x0
#define HIGH_LEVEL    0xd
#define LINT0	      0
#define LINT1	      1

struct table {
	struct acpi_job j;
	struct buf b;
	uint16_t entries;
};

static void put(struct table *t, uint64_t v, unsigned bytes)
{
	uint8_t le[8];

	num_put_le64(le, v);
	buf_put(&t->b, le, bytes);
}

static void entry(struct table *t, uint8_t type)
{
	put(t, type, 1);
	t->entries++;
}

static uint8_t minus_sum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static void header(struct table *t, const struct layout_region *lapic)
{
	buf_put(&t->b, "PCMP", 4);
	put(t, 0, 2); /* length */
	put(t, SPEC_1_4, 1);
	put(t, 0, 1); /* checksum */
	buf_put(&t->b, "VMM     ", 8);
	buf_put(&t->b, "x86_64      ", 12);
	put(t, 0, 6); /* no table of the manufacturer's */
	put(t, 0, 2); /* entries */
	put(t, lapic->start, 4);
	put(t, 0, 4); /* no extended entries */
}

/* Without signature and features: those are CPUID's, which every kernel asks. */
static void processors(struct table *t)
{
	for (uint32_t i = 0; i < t->j.vcpus; i++) {
		entry(t, ENTRY_PROCESSOR);
		put(t, i, 1);
		put(t, APIC_VERSION, 1);
		put(t, CPU_ENABLED | (i ? 0 : CPU_BOOT), 1);
		put(t, 0, 8);
		put(t, 0, 8);
	}
}

static void bus(struct table *t, uint8_t number, const char name[static 6])
{
	entry(t, ENTRY_BUS);
	put(t, number, 1);
	buf_put(&t->b, name, 6);
}

static void ioapic(struct table *t, const struct layout_region *where)
{
	entry(t, ENTRY_IOAPIC);
	put(t, IOAPIC_ID, 1);
	put(t, IO_VERSION, 1);
	put(t, IOAPIC_ENABLE, 1);
	put(t, where->start, 4);
}

static void line(struct table *t, uint8_t kind, uint8_t type, uint16_t flags, uint8_t from_bus,
		 uint32_t from_line, uint8_t apic, uint32_t pin)
{
	entry(t, kind);
	put(t, type, 1);
	put(t, flags, 2);
	put(t, from_bus, 1);
	put(t, from_line, 1);
	put(t, apic, 1);
	put(t, pin, 1);
}

/* What is wired in the layout; each line once, though two serial ports share one. */
static void isa_lines(struct table *t, const struct layout_region *pm)
{
	const struct layout *l = t->j.l;
	uint32_t wired = 0;

	for (uint32_t i = 0; i < l->region_n; i++)
		if (l->region[i].kind == REGION_PIO && l->region[i].irq < ACPI_ISA_LINES)
			wired |= 1u << l->region[i].irq;
	line(t, ENTRY_LINE, TYPE_INT, AS_BUS, BUS_ISA, 0, IOAPIC_ID, ACPI_PIT_GSI);
	for (uint32_t i = 1; i < ACPI_ISA_LINES; i++)
		if (wired >> i & 1)
			line(t, ENTRY_LINE, TYPE_INT, i == pm->irq ? HIGH_LEVEL : AS_BUS, BUS_ISA,
			     i, IOAPIC_ID, i);
}

/* Pin A of each slot, as in _PRT: the device in bits 6-2, the pin in bits 1-0 (D.3). */
static void pci_lines(struct table *t)
{
	uint32_t slot, pin;

	for (uint32_t i = 0; acpi_pci_line_(&t->j, &i, &slot, &pin);)
		line(t, ENTRY_LINE, TYPE_INT, AS_BUS, BUS_PCI, slot << 2, IOAPIC_ID, pin);
}

/* The 8259As reach the first processor, and an NMI all of them: virtual wire mode (3.6.2.2). */
static void local_lines(struct table *t)
{
	line(t, ENTRY_LOCAL, TYPE_EXTINT, AS_BUS, BUS_ISA, 0, 0, LINT0);
	line(t, ENTRY_LOCAL, TYPE_NMI, AS_BUS, BUS_ISA, 0, ALL_APICS, LINT1);
}

static int build(struct table *t, struct err *e)
{
	const struct layout_region *lapic, *io, *pm;
	int r = layout_need(t->j.l, "LAPIC_ADDR", &lapic, e);

	if (!r)
		r = layout_need(t->j.l, "IOAPIC_ADDR", &io, e);
	if (!r)
		r = layout_need(t->j.l, "ACPI_PM", &pm, e);
	if (r)
		return r;
	header(t, lapic);
	processors(t);
	bus(t, BUS_PCI, "PCI   ");
	bus(t, BUS_ISA, "ISA   ");
	ioapic(t, io);
	isa_lines(t, pm);
	pci_lines(t);
	local_lines(t);
	if (t->b.failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	num_put_le16(t->b.data + 4, (uint16_t)t->b.len);
	num_put_le16(t->b.data + 34, t->entries);
	t->b.data[7] = minus_sum(t->b.data, t->b.len);
	return 0;
}

/* 4.1 */
static void pointer(uint8_t p[static POINTER_BYTES], uint64_t table_at)
{
	memcpy(p, "_MP_", 4);
	num_put_le32(p + 4, (uint32_t)table_at);
	p[8] = POINTER_BYTES / 16;
	p[9] = SPEC_1_4;
	p[10] = minus_sum(p, POINTER_BYTES);
}

int mptable_write(const struct layout *l, const struct machine *mc, uint32_t vcpus,
		  struct guest_mem *m, struct err *e)
{
	const struct layout_region *row = layout_find(l, "MPTABLE_START");
	struct table t = {.j = {.l = l, .mc = mc, .vcpus = vcpus}};

	if (!row)
		return 0;
	uint8_t *host = mem_rw(m, gpa(row->start), row->size);
	if (!host || row->size < POINTER_WITHIN)
		return err_set(e, ERR_STRUCTURE, "%s is not backed, or too small", row->name);
	uint64_t room = row->size - POINTER_WITHIN;
	int r = build(&t, e);
	if (!r && t.b.len > room)
		r = err_set(e, ERR_LIMIT, "MP table of 0x%zx bytes, %s has room for 0x%llx",
			    t.b.len, row->name, (unsigned long long)room);
	if (!r) {
		memset(host, 0, row->size);
		memcpy(host, t.b.data, t.b.len);
		pointer(host + room, row->start);
	}
	buf_free(&t.b);
	return r;
}
