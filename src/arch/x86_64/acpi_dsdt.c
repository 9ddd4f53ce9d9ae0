/* SPDX-License-Identifier: Apache-2.0 */
/* The DSDT: processors, the PCI bus with its windows and interrupt lines, ISA devices. */
#include "arch/x86_64/acpi_priv.h"
#include "arch/x86_64/aml.h"

#include <stdio.h>
#include <string.h>

#define COM_PORTS     4
#define ECAM_BUS_BITS 20 /* 1 MiB of configuration space a bus (PCI Express 5.0, 7.2.2) */

static void named_id(struct buf *b, const char *name, const char *eisa_id)
{
	aml_name(b, name);
	aml_eisa_id(b, eisa_id);
}

static void named_int(struct buf *b, const char *name, uint64_t v)
{
	aml_name(b, name);
	aml_int(b, v);
}

static void sleep_states(struct buf *b)
{
	aml_name(b, "\\_S5");
	size_t p = aml_package(b, 4);
	aml_int(b, ACPI_PM_SLP_TYP_S5); /* PM1a_CNT.SLP_TYP */
	aml_int(b, ACPI_PM_SLP_TYP_S5); /* PM1b, which is not there */
	aml_int(b, 0);
	aml_int(b, 0);
	aml_end(b, p);
}

/* _UID is what the MADT calls ACPI Processor UID. */
static void processors(const struct acpi_job *j, struct buf *b)
{
	for (uint32_t i = 0; i < j->vcpus; i++) {
		char name[5];
		snprintf(name, sizeof name, "C%03X", i & 0xfff);
		size_t d = aml_device(b, name);
		aml_name(b, "_HID");
		aml_text(b, "ACPI0007");
		named_int(b, "_UID", i);
		aml_end(b, d);
	}
}

/* What the system may control itself, PCI Firmware 3.2, 4.5.1: there is no firmware that would. */
#define OSC_GRANTED		0x1f /* hot-plug (both), PME, AER, capability structure */
#define OSC_UNKNOWN_UUID	0x04
#define OSC_UNKNOWN_REVISION	0x08
#define OSC_CAPABILITIES_MASKED 0x10

static void dword_field(struct buf *b, unsigned offset, const char *name)
{
	aml_op(b, AML_CREATE_DWORD_FIELD);
	aml_op(b, AML_ARG3);
	aml_int(b, offset);
	aml_path(b, name);
}

static void set_status(struct buf *b, unsigned bit)
{
	aml_op(b, AML_OR);
	aml_path(b, "CDW1");
	aml_int(b, bit);
	aml_path(b, "CDW1");
}

/* _OSC (UUID, revision, count, capabilities): grants what is asked of OSC_GRANTED. */
static void osc(struct buf *b)
{
	/* 33DB4D5B-1FF7-401C-9657-7441C03DD766 */
	static const uint8_t uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
					 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};
	size_t m = aml_method(b, "_OSC", 4), outer, inner;

	dword_field(b, 0, "CDW1");
	outer = aml_if(b);
	aml_op(b, AML_EQUAL);
	aml_op(b, AML_ARG0);
	aml_bytes(b, uuid, sizeof uuid);

	dword_field(b, 8, "CDW3");
	inner = aml_if(b);
	aml_op(b, AML_NOT);
	aml_op(b, AML_EQUAL);
	aml_op(b, AML_ARG1);
	aml_int(b, 1);
	set_status(b, OSC_UNKNOWN_REVISION);
	aml_end(b, inner);

	aml_op(b, AML_AND);
	aml_path(b, "CDW3");
	aml_int(b, OSC_GRANTED);
	aml_op(b, AML_LOCAL0);
	inner = aml_if(b);
	aml_op(b, AML_NOT);
	aml_op(b, AML_EQUAL);
	aml_op(b, AML_LOCAL0);
	aml_path(b, "CDW3");
	set_status(b, OSC_CAPABILITIES_MASKED);
	aml_end(b, inner);
	aml_op(b, AML_STORE);
	aml_op(b, AML_LOCAL0);
	aml_path(b, "CDW3");
	aml_end(b, outer);

	outer = aml_else(b);
	set_status(b, OSC_UNKNOWN_UUID);
	aml_end(b, outer);
	aml_op(b, AML_RETURN);
	aml_op(b, AML_ARG3);
	aml_end(b, m);
}

/* Pin A of each slot straight to its line of the I/O APIC (ACPI 6.4, 6.2.13). */
static void interrupt_routing(const struct acpi_job *j, struct buf *b)
{
	unsigned n = 0;
	uint32_t slot, line;

	for (uint32_t i = 0; acpi_pci_line_(j, &i, NULL, NULL);)
		n++;
	aml_name(b, "_PRT");
	size_t all = aml_package(b, n);
	for (uint32_t i = 0; acpi_pci_line_(j, &i, &slot, &line);) {
		size_t one = aml_package(b, 4);
		aml_int(b, slot << 16 | 0xffff);
		aml_int(b, 0); /* INTA# */
		aml_int(b, 0);
		aml_int(b, line);
		aml_end(b, one);
	}
	aml_end(b, all);
}

