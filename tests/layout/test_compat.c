/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule: a machine and a host that fit, one thing changed, and the one finding it makes. */
#include "hosts.h"
#include "layout/compat.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct layout l;
static struct machine m;
static struct host saved_host, host;
static struct x86_vcpu vcpu;
static struct findings f;
static bool seen[RULE_COUNT];

static void add_function(const char *id, const char *type, uint16_t slot, uint16_t queues,
			 uint64_t features)
{
	struct machine_device *d = &m.device[m.device_n++];

	state_defaults(&machine_device_desc, d);
	strcpy(d->id, id);
	strcpy(d->type, type);
	d->pci = (uint16_t)(slot << 3);
	d->queues = queues;
	d->queue_size = 256;
	d->features = features;
	d->bar[0] = layout_window(&l, true)->start + slot * 0x4000;
	d->bar_bytes[0] = 0x4000;
	d->bar[1] = layout_window(&l, false)->start + slot * 0x1000;
	d->bar_bytes[1] = 0x1000;
}

static int setup(void **state)
{
	struct layout_params p;
	struct err e = ERR_INIT;
	struct machine_device *d;

	layout_params_init(&p, 6 * GIB);
	p.vcpus = 2;
	p.kernel_bytes = 16 * MIB;
	if (layout_build(layout_def_find("x86_64/linux@1"), &p, &l, &e))
		return -1;
	state_defaults(&machine_desc, &m);
	strcpy(m.cpu, "host");
	d = &m.device[m.device_n++];
	state_defaults(&machine_device_desc, d);
	strcpy(d->id, "com1");
	strcpy(d->type, "uart");
	strcpy(d->region, "SERIAL_ADDR[0]");
	add_function("rng", "virtio-rng", 1, 1, 0x130000000);
	add_function("hvc", "virtio-console", 2, 2, 0x130000000);
	hosts_fill(&saved_host);
	hosts_fill(&host);
	state_defaults(&x86_vcpu_desc, &vcpu);
	hosts_fill_cpuid(vcpu.cpuid, &vcpu.cpuid_n);
	vcpu.tsc_khz = 3000000;
	vcpu.msr[vcpu.msr_n++] = (struct x86_msr){0x174, 0x10};
	vcpu.msr[vcpu.msr_n++] = (struct x86_msr){0x345, 0};
	return 0;
}

/* Applies all rules. @wanted: "L010 L002": the rules found, in order; "" for none. */
static void expect(const char *wanted)
{
	char text[1024] = "";

	memset(&f, 0, sizeof f);
	compat_layout(&l, &f);
	compat_machine(&l, &m, &f);
	if (compat_host(&l, &saved_host, &host, &f))
		compat_x86_vcpu(&vcpu, &host, &f);
	for (uint32_t i = 0; i < f.n; i++) {
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
			 f.item[i].rule->id);
		seen[f.item[i].rule - rules] = true;
	}
	if (strcmp(text, wanted)) {
		findings_text(&f, stderr);
		fail_msg("wanted '%s', found '%s'", wanted, text);
	}
	setup(NULL);
}

/* The finding @i names both values. */
static void values(uint32_t i, const char *saved, const char *found)
{
	if (!strstr(f.item[i].saved, saved) || !strstr(f.item[i].found, found))
		fail_msg("saved '%s', found '%s'", f.item[i].saved, f.item[i].found);
}

static struct layout_region *row(const char *name)
{
	return (struct layout_region *)(uintptr_t)layout_find(&l, name);
}

static void what_fits_is_identical(void **state)
{
	expect("");
	assert_int_equal(findings_verdict(&f), VERDICT_IDENTICAL);
	/* More of everything is no difference. */
	host.phys_bits = 52;
	host.memslots = 32764;
	host.cpuid[1].ecx |= 1u << 31;
	host.cpuid[2].ebx = UINT32_MAX;
	host.cpuid[2].edx = 0x20;
	hosts_add_cap(&host, "SOMETHING_NEW");
	host.msr[host.msr_n++].index = 0xc0000104;
	expect("");
}

