/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables, read back from guest memory as an operating system does: from the RSDP on. What
 * the DSDT means is iasl's to say, when it is there: it must take every table apart without
 * complaint and compile the DSDT to the same bytes again.
 */
#include "arch/x86_64/acpi.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define VCPUS 5

struct rig {
	struct layout l;
	struct guest_mem m;
	struct machine mc;
	struct gpa rsdp;
	struct err e;
};

static struct machine_device *add(struct machine *mc, const char *id, const char *region)
{
	struct machine_device *d = &mc->device[mc->device_n++];

	state_defaults(&machine_device_desc, d);
	strcpy(d->id, id);
	strcpy(d->region, region);
	return d;
}

static void add_pci(struct machine *mc, const char *id, uint16_t slot, uint16_t line)
{
	struct machine_device *d = add(mc, id, "");

	d->pci = (uint16_t)(slot << 3);
	d->line = line;
}

static void rig_open(struct rig *g, uint64_t ram)
{
	struct layout_params p;

	memset(g, 0, sizeof *g);
	layout_params_init(&p, ram);
	p.vcpus = VCPUS;
	if (layout_build(layout_def_find("x86_64/linux@1"), &p, &g->l, &g->e) ||
	    mem_init(&g->m, &g->l, &g->e))
		fail_msg("%s", g->e.msg);
	state_defaults(&machine_desc, &g->mc);
	add(&g->mc, "uart0", "SERIAL_ADDR[0]");
	add(&g->mc, "uart1", "SERIAL_ADDR[1]");
	add(&g->mc, "uart2", "SERIAL_ADDR[2]");
	add(&g->mc, "uart3", "SERIAL_ADDR[3]");
	add(&g->mc, "rtc", "CMOS_RTC");
	add(&g->mc, "genid", "VMGENID_PAGE")->line = 23;
	add_pci(&g->mc, "bridge", 0, MACHINE_NO_LINE);
	add_pci(&g->mc, "root", 1, 9);
	add_pci(&g->mc, "data", 2, 10);
	add_pci(&g->mc, "net", 3, 16);
	add_pci(&g->mc, "rng", 31, 9);
}

static void rig_write(struct rig *g)
{
	if (acpi_write(&g->l, &g->mc, VCPUS, &g->m, &g->rsdp, &g->e))
		fail_msg("%s", g->e.msg);
}

