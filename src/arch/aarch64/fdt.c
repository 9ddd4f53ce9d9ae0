/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flattened device tree, from layout and machine. Bindings: Documentation/devicetree/bindings/
 * of Linux; Devicetree Specification 0.4 for the standard properties.
 */
#include "arch/aarch64/boot.h"
#include "arch/aarch64/fdt_priv.h"
#include "state/stall.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define UART_CLOCK_HZ 1843200
#define RTC_CLOCK_HZ  24000000
#define SEED_BYTES    64

/* Timer PPIs that KVM drives: secure, non-secure, virtual, hypervisor (arm,arch_timer.yaml). */
static const uint32_t timer_ppi[] = {13, 14, 11, 10};

/* libfdt keeps the first error, so a whole tree is written and checked once. */
void fdt_node_(struct fdt *f, const char *name)
{
	if (!f->error)
		f->error = fdt_begin_node(f->blob, name);
}

void fdt_node_at_(struct fdt *f, const char *name, uint64_t address)
{
	char full[64];

	snprintf(full, sizeof full, "%s@%llx", name, (unsigned long long)address);
	fdt_node_(f, full);
}

void fdt_end_(struct fdt *f)
{
	if (!f->error)
		f->error = fdt_end_node(f->blob);
}

void fdt_bytes_(struct fdt *f, const char *name, const void *data, size_t n)
{
	if (!f->error)
		f->error = fdt_property(f->blob, name, data, (int)n);
}

void fdt_flag_(struct fdt *f, const char *name)
{
	fdt_bytes_(f, name, NULL, 0);
}

void fdt_text_(struct fdt *f, const char *name, const char *text)
{
	fdt_bytes_(f, name, text, strlen(text) + 1);
}

void fdt_cells_(struct fdt *f, const char *name, const uint32_t *cell, size_t n)
{
	fdt32_t raw[FDT_CELLS_MAX];

	if (n > FDT_CELLS_MAX) {
		f->error = -FDT_ERR_NOSPACE;
		return;
	}
	for (size_t i = 0; i < n; i++)
		raw[i] = cpu_to_fdt32(cell[i]);
	fdt_bytes_(f, name, raw, n * sizeof raw[0]);
}

void fdt_reg_(struct fdt *f, const struct layout_region *const *region, size_t n)
{
	uint32_t cell[16];

	for (size_t i = 0; i < n; i++) {
		cell[4 * i] = (uint32_t)(region[i]->start >> 32);
		cell[4 * i + 1] = (uint32_t)region[i]->start;
		cell[4 * i + 2] = (uint32_t)(region[i]->size >> 32);
		cell[4 * i + 3] = (uint32_t)region[i]->size;
	}
	fdt_cells_(f, "reg", cell, 4 * n);
}

const struct layout_region *fdt_need_(struct fdt *f, const char *row)
{
	const struct layout_region *r = layout_find(f->layout, row);
	static const struct layout_region none;

	if (!r && !f->missing)
		f->missing = row;
	return r ? r : &none;
}

/* --- processors, timers, interrupt controller ------------------------------------------------ */