static void maps(void **state)
{
	strcpy(l.id, "x86_64/linux@9");
	expect("L001");
	strcpy(l.id, "x86_64/linux"); /* no version: not a definition's name */
	expect("L001");
	l.params.vcpus = 17;
	expect("L003");
	row("LAPIC_ADDR")->start += 0x1000;
	expect("L002");
	strcpy(row("LAPIC_ADDR")->name, "ANOTHER");
	expect("L002 L002");
	row("CMOS_RTC")->irq = 9;
	expect("L002");
	row("RAM_ABOVE_4G")->start -= 0x1000; /* a page onto what lies before */
	expect("L010 L002");
	row("HIGH_MMIO")->size = 1ull << 63;
	expect("L011 L002");
	row("RAM_ABOVE_4G")->size -= 1;
	expect("L012 L016 L002");
	row("LAPIC_ADDR")->start = 0x100000000; /* past RESERVED_MEM_SIZE */
	expect("L013 L015 L015 L002");
	row("PIT")->name[0] = '\0';
	expect("L014 L002 L002");
	row("PIC_SLAVE")->start = 0x10;
	expect("L015 L015 L015 L015 L015 L015 L002");
	row("RAM_ABOVE_4G")->kind = REGION_RESERVED; /* a hole where RAM was */
	expect("L016 L002");
	l.params.phys_bits = 53;
	expect("L017 L003 H002");
}

static void devices(void **state)
{
	strcpy(m.device[1].type, "virtio-gpu");
	expect("D001");
	m.device[1].version = 2;
	expect("D002");
	m.device[2].queues = 4;
	expect("D004");
	values(0, "4 queues", "2 queues");
	m.device[1].queue_size = 512;
	expect("D004");
	m.device[1].features |= 1ull << 63;
	expect("D004");
	strcpy(m.device[0].region, "SERIAL_ADDR[7]");
	expect("D005");
	m.device[1].bar[0] += 0x1000;
	expect("D010");
	m.device[1].bar[0] = 0;
	expect("D010");
	m.device[1].bar[0] = 0x1000000; /* RAM */
	expect("D011");
	m.device[1].bar[1] = 0xf4000000; /* ECAM */
	expect("D011");
	m.device[1].bar[0] = 1ull << 63;
	expect("D011");
	m.device[1].bar[0] = m.device[2].bar[0];
	expect("D012");
	m.device[1].pci = m.device[2].pci;
	expect("D013");
	m.device[1].pci |= 1;
	expect("D013");
	m.device[1].pci = MACHINE_NO_PCI;
	expect("D010");
}

static void hosts(void **state)
{
	strcpy(host.arch, "aarch64");
	host.phys_bits = 36; /* not looked at any more */
	expect("H001");
	host.phys_bits = 39;
	expect("H002");
	host.vcpus = 1;
	expect("H003");
	host.memslots = 1;
	expect("H004");
	host.page_bytes = 65536;
	expect("H005");
	host.cap[0].value = 0; /* IRQCHIP */
	expect("H006 H007");
	host.cap_n = 0; /* says nothing of capabilities */
	expect(
	    "H006 H006 H006 H006 H006 H006 H006 H006 H006 H006 H006 H006 H006 "
	    "H007 H007 H007 H007 H007 H007 H007 H007 H007 H007 H007 H007 H007 H007 H007 H007 H007");
	strcpy(host.cap[host.cap_n - 4].name, "X"); /* the dirty ring */
	expect("H007");
	host.userfaultfd = false;
	expect("H008");
	vcpu.pdptrs_valid = true;
	strcpy(host.cap[host.cap_n - 3].name, "X");
	strcpy(saved_host.cap[host.cap_n - 3].name, "X2");
	saved_host.cap[host.cap_n - 3].value = 0;
	expect("H006");
	vcpu.exception_has_payload = vcpu.triple_fault_pending = true;
	expect("");
}