static const struct layout_region *row(const struct rig *g, const char *name)
{
	const struct layout_region *r = layout_find(&g->l, name);

	assert_non_null(r);
	return r;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* A table that is whole, in the window, aligned, and adds up. */
static const uint8_t *table_at(const struct rig *g, uint64_t at, const char *signature,
			       unsigned revision)
{
	const struct layout_region *window = row(g, "ACPI_HI_RSDP_WINDOW_BASE");
	const uint8_t *t = mem_ro(&g->m, gpa(at), 36);

	assert_non_null(t);
	assert_memory_equal(t, signature, 4);
	assert_true(num_inside(at, num_le32(t + 4), window->start,
			       row(g, "VMGENID_PAGE")->start - window->start));
	assert_int_equal(t[8], revision);
	assert_int_equal(at % 8, 0);
	assert_int_equal(sum(t, num_le32(t + 4)), 0);
	return t;
}

static const uint8_t *xsdt(const struct rig *g)
{
	const uint8_t *p = mem_ro(&g->m, g->rsdp, 36);

	assert_non_null(p);
	assert_memory_equal(p, "RSD PTR ", 8);
	assert_int_equal(p[15], 2);
	assert_int_equal(sum(p, 20), 0);
	assert_int_equal(num_le32(p + 20), 36);
	assert_int_equal(sum(p, 36), 0);
	return table_at(g, num_le64(p + 24), "XSDT", 1);
}

static const uint8_t *find(const struct rig *g, const char *signature, unsigned revision)
{
	const uint8_t *x = xsdt(g);

	for (uint32_t i = 36; i < num_le32(x + 4); i += 8) {
		uint64_t at = num_le64(x + i);
		const uint8_t *t = mem_ro(&g->m, gpa(at), 36);
		if (t && !memcmp(t, signature, 4))
			return table_at(g, at, signature, revision);
	}
	fail_msg("no table %s", signature);
	return NULL;
}

static void is_port(const uint8_t *gas, unsigned bits, uint64_t port)
{
	assert_int_equal(gas[0], 1);
	assert_int_equal(gas[1], bits);
	assert_int_equal(gas[2], 0);
	assert_int_equal(num_le64(gas + 4), port);
}

static void the_fadt_describes_the_pm_block(void **unused)
{
	struct rig g;

	rig_open(&g, 256 * MIB);
	rig_write(&g);
	assert_int_equal(g.rsdp.v, row(&g, "ACPI_HI_RSDP_WINDOW_BASE")->start);
	const uint8_t *f = find(&g, "FACP", 6);
	uint64_t pm = row(&g, "ACPI_PM")->start;
	assert_int_equal(num_le32(f + 4), 276);
	assert_int_equal(num_le16(f + 46), row(&g, "ACPI_PM")->irq);
	assert_int_equal(num_le32(f + 48), 0); /* always in ACPI mode */
	assert_int_equal(num_le32(f + 56), pm);
	assert_int_equal(num_le32(f + 64), pm + 4);
	assert_int_equal(num_le32(f + 76), pm + 8);
	assert_int_equal(f[88], 4);
	assert_int_equal(f[89], 2);
	assert_int_equal(f[91], 4);
	assert_int_equal(f[108], 0x32);
	assert_int_equal(num_le16(f + 109), 0x15); /* legacy devices; no VGA, no ASPM */
	assert_int_equal(num_le32(f + 112), 0x1565);
	is_port(f + 116, 8, pm + 0xc);
	assert_int_equal(f[128], 1);
	is_port(f + 148, 32, pm);
	is_port(f + 172, 16, pm + 4);
	is_port(f + 208, 32, pm + 8);
	assert_int_equal(num_le64(f + 140), num_le32(f + 40));
	table_at(&g, num_le64(f + 140), "DSDT", 2);
	const uint8_t *facs = mem_ro(&g.m, gpa(num_le32(f + 36)), 64);
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(num_le32(facs + 4), 64);
	assert_int_equal(num_le32(f + 36) % 64, 0);
	mem_fini(&g.m);
}

static void flags_follow_the_machine(void **unused)
{
	struct rig g;

	rig_open(&g, 256 * MIB);
	g.mc.device_n = 0;
	rig_write(&g);
	const uint8_t *f = find(&g, "FACP", 6);
	assert_int_equal(num_le16(f + 109), 0x34); /* nothing legacy, no RTC */
	assert_int_equal(f[108], 0);
	add(&g.mc, "uart0", "SERIAL_ADDR[0]");
	add(&g.mc, "rtc", "CMOS_RTC");
	rig_write(&g);
	f = find(&g, "FACP", 6);
	assert_int_equal(num_le16(f + 109), 0x15);
	assert_int_equal(f[108], 0x32);
	mem_fini(&g.m);
}

static void the_madt_lists_processors_and_lines(void **unused)
{
	static const struct {
		unsigned irq, gsi, flags;
	} overrides[] = {{0, 2, 0}, {5, 5, 0xd}, {9, 9, 0xf}, {10, 10, 0xf}};
	struct rig g;
	unsigned cpus = 0, ioapics = 0, told = 0;

	rig_open(&g, 256 * MIB);
	rig_write(&g);
	const uint8_t *t = find(&g, "APIC", 5), *end = t + num_le32(t + 4);
	assert_int_equal(num_le32(t + 36), row(&g, "LAPIC_ADDR")->start);
	assert_int_equal(num_le32(t + 40), 1);
	for (const uint8_t *s = t + 44; s < end; s += s[1]) {
		assert_true(s[1] >= 2 && s[1] <= end - s);
		switch (s[0]) {
		case 0:
			assert_int_equal(s[2], cpus);
			assert_int_equal(s[3], cpus);
			assert_int_equal(num_le32(s + 4), 1);
			cpus++;
			break;
		case 1:
			assert_int_equal(s[2], 0);
			assert_int_equal(num_le32(s + 4), row(&g, "IOAPIC_ADDR")->start);
			assert_int_equal(num_le32(s + 8), 0);
			ioapics++;
			break;
		case 2:
			assert_true(told < ARRAY_LEN(overrides));
			assert_int_equal(s[3], overrides[told].irq);
			assert_int_equal(num_le32(s + 4), overrides[told].gsi);
			assert_int_equal(num_le16(s + 8), overrides[told].flags);
			told++;
			break;
		case 4:
			assert_int_equal(s[2], 0xff);
			assert_int_equal(s[5], 1);
			break;
		default:
			fail_msg("entry of type %u", s[0]);
		}
	}
	assert_int_equal(cpus, VCPUS);
	assert_int_equal(ioapics, 1);
	assert_int_equal(told, ARRAY_LEN(overrides));
	mem_fini(&g.m);
}

static void the_mcfg_is_the_ecam_row(void **unused)
{
	struct rig g;

	rig_open(&g, 6 * GIB);
	rig_write(&g);
	const uint8_t *t = find(&g, "MCFG", 1);
	assert_int_equal(num_le32(t + 4), 60);
	assert_int_equal(num_le64(t + 44), row(&g, "PCIE_CFG_MMIO_START")->start);
	assert_int_equal(num_le16(t + 52), 0);
	assert_int_equal(t[54], 0);
	assert_int_equal(t[55], 63);
	mem_fini(&g.m);
}

static void what_cannot_be_described_is_refused(void **unused)
{
	struct rig g;

	rig_open(&g, 256 * MIB);
	assert_int_equal(acpi_write(&g.l, &g.mc, 0, &g.m, &g.rsdp, &g.e), -ERR_LIMIT);
	assert_int_equal(acpi_write(&g.l, &g.mc, 255, &g.m, &g.rsdp, &g.e), -ERR_LIMIT);
	assert_int_equal(acpi_write(&g.l, &g.mc, 254, &g.m, &g.rsdp, &g.e), 0);
	add_pci(&g.mc, "late", 4, 24);
	assert_int_equal(acpi_write(&g.l, &g.mc, 1, &g.m, &g.rsdp, &g.e), -ERR_RANGE);
	g.mc.device[g.mc.device_n - 1].line = 2;
	assert_int_equal(acpi_write(&g.l, &g.mc, 1, &g.m, &g.rsdp, &g.e), -ERR_RANGE);
	g.mc.device[g.mc.device_n - 1].line = 23;
	assert_int_equal(acpi_write(&g.l, &g.mc, 1, &g.m, &g.rsdp, &g.e), 0);
	g.mc.device[g.mc.device_n - 1].pci = 3 << 3; /* taken */
	assert_int_equal(acpi_write(&g.l, &g.mc, 1, &g.m, &g.rsdp, &g.e), -ERR_RANGE);
	g.mc.device[g.mc.device_n - 1].pci = 1 << 8;
	assert_int_equal(acpi_write(&g.l, &g.mc, 1, &g.m, &g.rsdp, &g.e), -ERR_RANGE);
	g.mc.device_n--;
	g.mc.device[0].line = 16; /* a UART */
	assert_int_equal(acpi_write(&g.l, &g.mc, 1, &g.m, &g.rsdp, &g.e), -ERR_RANGE);
	assert_non_null(strstr(g.e.msg, "uart0"));
	g.mc.device[0].line = MACHINE_NO_LINE;
	/* A window too small: the page of the generation id right behind the RSDP. */
	((struct layout_region *)row(&g, "VMGENID_PAGE"))->start =
	    row(&g, "ACPI_HI_RSDP_WINDOW_BASE")->start + 0x200;
	assert_int_equal(acpi_write(&g.l, &g.mc, 1, &g.m, &g.rsdp, &g.e), -ERR_LIMIT);
	mem_fini(&g.m);
}

/* --- what iasl says ------------------------------------------------------------------------ */

static char *slurp(const char *path)
{
	struct buf b = BUF_INIT;

	if (io_read_file(path, MIB, &b, NULL))
		fail_msg("cannot read %s", path);
	buf_put(&b, "", 1);
	return (char *)b.data;
}

static void dump(const struct rig *g, const uint8_t *table, const char *path)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(table, num_le32(table + 4), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

/* In the disassembled DSDT, squeezed. */
static void says(const char *dsl, const char *fmt, ...)
{
	char want[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof want, fmt, ap);
	va_end(ap);
	if (!strstr(dsl, want))
		fail_msg("the DSDT does not say %s", want);
}

/* White space and comments go. */
static void squeeze(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '/' && s[1] == '/')
			while (s[1] && s[1] != '\n')
				s++;
		else if (s[0] == '/' && s[1] == '*' && strstr(s, "*/"))
			s = strstr(s, "*/") + 1;
		else if (!strchr(" \t\n", *s))
			*to++ = *s;
	}
	*to = 0;
}

