/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/acpi_priv.h"

#include <inttypes.h>
#include <string.h>

#define RSDP_BYTES 36

const struct machine_device *acpi_device_at_(const struct acpi_job *j, const char *region)
{
	for (uint32_t i = 0; i < j->mc->device_n; i++)
		if (!strcmp(j->mc->device[i].region, region))
			return &j->mc->device[i];
	return NULL;
}

bool acpi_pci_line_(const struct acpi_job *j, uint32_t *i, uint32_t *slot, uint32_t *line)
{
	for (; *i < j->mc->device_n; ++*i) {
		const struct machine_device *d = &j->mc->device[*i];
		if (d->pci == MACHINE_NO_PCI || d->line == MACHINE_NO_LINE)
			continue;
		if (slot)
			*slot = d->pci >> 3 & 0x1f;
		if (line)
			*line = d->line;
		++*i;
		return true;
	}
	return false;
}

void acpi_put_(struct acpi_tables *t, uint64_t v, unsigned bytes)
{
	uint8_t le[8];

	num_put_le64(le, v);
	buf_put(&t->b, le, bytes);
}

size_t acpi_place_(struct acpi_tables *t, size_t align)
{
	static const uint8_t zeros[64];

	buf_put(&t->b, zeros, -t->b.len & (align - 1));
	return t->b.len;
}

static void checksum(struct acpi_tables *t, size_t at, size_t n, size_t field)
{
	uint8_t sum = 0;

	if (t->b.failed)
		return;
	for (size_t i = at; i < at + n; i++)
		sum = (uint8_t)(sum + t->b.data[i]);
	t->b.data[field] = (uint8_t)(t->b.data[field] - sum);
}

size_t acpi_table_begin_(struct acpi_tables *t, const char signature[static 4], unsigned revision)
{
	size_t at = acpi_place_(t, 16);

	buf_put(&t->b, signature, 4);
	acpi_put_(t, 0, 4); /* length, and below the checksum: acpi_table_end_() */
	acpi_put_(t, revision, 1);
	acpi_put_(t, 0, 1);
	buf_put(&t->b, "VMM   ", 6);
	buf_put(&t->b, "VMMX8664", 8);
	acpi_put_(t, 1, 4);
	buf_put(&t->b, "VMM ", 4);
	acpi_put_(t, 1, 4);
	return at;
}

uint64_t acpi_table_end_(struct acpi_tables *t, size_t at)
{
	if (!t->b.failed) {
		num_put_le32(t->b.data + at + 4, (uint32_t)(t->b.len - at));
		checksum(t, at, t->b.len - at, at + 9);
	}
	return t->base + at;
}

static uint64_t xsdt(struct acpi_tables *t, const uint64_t *table, size_t n)
{
	size_t at = acpi_table_begin_(t, "XSDT", 1);

	for (size_t i = 0; i < n; i++)
		acpi_put_(t, table[i], 8);
	return acpi_table_end_(t, at);
}

/* ACPI 6.4, 5.2.5.3; its room was left at the start. */
static void rsdp(struct acpi_tables *t, uint64_t xsdt_at)
{
	if (t->b.failed)
		return;
	uint8_t *p = t->b.data;
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "VMM   ", 6);
	p[15] = 2; /* revision: has an XSDT */
	num_put_le32(p + 20, RSDP_BYTES);
	num_put_le64(p + 24, xsdt_at);
	checksum(t, 0, 20, 8);
	checksum(t, 0, RSDP_BYTES, 32);
}

static int check_lines(const struct acpi_job *j, struct err *e)
{
	uint32_t slots = 0;

	for (uint32_t i = 0; i < j->mc->device_n; i++) {
		const struct machine_device *d = &j->mc->device[i];
		if (d->line != MACHINE_NO_LINE && (d->line >= ACPI_GSIS || d->line == ACPI_PIT_GSI))
			return err_set(e, ERR_RANGE,
				       "%s at line %u, the I/O APIC has 0 to 23 but for %u", d->id,
				       d->line, ACPI_PIT_GSI);
		if (d->pci == MACHINE_NO_PCI || d->line == MACHINE_NO_LINE)
			continue;
		uint32_t slot = d->pci >> 3 & 0x1f;
		if (d->pci >> 8 || slots >> slot & 1)
			return err_set(e, ERR_RANGE,
				       "%s at %02x:%02x.%x: one line for each slot of bus 0", d->id,
				       d->pci >> 8, slot, d->pci & 7);
		slots |= 1u << slot;
	}
	return 0;
}

static int build(struct acpi_tables *t, struct err *e)
{
	const struct layout_region *pm, *lapic, *ioapic, *ecam;
	uint64_t table[3];
	int r = layout_need(t->j.l, "ACPI_PM", &pm, e);

	if (!r)
		r = layout_need(t->j.l, "LAPIC_ADDR", &lapic, e);
	if (!r)
		r = layout_need(t->j.l, "IOAPIC_ADDR", &ioapic, e);
	if (!r)
		r = layout_need(t->j.l, "PCIE_CFG_MMIO_START", &ecam, e);
	if (r)
		return r;
	if (pm->irq >= ACPI_ISA_LINES)
		return err_set(e, ERR_STRUCTURE, "%s has no line for the SCI", pm->name);
	acpi_put_(t, 0, 8); /* RSDP: filled at the end */
	buf_put(&t->b, (const uint8_t[RSDP_BYTES - 8]){0}, RSDP_BYTES - 8);
	uint64_t facs_at = acpi_facs_(t);
	size_t dsdt = acpi_table_begin_(t, "DSDT", 2);
	r = acpi_dsdt_(&t->j, &t->b, e);
	if (r)
		return r;
	uint64_t dsdt_at = acpi_table_end_(t, dsdt);
	table[0] = acpi_fadt_(t, pm, facs_at, dsdt_at);
	table[1] = acpi_madt_(t, lapic, ioapic, pm->irq);
	table[2] = acpi_mcfg_(t, ecam);
	rsdp(t, xsdt(t, table, ARRAY_LEN(table)));
	return t->b.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

int acpi_write(const struct layout *l, const struct machine *mc, uint32_t vcpus,
	       struct guest_mem *m, struct gpa *out, struct err *e)
{
	const struct layout_region *window, *genid = layout_find(l, "VMGENID_PAGE");
	int r = layout_need(l, "ACPI_HI_RSDP_WINDOW_BASE", &window, e);

	if (r)
		return r;
	/* Local APIC entries of the MADT have 8 bits, 255 is for all of them. */
	if (vcpus < 1 || vcpus > 254)
		return err_set(e, ERR_LIMIT, "%u vCPUs, ACPI tables can have 1 to 254", vcpus);
	struct acpi_tables t = {.j = {.l = l, .mc = mc, .vcpus = vcpus}, .base = window->start};
	uint64_t room =
	    genid && genid->start > window->start ? genid->start - window->start : window->size;
	r = check_lines(&t.j, e);
	if (!r)
		r = build(&t, e);
	if (!r && t.b.len > room)
		r = err_set(e, ERR_LIMIT, "ACPI tables of 0x%zx bytes, %s has room for 0x%" PRIx64,
			    t.b.len, window->name, room);
	if (!r && !mem_write(m, gpa(window->start), t.b.data, t.b.len))
		r = err_set(e, ERR_STRUCTURE, "%s is not backed", window->name);
	if (!r)
		*out = gpa(window->start);
	buf_free(&t.b);
	return r;
}