static int pci(const struct acpi_job *j, struct buf *b, struct err *e)
{
	const struct layout_region *ecam, *ports, *low, *high;
	int r = layout_need(j->l, "PCIE_CFG_MMIO_START", &ecam, e);

	if (!r)
		r = layout_need(j->l, "PCI_CFG_PORTS", &ports, e);
	if (!r)
		r = layout_need(j->l, "END_ADDR_BEFORE_32BITS", &low, e);
	if (!r)
		r = layout_need(j->l, "HIGH_MMIO", &high, e);
	if (r)
		return r;

	size_t d = aml_device(b, "PCI0");
	named_id(b, "_HID", "PNP0A08");
	named_id(b, "_CID", "PNP0A03");
	named_int(b, "_UID", 0);
	named_int(b, "_SEG", 0);
	named_int(b, "_BBN", 0);
	named_int(b, "_CBA", ecam->start);
	aml_name(b, "_CRS");
	size_t res = aml_resources(b);
	aml_range(b, AML_BUS, true, 0, ecam->size >> ECAM_BUS_BITS);
	aml_ports(b, ports->start, ports->size);
	aml_range(b, AML_MEMORY, true, low->start, low->size);
	aml_range(b, AML_MEMORY, true, high->start, high->size);
	aml_resources_end(b, res);
	interrupt_routing(j, b);
	osc(b);
	aml_end(b, d);

	/* Linux uses the ECAM only when it is reserved by somebody. */
	d = aml_device(b, "ECAM");
	named_id(b, "_HID", "PNP0C02");
	aml_name(b, "_CRS");
	res = aml_resources(b);
	aml_range(b, AML_MEMORY, false, ecam->start, ecam->size);
	aml_resources_end(b, res);
	aml_end(b, d);
	return 0;
}

/* A device at I/O ports, if the machine has it. */
static int isa(const struct acpi_job *j, struct buf *b, const char *region, const char *name,
	       const char *eisa_id, unsigned uid, struct err *e)
{
	const struct machine_device *dev = acpi_device_at_(j, region);
	const struct layout_region *row;
	int r;

	if (!dev)
		return 0;
	r = layout_need(j->l, region, &row, e);
	if (r)
		return r;
	uint16_t irq = dev->line == MACHINE_NO_LINE ? row->irq : dev->line;
	if (irq != LAYOUT_NO_IRQ && irq > 15)
		return err_set(e, ERR_RANGE, "%s at line %u, ISA devices have 0 to 15", dev->id,
			       irq);

	size_t d = aml_device(b, name);
	named_id(b, "_HID", eisa_id);
	named_int(b, "_UID", uid);
	aml_name(b, "_CRS");
	size_t res = aml_resources(b);
	aml_ports(b, row->start, row->size);
	if (irq != LAYOUT_NO_IRQ)
		aml_isa_irq(b, irq);
	aml_resources_end(b, res);
	aml_end(b, d);
	return 0;
}

/* "Virtual Machine Generation ID", Microsoft 2018: ADDR says where it is, Notify (0x80) that it
 * has changed. The event device is ACPI 6.4, 5.6.9. */
static int generation_id(const struct acpi_job *j, struct buf *b, struct err *e)
{
	const struct machine_device *dev = acpi_device_at_(j, "VMGENID_PAGE");
	const struct layout_region *page;
	int r;

	if (!dev)
		return 0;
	r = layout_need(j->l, "VMGENID_PAGE", &page, e);
	if (r)
		return r;
	size_t d = aml_device(b, "VGEN");
	aml_name(b, "_HID");
	aml_text(b, "VMGC0001"); /* drivers go by _CID */
	aml_name(b, "_CID");
	aml_text(b, "VM_Gen_Counter");
	aml_name(b, "_DDN");
	aml_text(b, "VM_Gen_Counter");
	aml_name(b, "ADDR");
	size_t p = aml_package(b, 2);
	aml_int(b, (uint32_t)page->start);
	aml_int(b, page->start >> 32);
	aml_end(b, p);
	aml_end(b, d);
	if (dev->line == MACHINE_NO_LINE)
		return 0;

	d = aml_device(b, "GED");
	aml_name(b, "_HID");
	aml_text(b, "ACPI0013");
	named_int(b, "_UID", 0);
	aml_name(b, "_CRS");
	size_t res = aml_resources(b);
	aml_gsi(b, dev->line);
	aml_resources_end(b, res);
	size_t m = aml_method(b, "_EVT", 1);
	aml_op(b, AML_NOTIFY);
	aml_path(b, "VGEN");
	aml_int(b, 0x80);
	aml_end(b, m);
	aml_end(b, d);
	return 0;
}

int acpi_dsdt_(const struct acpi_job *j, struct buf *out, struct err *e)
{
	int r;

	sleep_states(out);
	size_t scope = aml_scope(out, "\\_SB");
	processors(j, out);
	r = pci(j, out, e);
	for (unsigned i = 0; !r && i < COM_PORTS; i++) {
		char region[LAYOUT_NAME_MAX], name[5];
		snprintf(region, sizeof region, "SERIAL_ADDR[%u]", i);
		snprintf(name, sizeof name, "COM%u", (i + 1) % 10);
		r = isa(j, out, region, name, "PNP0501", i + 1, e);
	}
	if (!r)
		r = isa(j, out, "CMOS_RTC", "RTC", "PNP0B00", 0, e);
	if (!r)
		r = generation_id(j, out, e);
	aml_end(out, scope);
	return r;
}