static void the_dsdt_means_what_the_layout_says(const struct rig *g, char *dsl)
{
	const struct layout_region *ecam = row(g, "PCIE_CFG_MMIO_START");
	const struct layout_region *low = row(g, "END_ADDR_BEFORE_32BITS");
	const struct layout_region *high = row(g, "HIGH_MMIO");

	squeeze(dsl);
	says(dsl, "Name(\\_S5,Package(0x04){0x05,0x05,Zero,Zero})");
	says(dsl, "Device(C004){Name(_HID,\"ACPI0007\")Name(_UID,0x04)}");
	says(dsl, "Name(_CBA,0x%08llX)", (unsigned long long)ecam->start);
	says(dsl, "WordBusNumber(ResourceProducer,MinFixed,MaxFixed,PosDecode,0x0000,0x0000,0x003F,"
		  "0x0000,0x0040,,,)");
	says(dsl, "IO(Decode16,0x0CF8,0x0CF8,0x01,0x08,)");
	says(dsl,
	     "DWordMemory(ResourceProducer,PosDecode,MinFixed,MaxFixed,NonCacheable,ReadWrite,"
	     "0x00000000,0x%08llX,0x%08llX,0x00000000,0x%08llX,,,,AddressRangeMemory,TypeStatic)",
	     (unsigned long long)low->start, (unsigned long long)region_end(low) - 1,
	     (unsigned long long)low->size);
	says(dsl,
	     "QWordMemory(ResourceProducer,PosDecode,MinFixed,MaxFixed,NonCacheable,ReadWrite,"
	     "0x0000000000000000,0x%016llX,0x%016llX,0x0000000000000000,0x%016llX,",
	     (unsigned long long)high->start, (unsigned long long)region_end(high) - 1,
	     (unsigned long long)high->size);
	says(dsl,
	     "Name(_PRT,Package(0x04){"
	     "Package(0x04){0x0001FFFF,Zero,Zero,0x09},Package(0x04){0x0002FFFF,Zero,Zero,0x0A},"
	     "Package(0x04){0x0003FFFF,Zero,Zero,0x10},Package(0x04){0x001FFFFF,Zero,Zero,0x09}})");
	says(dsl, "Device(ECAM){Name(_HID,EisaId(\"PNP0C02\")");
	says(dsl,
	     "DWordMemory(ResourceConsumer,PosDecode,MinFixed,MaxFixed,NonCacheable,ReadWrite,"
	     "0x00000000,0x%08llX,0x%08llX,",
	     (unsigned long long)ecam->start, (unsigned long long)region_end(ecam) - 1);
	for (unsigned i = 0; i < 4; i++) {
		char name[20];
		snprintf(name, sizeof name, "SERIAL_ADDR[%u]", i);
		const struct layout_region *com = row(g, name);
		says(dsl, "Device(COM%u){Name(_HID,EisaId(\"PNP0501\")", i + 1);
		says(dsl, "IO(Decode16,0x%04X,0x%04X,0x01,0x08,)IRQNoFlags(){%u}",
		     (unsigned)com->start, (unsigned)com->start, com->irq);
	}
	says(dsl, "Device(RTC){Name(_HID,EisaId(\"PNP0B00\")");
	says(dsl, "IO(Decode16,0x0070,0x0070,0x01,0x02,)IRQNoFlags(){8}");
	says(dsl, "Name(ADDR,Package(0x02){0x%08llX,Zero})",
	     (unsigned long long)row(g, "VMGENID_PAGE")->start);
	says(dsl, "Interrupt(ResourceConsumer,Edge,ActiveHigh,Exclusive,,,){0x00000017,}");
	says(dsl, "Method(_EVT,1,Serialized){Notify(VGEN,0x80)}");
	says(dsl, "If((Arg0==ToUUID(\"33db4d5b-1ff7-401c-9657-7441c03dd766\")");
	says(dsl, "CreateDWordField(Arg3,0x08,CDW3)If((Arg1!=One)){CDW1|=0x08}Local0=(CDW3&0x1F)"
		  "If((Local0!=CDW3)){CDW1|=0x10}CDW3=Local0}Else{CDW1|=0x04}Return(Arg3)");
}