static void cpus(struct fdt *f)
{
	fdt_node_(f, "cpus");
	fdt_cell_(f, "#address-cells", 1);
	fdt_cell_(f, "#size-cells", 0);
	for (uint32_t i = 0; i < f->layout->params.vcpus; i++) {
		fdt_node_at_(f, "cpu", vcpu_affinity(i));
		fdt_text_(f, "device_type", "cpu");
		fdt_text_(f, "compatible", "arm,armv8");
		fdt_text_(f, "enable-method", "psci");
		fdt_cell_(f, "reg", (uint32_t)vcpu_affinity(i));
		fdt_end_(f);
	}
	fdt_end_(f);

	fdt_node_(f, "psci");
	fdt_strings_(f, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	fdt_text_(f, "method", "hvc");
	fdt_end_(f);
}

/* Third cell of a PPI: on a GICv2 it also names the vCPUs. */
static uint32_t ppi_flags(const struct fdt *f, uint32_t trigger)
{
	uint32_t all = (1u << f->layout->params.vcpus) - 1;

	return f->layout->params.gic_version == 2 ? all << 8 | trigger : trigger;
}

static void timers(struct fdt *f, bool pmu)
{
	uint32_t cell[3 * ARRAY_LEN(timer_ppi)];

	for (size_t i = 0; i < ARRAY_LEN(timer_ppi); i++) {
		cell[3 * i] = FDT_PPI;
		cell[3 * i + 1] = timer_ppi[i];
		cell[3 * i + 2] = ppi_flags(f, FDT_LEVEL_LOW);
	}
	fdt_node_(f, "timer");
	fdt_text_(f, "compatible", "arm,armv8-timer");
	fdt_cells_(f, "interrupts", cell, ARRAY_LEN(cell));
	fdt_flag_(f, "always-on");
	fdt_end_(f);
	if (!pmu)
		return;
	const uint32_t irq[] = {FDT_PPI, PMU_PPI, ppi_flags(f, FDT_LEVEL_HIGH)};
	fdt_node_(f, "pmu");
	fdt_text_(f, "compatible", "arm,armv8-pmuv3");
	fdt_cells_(f, "interrupts", irq, ARRAY_LEN(irq));
	fdt_end_(f);
}

static void gic(struct fdt *f)
{
	bool v3 = f->layout->params.gic_version == 3;
	const struct layout_region *region[] = {
	    fdt_need_(f, "AARCH64_GIC_DIST_BASE"),
	    fdt_need_(f, v3 ? "AARCH64_GIC_REDIST_BASE" : "AARCH64_GIC_CPUI_BASE"),
	};
	const struct layout_region *its = layout_find(f->layout, "AARCH64_GIC_ITS_BASE");

	fdt_node_at_(f, "interrupt-controller", region[0]->start);
	fdt_text_(f, "compatible", v3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
	fdt_flag_(f, "interrupt-controller");
	fdt_cell_(f, "#interrupt-cells", 3);
	fdt_reg_(f, region, ARRAY_LEN(region));
	fdt_cell_(f, "phandle", FDT_GIC);
	fdt_cell_(f, "#address-cells", 2);
	fdt_cell_(f, "#size-cells", 2);
	fdt_flag_(f, "ranges");
	if (its) {
		fdt_node_at_(f, "msi-controller", its->start);
		fdt_text_(f, "compatible", "arm,gic-v3-its");
		fdt_flag_(f, "msi-controller");
		fdt_cell_(f, "#msi-cells", 1);
		fdt_reg_(f, &its, 1);
		fdt_cell_(f, "phandle", FDT_ITS);
		fdt_end_(f);
	}
	fdt_end_(f);
}

/* --- devices at their rows ------------------------------------------------------------------- */

static void spi(struct fdt *f, uint32_t line, uint32_t trigger)
{
	fdt_cells_(f, "interrupts", (const uint32_t[]){FDT_SPI, line, trigger}, 3);
}

static void uart(struct fdt *f, const struct machine_device *md, const struct layout_region *r)
{
	fdt_node_at_(f, "serial", r->start);
	fdt_text_(f, "compatible", "ns16550a");
	fdt_reg_(f, &r, 1);
	fdt_cell_(f, "clock-frequency", UART_CLOCK_HZ);
	spi(f, md->line, FDT_LEVEL_HIGH);
	fdt_end_(f);
}

static void rtc(struct fdt *f, const struct machine_device *md, const struct layout_region *r)
{
	fdt_node_at_(f, "rtc", r->start);
	fdt_strings_(f, "compatible", "arm,pl031\0arm,primecell");
	fdt_reg_(f, &r, 1);
	spi(f, md->line, FDT_LEVEL_HIGH);
	fdt_cell_(f, "clocks", FDT_CLOCK);
	fdt_text_(f, "clock-names", "apb_pclk");
	fdt_end_(f);

	fdt_node_(f, "apb-pclk");
	fdt_text_(f, "compatible", "fixed-clock");
	fdt_cell_(f, "#clock-cells", 0);
	fdt_cell_(f, "clock-frequency", RTC_CLOCK_HZ);
	fdt_text_(f, "clock-output-names", "clk24mhz");
	fdt_cell_(f, "phandle", FDT_CLOCK);
	fdt_end_(f);
}

static void stall_detector(struct fdt *f, const struct machine_device *md,
			   const struct layout_region *r)
{
	fdt_node_at_(f, "watchdog", r->start);
	fdt_text_(f, "compatible", "qemu,vcpu-stall-detector");
	fdt_reg_(f, &r, 1);
	fdt_cell_(f, "clock-frequency", STALL_CLOCK_HZ);
	fdt_cell_(f, "timeout-sec", STALL_SECONDS);
	fdt_cells_(f, "interrupts",
		   (const uint32_t[]){FDT_PPI, md->line, ppi_flags(f, FDT_LEVEL_HIGH)}, 3);
	fdt_end_(f);
}

/* Which vCPU belongs to which performance domain its registers tell, not the tree. */
static void cpufreq(struct fdt *f, const struct machine_device *md, const struct layout_region *r)
{
	fdt_node_at_(f, "cpufreq", r->start);
	fdt_text_(f, "compatible", "qemu,virtual-cpufreq");
	fdt_reg_(f, &r, 1);
	fdt_end_(f);
}

/* At the start of the room for platform devices; a write of 32 bits ends the machine. */
static void debug_exit(struct fdt *f, const struct machine_device *md,
		       const struct layout_region *r)
{
	const struct layout_region cell = {.start = r->start, .size = sizeof(uint32_t)};

	fdt_node_at_(f, "debug-exit", r->start);
	fdt_text_(f, "compatible", "vmm,debug-exit");
	fdt_reg_(f, &(const struct layout_region *){&cell}, 1);
	fdt_end_(f);
}

static void devices(struct fdt *f, const struct machine *m)
{
	static const struct {
		const char *type;
		void (*write)(struct fdt *f, const struct machine_device *md,
			      const struct layout_region *r);
	} writers[] = {
	    {"uart", uart},
	    {"pl031", rtc},
	    {"stall-detector", stall_detector},
	    {"cpufreq", cpufreq},
	    {"debug-exit", debug_exit},
	};

	for (uint32_t i = 0; i < m->device_n; i++)
		for (size_t w = 0; w < ARRAY_LEN(writers); w++)
			if (!strcmp(m->device[i].type, writers[w].type))
				writers[w].write(f, &m->device[i],
						 fdt_need_(f, m->device[i].region));
}

/* --- memory ---------------------------------------------------------------------------------- */

/* A pool after RAM is memory too: the kernel maps it before it gives it away. */
static void memory(struct fdt *f)
{
	const struct layout_region *ram = fdt_need_(f, "AARCH64_PHYS_MEM_START");
	const struct layout_region *pool = layout_find(f->layout, "get_swiotlb_addr");
	const struct layout_region *region[] = {ram, pool};

	fdt_node_at_(f, "memory", ram->start);
	fdt_text_(f, "device_type", "memory");
	fdt_reg_(f, region, pool && !pool->parent ? 2 : 1);
	fdt_end_(f);
	if (!pool)
		return;
	fdt_node_(f, "reserved-memory");
	fdt_cell_(f, "#address-cells", 2);
	fdt_cell_(f, "#size-cells", 2);
	fdt_flag_(f, "ranges");
	fdt_node_at_(f, "restricted_dma_reserved", pool->start);
	fdt_text_(f, "compatible", "restricted-dma-pool");
	fdt_reg_(f, &pool, 1);
	fdt_cell_(f, "phandle", FDT_POOL);
	fdt_end_(f);
	fdt_end_(f);
}

static void vmgenid(struct fdt *f)
{
	const struct layout_region *r = fdt_need_(f, "VMGENID_PAGE");

	fdt_node_at_(f, "rng", r->start);
	fdt_text_(f, "compatible", "microsoft,vmgenid");
	fdt_reg_(f, &r, 1);
	spi(f, r->irq, FDT_EDGE_RISING);
	fdt_end_(f);
}

/* --- what a kernel is told ------------------------------------------------------------------- */

static void u64(struct fdt *f, const char *name, uint64_t v)
{
	fdt_cells_(f, name, (const uint32_t[]){(uint32_t)(v >> 32), (uint32_t)v}, 2);
}

static void chosen(struct fdt *f, const struct fdt_facts *facts)
{
	const struct layout_region *initrd = layout_find(f->layout, "initrd_addr");
	const struct layout_region *serial = fdt_need_(f, "SERIAL_ADDR[0]");
	uint8_t seed[SEED_BYTES];
	char path[32];

	snprintf(path, sizeof path, "/serial@%llx", (unsigned long long)serial->start);
	fdt_node_(f, "chosen");
	fdt_text_(f, "stdout-path", path);
	/* BARs stay where the machine description has them. */
	fdt_cell_(f, "linux,pci-probe-only", 1);
	if (facts->cmdline)
		fdt_text_(f, "bootargs", facts->cmdline);
	if (initrd) {
		u64(f, "linux,initrd-start", initrd->start);
		u64(f, "linux,initrd-end", initrd->start + f->layout->params.initrd_bytes);
	}
	if (getrandom(seed, sizeof seed, 0) == sizeof seed) {
		fdt_bytes_(f, "kaslr-seed", seed, sizeof(uint64_t));
		fdt_bytes_(f, "rng-seed", seed + sizeof(uint64_t), sizeof seed - sizeof(uint64_t));
	}
	fdt_end_(f);
}

static void tree(struct fdt *f, const struct machine *m, const struct fdt_facts *facts)
{
	f->error = fdt_finish_reservemap(f->blob);
	fdt_node_(f, "");
	fdt_text_(f, "compatible", "linux,dummy-virt");
	fdt_text_(f, "model", "linux,dummy-virt");
	fdt_cell_(f, "#address-cells", 2);
	fdt_cell_(f, "#size-cells", 2);
	fdt_cell_(f, "interrupt-parent", FDT_GIC);
	chosen(f, facts);
	memory(f);
	cpus(f);
	timers(f, facts->pmu);
	gic(f);
	devices(f, m);
	vmgenid(f);
	fdt_pci_(f, m);
	fdt_end_(f);
	if (!f->error)
		f->error = fdt_finish(f->blob);
}

int fdt_write(const struct layout *l, const struct machine *m, const struct fdt_facts *facts,
	      struct guest_mem *mem, struct gpa *at, struct err *e)
{
	const struct layout_region *row = layout_find(l, "fdt_address");
	struct fdt f = {.layout = l};

	if (!row)
		row = layout_find(l, "AARCH64_FDT_OFFSET_IN_BIOS_MODE");
	f.blob = row ? mem_rw(mem, gpa(row->start), row->size) : NULL;
	if (!f.blob)
		return err_set(e, ERR_STRUCTURE, "%s has no place for a device tree", l->id);
	f.error = fdt_create(f.blob, (int)row->size);
	if (!f.error)
		tree(&f, m, facts);
	if (f.missing)
		return err_set(e, ERR_STRUCTURE, "%s has no %s", l->id, f.missing);
	if (f.error)
		return err_set(e, ERR_LIMIT, "cannot write the device tree: %s",
			       fdt_strerror(f.error));
	*at = gpa(row->start);
	return 0;
}
