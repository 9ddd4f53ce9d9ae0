/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI bus: IEEE 1275 PCI Bus Binding 2.1, host-generic-pci.yaml, pci-msi.txt of Linux. */
#include "arch/aarch64/fdt_priv.h"

#include "state/machine.h"

#define BUS_BYTES 0x10000 /* of a CAM: 32 devices, 8 functions, 256 bytes each */

/* First cell of an address: the space; bits 15-11 are the device. */
#define SPACE_MEM32  0x02000000u
#define SPACE_MEM64  0x03000000u
#define DEVICE_SHIFT 11
#define INTA	     1

/* Same addresses on both sides. */
static void range(uint32_t *cell, uint32_t space, const struct layout_region *w)
{
	cell[0] = space;
	cell[1] = cell[3] = (uint32_t)(w->start >> 32);
	cell[2] = cell[4] = (uint32_t)w->start;
	cell[5] = (uint32_t)(w->size >> 32);
	cell[6] = (uint32_t)w->size;
}

static void windows(struct fdt *f)
{
	uint32_t cell[14];

	range(cell, SPACE_MEM32, fdt_need_(f, "AARCH64_MMIO_BASE"));
	range(cell + 7, SPACE_MEM64, fdt_need_(f, "high_mmio_base"));
	fdt_cells_(f, "ranges", cell, ARRAY_LEN(cell));
}

/* Every function that has a line has it at INTA. The parent's address has two cells. */
static void lines(struct fdt *f, const struct machine *m)
{
	uint32_t cell[10 * MACHINE_DEVICES_MAX];
	size_t n = 0;

	for (uint32_t i = 0; i < m->device_n; i++) {
		const struct machine_device *md = &m->device[i];
		if (md->pci == MACHINE_NO_PCI || md->line == MACHINE_NO_LINE)
			continue;
		const uint32_t entry[] = {(uint32_t)(md->pci >> 3) << DEVICE_SHIFT,
					  0,
					  0,
					  INTA,
					  FDT_GIC,
					  0,
					  0,
					  FDT_SPI,
					  md->line,
					  FDT_LEVEL_HIGH};
		for (size_t c = 0; c < ARRAY_LEN(entry); c++)
			cell[n++] = entry[c];
	}
	fdt_cell_(f, "#interrupt-cells", 1);
	fdt_cells_(f, "interrupt-map", cell, n);
	fdt_cells_(f, "interrupt-map-mask", (const uint32_t[]){0xf800, 0, 0, 7}, 4);
}

void fdt_pci_(struct fdt *f, const struct machine *m)
{
	const struct layout_region *cam = fdt_need_(f, "AARCH64_PCI_CFG_BASE");
	uint32_t buses = (uint32_t)(cam->size / BUS_BYTES);

	fdt_node_at_(f, "pci", cam->start);
	fdt_text_(f, "compatible", "pci-host-cam-generic");
	fdt_text_(f, "device_type", "pci");
	fdt_reg_(f, &cam, 1);
	fdt_cells_(f, "bus-range", (const uint32_t[]){0, buses ? buses - 1 : 0}, 2);
	fdt_cell_(f, "#address-cells", 3);
	fdt_cell_(f, "#size-cells", 2);
	fdt_flag_(f, "dma-coherent");
	windows(f);
	lines(f, m);
	if (layout_find(f->layout, "AARCH64_GIC_ITS_BASE"))
		fdt_cells_(f, "msi-map", (const uint32_t[]){0, FDT_ITS, 0, 0x10000}, 4);
	if (layout_find(f->layout, "get_swiotlb_addr"))
		fdt_cell_(f, "memory-region", FDT_POOL);
	fdt_end_(f);
}