static void iasl_agrees(void **unused)
{
	static const struct {
		const char *signature;
		unsigned revision;
	} tables[] = {{"FACP", 6}, {"APIC", 5}, {"MCFG", 1}};
	char dir[] = "/tmp/test_acpi.XXXXXX", cmd[512], path[64];
	struct rig g;

	if (system("iasl -v >/dev/null 2>&1")) {
		fprintf(stderr, "SKIPPED: iasl (package acpica-tools) is not installed\n");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	rig_open(&g, 6 * GIB);
	rig_write(&g);
	const uint8_t *fadt = find(&g, "FACP", 6), *dsdt;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		snprintf(path, sizeof path, "%s/%s.aml", dir, tables[i].signature);
		dump(&g, find(&g, tables[i].signature, tables[i].revision), path);
		snprintf(cmd, sizeof cmd, "cd %s && iasl -d %s.aml >%s.log 2>&1", dir,
			 tables[i].signature, tables[i].signature);
		assert_int_equal(system(cmd), 0);
		snprintf(path, sizeof path, "%s/%s.dsl", dir, tables[i].signature);
		char *text = slurp(path);
		assert_null(strstr(text, "***"));
		assert_null(strstr(text, "Invalid"));
		free(text);
	}

	dsdt = table_at(&g, num_le64(fadt + 140), "DSDT", 2);
	snprintf(path, sizeof path, "%s/dsdt.aml", dir);
	dump(&g, dsdt, path);
	/* Apart and together again: no warning, no remark, and the same bytes. */
	snprintf(cmd, sizeof cmd,
		 "cd %s && iasl -d dsdt.aml >d.log 2>&1 && iasl -oa -p again dsdt.dsl >c.log 2>&1",
		 dir);
	if (system(cmd))
		fail_msg("iasl: see %s", dir);
	snprintf(path, sizeof path, "%s/c.log", dir);
	char *log = slurp(path);
	if (!strstr(log, "0 Errors, 0 Warnings, 0 Remarks"))
		fail_msg("%s", log);
	free(log);
	snprintf(path, sizeof path, "%s/again.aml", dir);
	char *again = slurp(path);
	size_t body = num_le32(dsdt + 4) - 36;
	assert_int_equal(num_le32(again + 4), num_le32(dsdt + 4));
	assert_memory_equal(again + 36, dsdt + 36, body);
	free(again);

	snprintf(path, sizeof path, "%s/dsdt.dsl", dir);
	char *dsl = slurp(path);
	the_dsdt_means_what_the_layout_says(&g, dsl);
	free(dsl);
	mem_fini(&g.m);
	snprintf(cmd, sizeof cmd, "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_fadt_describes_the_pm_block),
	    cmocka_unit_test(flags_follow_the_machine),
	    cmocka_unit_test(the_madt_lists_processors_and_lines),
	    cmocka_unit_test(the_mcfg_is_the_ecam_row),
	    cmocka_unit_test(what_cannot_be_described_is_refused),
	    cmocka_unit_test(iasl_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