static void interrupt_controllers(void **state)
{
	struct layout_params p;
	const char *name;
	struct err e = ERR_INIT;

	layout_params_init(&p, GIB);
	p.gic_version = 3;
	p.gic_its = true;
	assert_int_equal(layout_build(layout_def_find("aarch64/linux@2"), &p, &l, &e), 0);
	strcpy(saved_host.arch, "aarch64");
	strcpy(host.arch, "aarch64");
	for (size_t i = 0; (name = compat_needed_cap("aarch64", i)); i++)
		hosts_add_cap(&host, name);
	memset(&f, 0, sizeof f);
	assert_true(compat_host(&l, &saved_host, &host, &f));
	assert_int_equal(f.n, 2);
	assert_ptr_equal(f.item[0].rule, &rules[RULE_H009]);
	values(0, "GICv3", "absent");
	values(1, "ITS", "absent");
	seen[RULE_H009] = true;
	memset(&f, 0, sizeof f);
	hosts_add_cap(&host, "GICV3");
	hosts_add_cap(&host, "ITS");
	assert_true(compat_host(&l, &saved_host, &host, &f));
	assert_int_equal(f.n, 0);
	setup(NULL);
}

static void processors(void **state)
{
	host.cpuid[2].ebx &= ~(1u << 5); /* AVX2 */
	memset(&f, 0, sizeof f);
	compat_x86_vcpu(&vcpu, &host, &f);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.item[0].saved, "avx2");
	expect("C002");
	/* Bits that follow from what the guest does are no difference. */
	vcpu.cpuid[1].ecx |= 1u << 27;
	host.cpuid[1].ecx &= ~(1u << 27);
	host.cpuid[1].edx &= ~(1u << 28);
	expect("");
	host.cpuid_n = 0;
	expect("C011");

	/* 250 ppm of 3 GHz are 750 kHz. */
	vcpu.tsc_khz = 3000750;
	expect("");
	vcpu.tsc_khz = 2999250;
	expect("");
	vcpu.tsc_khz = 3000751;
	expect("C003");
	vcpu.tsc_khz = 2999249;
	expect("C003");
	vcpu.tsc_khz = 2000000;
	host.tsc_scaling = true;
	expect("C010");
	host.tsc_khz = 0;
	expect("C011");

	vcpu.msr[1].value = 1;
	expect("C004");
	host.msr_n = 0;
	expect("C011");
	vcpu.unread[vcpu.unread_n++].index = 0x1d9;
	expect("C005");
	host.cpuid[0].ebx = 0x68747541;
	expect("C008");
	host.cpuid[1].eax = 0x506e3;
	expect("C009");
}

static void vector_registers(void **state)
{
	host.cpuid[5].ebx = 2432; /* protection keys elsewhere, as on another vendor */
	expect("C007");
	host.cpuid[5].eax = 16;
	expect("C007");
	/* A component that the host has not is a feature that is absent. */
	host.cpuid[3].eax = 7;
	host.cpuid[5].eax = host.cpuid[5].ebx = 0;
	expect("C002");
	/* One that the guest has not may lie anywhere. */
	vcpu.cpuid[3].eax = 7;
	host.cpuid[5].ebx = 5000;
	expect("");
	vcpu.cpuid[5].ebx = host.cpuid[5].ebx = 8192;
	expect("C006");
	vcpu.cpuid[5].ebx = host.cpuid[5].ebx = 8192;
	host.cpuid[3].ecx = 8200;
	expect("");
}

/* --- two maps ----------------------------------------------------------------------------------
 */

static void build_other(const char *id, struct layout_params *p, struct layout *out)
{
	struct err e = ERR_INIT;

	if (layout_build(layout_def_find(id), p, out, &e))
		fail_msg("%s", e.msg);
}

static void compared(const struct layout *a, const struct layout *b, const char *wanted)
{
	char text[1024] = "";

	memset(&f, 0, sizeof f);
	layout_compare(a, b, &f);
	for (uint32_t i = 0; i < f.n; i++) {
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s:%s", i ? " " : "",
			 f.item[i].rule->id, f.item[i].subject);
		seen[f.item[i].rule - rules] = true;
	}
	if (strcmp(text, wanted))
		fail_msg("wanted '%s', found '%s'", wanted, text);
}

