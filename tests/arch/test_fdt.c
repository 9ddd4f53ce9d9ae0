/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device tree of aarch64 machines, read back with libfdt: every address in it is the layout's.
 * What a tree has to look like is dtc's to say, when it is there: it must not warn about any.
 */
#include "../stride.h"
#include "arch/aarch64/boot.h"
#include "devices/pci.h"
#include "devices/virtio.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define MAC ((const uint8_t[6]){2, 0, 0, 0, 0, 1})

struct rig {
	struct layout l;
	struct guest_mem mem;
	struct machine m;
	const void *fdt;
	struct err e;
};

static const struct {
	const char *id, *type, *region;
} platform[] = {
    {"com1", "uart", "SERIAL_ADDR[0]"},
    {"com2", "uart", "SERIAL_ADDR[1]"},
    {"com3", "uart", "SERIAL_ADDR[2]"},
    {"com4", "uart", "SERIAL_ADDR[3]"},
    {"rtc", "pl031", "AARCH64_RTC_ADDR"},
    {"watchdog", "stall-detector", "AARCH64_VMWDT_ADDR"},
    {"cpufreq", "cpufreq", "AARCH64_VIRTFREQ_BASE"},
    {"debug-exit", "debug-exit", "plat_mmio_base"},
};

static void describe(struct rig *g)
{
	state_defaults(&machine_desc, &g->m);
	pci_host_describe(&g->m.device[g->m.device_n++]);
	for (size_t i = 0; i < ARRAY_LEN(platform); i++) {
		struct machine_device *d = &g->m.device[g->m.device_n++];
		state_defaults(&machine_device_desc, d);
		strcpy(d->id, platform[i].id);
		strcpy(d->type, platform[i].type);
		strcpy(d->region, platform[i].region);
		d->line = layout_find(&g->l, d->region)->irq;
	}
	virtio_blk_describe(&g->m.device[g->m.device_n++], "root", 100, false);
	virtio_net_describe(&g->m.device[g->m.device_n++], "lan", MAC);
	virtio_rng_describe(&g->m.device[g->m.device_n++], "rng");
	assert_int_equal(pci_place(&g->l, &g->m, &g->e), 0);
}

static void rig_open(struct rig *g, const char *id, const struct layout_params *p,
		     const struct fdt_facts *facts)
{
	struct gpa at;

	memset(g, 0, sizeof *g);
	if (layout_build(layout_def_find(id), p, &g->l, &g->e) || mem_init(&g->mem, &g->l, &g->e))
		fail_msg("%s: %s", id, g->e.msg);
	describe(g);
	if (fdt_write(&g->l, &g->m, facts, &g->mem, &at, &g->e))
		fail_msg("%s: %s", id, g->e.msg);
	g->fdt = mem_ro(&g->mem, at, FDT_V1_SIZE);
	assert_non_null(g->fdt);
	assert_int_equal(fdt_check_header(g->fdt), 0);
	g->fdt = mem_ro(&g->mem, at, fdt_totalsize(g->fdt));
	assert_non_null(g->fdt);
}

static void rig_close(struct rig *g)
{
	mem_fini(&g->mem);
}

/* --- properties ------------------------------------------------------------------------------ */

static const fdt32_t *cells(const struct rig *g, int node, const char *name, int n)
{
	int len;
	const fdt32_t *p = fdt_getprop(g->fdt, node, name, &len);

	if (!p || (n >= 0 && len != 4 * n))
		fail_msg("%s: %d bytes", name, len);
	return p;
}

static uint64_t pair(const fdt32_t *c)
{
	return (uint64_t)fdt32_to_cpu(c[0]) << 32 | fdt32_to_cpu(c[1]);
}

static int node_at(const struct rig *g, const char *path)
{
	int node = fdt_path_offset(g->fdt, path);

	if (node < 0)
		fail_msg("no %s in %s", path, g->l.id);
	return node;
}

/* The node of @compatible at row @region: its n-th "reg" is that row, its name has the address. */
static int row_node(const struct rig *g, const char *compatible, const char *region, unsigned n)
{
	const struct layout_region *r = layout_find(&g->l, region);
	int node = -1;

	assert_non_null(r);
	while ((node = fdt_node_offset_by_compatible(g->fdt, node, compatible)) >= 0) {
		const fdt32_t *reg = cells(g, node, "reg", -1);
		if (pair(reg + 4 * n) == r->start) {
			assert_int_equal(pair(reg + 4 * n + 2), r->size);
			return node;
		}
	}
	fail_msg("no %s at %s in %s", compatible, region, g->l.id);
	return -1;
}

static void interrupt(const struct rig *g, int node, uint32_t kind, uint32_t number)
{
	const fdt32_t *c = cells(g, node, "interrupts", 3);

	assert_int_equal(fdt32_to_cpu(c[0]), kind);
	assert_int_equal(fdt32_to_cpu(c[1]), number);
}

/* --- what stands where ----------------------------------------------------------------------- */

static void check_devices(const struct rig *g)
{
	static const struct {
		const char *compatible, *region;
		uint32_t kind;
	} rows[] = {
	    {"ns16550a", "SERIAL_ADDR[0]", 0},
	    {"ns16550a", "SERIAL_ADDR[1]", 0},
	    {"ns16550a", "SERIAL_ADDR[2]", 0},
	    {"ns16550a", "SERIAL_ADDR[3]", 0},
	    {"arm,pl031", "AARCH64_RTC_ADDR", 0},
	    {"microsoft,vmgenid", "VMGENID_PAGE", 0},
	    {"qemu,vcpu-stall-detector", "AARCH64_VMWDT_ADDR", 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		interrupt(g, row_node(g, rows[i].compatible, rows[i].region, 0), rows[i].kind,
			  layout_find(&g->l, rows[i].region)->irq);
	row_node(g, "qemu,virtual-cpufreq", "AARCH64_VIRTFREQ_BASE", 0);
	int node = node_at(g, "/chosen");
	int serial = node_at(g, fdt_getprop(g->fdt, node, "stdout-path", NULL));
	assert_int_equal(pair(cells(g, serial, "reg", 4)),
			 layout_find(&g->l, "SERIAL_ADDR[0]")->start);
	node = fdt_node_offset_by_compatible(g->fdt, -1, "vmm,debug-exit");
	assert_int_equal(pair(cells(g, node, "reg", 4)),
			 layout_find(&g->l, "plat_mmio_base")->start);
}

static void check_gic(const struct rig *g)
{
	bool v3 = g->l.params.gic_version == 3;
	const char *compatible = v3 ? "arm,gic-v3" : "arm,cortex-a15-gic";

	row_node(g, compatible, "AARCH64_GIC_DIST_BASE", 0);
	row_node(g, compatible, v3 ? "AARCH64_GIC_REDIST_BASE" : "AARCH64_GIC_CPUI_BASE", 1);
	if (g->l.params.gic_its)
		row_node(g, "arm,gic-v3-its", "AARCH64_GIC_ITS_BASE", 0);
	else
		assert_true(fdt_node_offset_by_compatible(g->fdt, -1, "arm,gic-v3-its") < 0);
}

static void check_memory(const struct rig *g)
{
	const struct layout_region *ram = layout_find(&g->l, "AARCH64_PHYS_MEM_START");
	const struct layout_region *pool = layout_find(&g->l, "get_swiotlb_addr");
	bool apart = pool && !pool->parent;
	const fdt32_t *reg = cells(g, node_at(g, "/memory"), "reg", apart ? 8 : 4);

	assert_int_equal(pair(reg), ram->start);
	assert_int_equal(pair(reg + 2), ram->size);
	if (apart)
		assert_int_equal(pair(reg + 4), pool->start);
	if (!pool)
		return;
	int node = row_node(g, "restricted-dma-pool", "get_swiotlb_addr", 0);
	int pci = fdt_node_offset_by_compatible(g->fdt, -1, "pci-host-cam-generic");
	assert_int_equal(fdt32_to_cpu(*cells(g, pci, "memory-region", 1)),
			 fdt_get_phandle(g->fdt, node));
}

static void check_cpus(const struct rig *g)
{
	int cpus = node_at(g, "/cpus"), node, n = 0;

	fdt_for_each_subnode(node, g->fdt, cpus)
	    assert_int_equal(fdt32_to_cpu(*cells(g, node, "reg", 1)), vcpu_affinity((uint32_t)n++));
	assert_int_equal(n, g->l.params.vcpus);
	assert_string_equal(fdt_getprop(g->fdt, node_at(g, "/psci"), "method", NULL), "hvc");
}

static void check_window(const fdt32_t *range, uint32_t space, const struct layout_region *w)
{
	assert_int_equal(fdt32_to_cpu(range[0]), space);
	assert_int_equal(pair(range + 1), w->start);
	assert_int_equal(pair(range + 3), w->start);
	assert_int_equal(pair(range + 5), w->size);
}

static void check_pci(const struct rig *g)
{
	int node = row_node(g, "pci-host-cam-generic", "AARCH64_PCI_CFG_BASE", 0);
	const fdt32_t *range = cells(g, node, "ranges", 14);
	const fdt32_t *buses = cells(g, node, "bus-range", 2);
	const fdt32_t *map = cells(g, node, "interrupt-map", 3 * 10);
	unsigned n = 0;

	check_window(range, 0x02000000, layout_find(&g->l, "AARCH64_MMIO_BASE"));
	check_window(range + 7, 0x03000000, layout_find(&g->l, "high_mmio_base"));
	/* Each bus has 64 KiB of a CAM. */
	assert_int_equal((fdt32_to_cpu(buses[1]) + 1) * 65536,
			 layout_find(&g->l, "AARCH64_PCI_CFG_BASE")->size);
	for (uint32_t i = 0; i < g->m.device_n; i++) {
		const struct machine_device *d = &g->m.device[i];
		if (d->pci == MACHINE_NO_PCI || d->line == MACHINE_NO_LINE)
			continue;
		assert_int_equal(fdt32_to_cpu(map[10 * n]), d->pci << 8);
		assert_int_equal(fdt32_to_cpu(map[10 * n + 8]), d->line);
		n++;
	}
	assert_int_equal(n, 3);
	assert_int_equal(!fdt_getprop(g->fdt, node, "msi-map", NULL), !g->l.params.gic_its);
}

static void check_chosen(const struct rig *g, const struct fdt_facts *facts)
{
	const struct layout_region *initrd = layout_find(&g->l, "initrd_addr");
	int node = node_at(g, "/chosen"), len;
	const char *bootargs = fdt_getprop(g->fdt, node, "bootargs", NULL);

	assert_int_equal(!bootargs, !facts->cmdline);
	if (bootargs)
		assert_string_equal(bootargs, facts->cmdline);
	assert_int_equal(fdt32_to_cpu(*cells(g, node, "linux,pci-probe-only", 1)), 1);
	assert_non_null(fdt_getprop(g->fdt, node, "rng-seed", &len));
	assert_int_equal(len, 56);
	if (!initrd) {
		assert_null(fdt_getprop(g->fdt, node, "linux,initrd-start", NULL));
		return;
	}
	assert_int_equal(pair(cells(g, node, "linux,initrd-start", 2)), initrd->start);
	assert_int_equal(pair(cells(g, node, "linux,initrd-end", 2)),
			 initrd->start + g->l.params.initrd_bytes);
}

/* dtc says something only when something is wrong. */
static void check_with_dtc(const struct rig *g)
{
	char path[] = "/tmp/test_fdt.XXXXXX", command[128], said[512];
	int fd = mkstemp(path);
	size_t n = fdt_totalsize(g->fdt);

	assert_true(fd >= 0 && write(fd, g->fdt, n) == (ssize_t)n);
	close(fd);
	snprintf(command, sizeof command, "dtc -I dtb -O dtb -o /dev/null %s 2>&1", path);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	n = fread(said, 1, sizeof said - 1, f);
	said[n] = '\0';
	int status = pclose(f);
	unlink(path);
	if (status || n)
		fail_msg("%s: dtc: %s", g->l.id, said);
}

static bool have_dtc;

static void check(const char *id, const struct layout_params *p, const struct fdt_facts *facts)
{
	static struct rig g;

	rig_open(&g, id, p, facts);
	check_devices(&g);
	check_gic(&g);
	check_memory(&g);
	check_cpus(&g);
	check_pci(&g);
	check_chosen(&g, facts);
	assert_int_equal(fdt_path_offset(g.fdt, "/pmu") >= 0, facts->pmu);
	if (have_dtc)
		check_with_dtc(&g);
	rig_close(&g);
}

static void every_machine_has_a_tree(void **unused)
{
	static const char *const ids[] = {"aarch64/linux@1", "aarch64/linux@2", "aarch64/bios@1",
					  "aarch64/bios@2"};
	static const uint32_t vcpus[] = {1, 2, 8, 16};
	struct fdt_facts facts = {0};

	for (unsigned i = 0; i < 4 * 4 * 2 * 2 * 2; i += (unsigned)test_stride()) {
		const char *id = ids[i % 4];
		struct layout_params p;
		bool bios = id[8] == 'b';

		layout_params_init(&p, i & 16 ? 6 * GIB : 64 * MIB);
		p.vcpus = vcpus[i / 4 % 4];
		p.gic_version = i & 32 && p.vcpus <= 8 ? 2 : 3;
		p.gic_its = p.gic_version == 3 && id[strlen(id) - 1] == '2' && i & 64;
		p.swiotlb_bytes = i & 32 ? 8 * MIB : 0;
		p.pvm_firmware_bytes = i & 64 ? 4096 : 0;
		p.kernel_bytes = bios ? 0 : 5 * MIB;
		p.initrd_bytes = bios || i & 16 ? 0 : 12345;
		p.firmware_bytes = bios ? MIB : 0;
		facts.cmdline = bios ? NULL : "console=ttyS0 a \"quoted\" word";
		facts.pmu = i & 16;
		check(id, &p, &facts);
	}
}

/* The longest there is room for, and one that is longer. */
static void a_command_line_has_to_fit(void **unused)
{
	struct fdt_facts facts = {.cmdline = calloc(1, 2 * MIB)};
	struct layout_params p;
	struct rig *g = calloc(1, sizeof *g);
	struct gpa at;

	assert_true(g && facts.cmdline);
	layout_params_init(&p, 64 * MIB);
	p.gic_version = 3;
	rig_open(g, "aarch64/linux@2", &p, &facts);
	memset((char *)(uintptr_t)facts.cmdline, 'x', 2 * MIB - 1);
	assert_int_equal(fdt_write(&g->l, &g->m, &facts, &g->mem, &at, &g->e), -ERR_LIMIT);
	rig_close(g);
	free((char *)(uintptr_t)facts.cmdline);
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_machine_has_a_tree),
	    cmocka_unit_test(a_command_line_has_to_fit),
	};

	have_dtc = !system("dtc --version >/dev/null 2>&1");
	if (!have_dtc)
		puts("dtc is not installed: whether it warns was not tried");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed ? failed : have_dtc ? 0 : 77;
}