static void two_maps(void **state)
{
	struct layout other = l;
	struct layout_region *r;

	compared(&l, &l, "");
	assert_int_equal(findings_verdict(&f), VERDICT_IDENTICAL);
	r = (struct layout_region *)(uintptr_t)layout_find(&other, "PCIE_CFG_MMIO_START");
	r->size /= 2;
	r->irq = 10;
	compared(&l, &other, "L034:PCIE_CFG_MMIO_START L037:PCIE_CFG_MMIO_START");
	r->start += r->size;
	compared(&l, &other, "L033:PCIE_CFG_MMIO_START L037:PCIE_CFG_MMIO_START");
	r->kind = REGION_CAM;
	compared(&l, &other, "L035:PCIE_CFG_MMIO_START L037:PCIE_CFG_MMIO_START");
	strcpy(r->name, "ELSEWHERE");
	compared(&l, &other, "L032:PCIE_CFG_MMIO_START L032:ELSEWHERE");
	other = l;
	row("boot_pml4_addr")->start += 0x100000;
	row("boot_pml4_addr")->parent = 0;
	compared(&l, &other, "L038:boot_pml4_addr L036:boot_pml4_addr");
	assert_int_equal(findings_verdict(&f), VERDICT_IDENTICAL);
	other.params.vcpus = 4;
	other.params.ram_bytes += 1;
	compared(&other, &other, "");
	compared(&l, &other,
		 "L031:RAM in bytes L039:vCPUs L038:boot_pml4_addr L036:boot_pml4_addr");
}

/* RAM is the same in both: a comparison of RAM alone would let the guest's high BARs land
 * elsewhere. */
static void the_platform_window_moved_what_lies_above(void **state)
{
	struct layout_params p;
	struct layout a, b;

	layout_params_init(&p, 4 * GIB);
	p.gic_version = 3;
	build_other("aarch64/linux@1", &p, &a);
	build_other("aarch64/linux@2", &p, &b);
	assert_int_equal(layout_find(&a, "AARCH64_PHYS_MEM_START")->size,
			 layout_find(&b, "AARCH64_PHYS_MEM_START")->size);
	compared(&a, &b,
		 "L030:definition L034:AARCH64_PCI_CFG_BASE L038:AARCH64_AXI_BASE "
		 "L034:plat_mmio_base L033:high_mmio_base");
	assert_int_equal(findings_verdict(&f), VERDICT_INCOMPATIBLE);
	values(1, "0x10000 to 0x20000", "0x10000 to 0x1010000");
	values(3, "0x180000000 to 0x180800000", "0x180000000 to 0x1c0000000");
	values(4, "0x180800000", "0x1c0000000");
}

static void every_rule_was_seen(void **state)
{
	/* These need a snapshot, images or a TAP device; or are in test_compat_arm64.c. */
	static const char *const elsewhere[] = {"D003", "D020", "D05",	"H010", "C012", "C013",
						"C014", "C015", "C016", "C017", "C018"};

	for (size_t i = 0; i < RULE_COUNT; i++) {
		bool other = false;
		for (size_t j = 0; j < ARRAY_LEN(elsewhere); j++)
			other |= !strncmp(rules[i].id, elsewhere[j], strlen(elsewhere[j]));
		if (!seen[i] && !other)
			fail_msg("%s was not seen", rules[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(what_fits_is_identical, setup),
	    cmocka_unit_test_setup(maps, setup),
	    cmocka_unit_test_setup(devices, setup),
	    cmocka_unit_test_setup(hosts, setup),
	    cmocka_unit_test_setup(interrupt_controllers, setup),
	    cmocka_unit_test_setup(processors, setup),
	    cmocka_unit_test_setup(vector_registers, setup),
	    cmocka_unit_test_setup(two_maps, setup),
	    cmocka_unit_test_setup(the_platform_window_moved_what_lies_above, setup),
	    cmocka_unit_test(every_rule_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
