/* SPDX-License-Identifier: Apache-2.0 */
/* PCI by a host bridge with a CAM (host-generic-pci.yaml of Linux), and where virtio devices have
 * their registers (virtio 1.1, 4.1.4). BARs are where the device tree's windows are; nothing moves.
 */
#include "guest.h"

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#define CELL	    4u
#define RANGE_BYTES (7 * CELL)
#define LINE_BYTES  (10 * CELL)
#define MEM32	    2u /* space, in bits 25-24 of an address's first cell */
#define MEM64	    3u

struct pci pci;

static uint64_t at(uint32_t fn, unsigned reg)
{
	return pci.cam.start + (fn << 8 | reg);
}

uint32_t pci_read(uint32_t fn, unsigned reg)
{
	return in32(at(fn, reg));
}

uint16_t pci_read16(uint32_t fn, unsigned reg)
{
	return in16(at(fn, reg));
}

uint8_t pci_read8(uint32_t fn, unsigned reg)
{
	return in8(at(fn, reg));
}

void pci_write16(uint32_t fn, unsigned reg, uint16_t v)
{
	out16(at(fn, reg), v);
}

void pci_init(void)
{
	uint32_t n = 0;

	pci.node = fdt_next_compatible(FDT_NONE, "pci-host-cam-generic");
	CHECK(pci.node != FDT_NONE, "no PCI");
	pci.cam = mmu_reg(pci.node, 0);
	const uint8_t *p = fdt_property(pci.node, "bus-range", 2 * CELL, NULL);
	pci.buses = p ? fdt_u32(p + CELL) + 1 : 1;
	p = fdt_property(pci.node, "ranges", RANGE_BYTES, &n);
	for (uint32_t i = 0; p && i + RANGE_BYTES <= n; i += RANGE_BYTES) {
		struct range window = {fdt_u64(p + i + 3 * CELL), fdt_u64(p + i + 5 * CELL)};
		CHECK(fdt_u64(p + i + CELL) == window.start, "PCI addresses are others");
		uint32_t space = fdt_u32(p + i) >> 24 & 3;
		if (space == MEM32)
			pci.low = window;
		else if (space == MEM64)
			pci.high = window;
	}
	CHECK(pci.low.size && pci.high.size, "PCI has no windows");
}

static bool inside(uint64_t v, const struct range *r)
{
	return v >= r->start && v - r->start < r->size;
}

uint64_t pci_bar(uint32_t fn, unsigned n)
{
	unsigned reg = PCI_BASE_ADDRESS_0 + 4 * n;
	uint32_t low = pci_read(fn, reg);
	uint64_t v = low & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
	bool wide = (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;

	CHECK(!(low & PCI_BASE_ADDRESS_SPACE_IO), "BAR %u of 0x%x: 0x%x", n, fn, low);
	if (wide)
		v |= (uint64_t)pci_read(fn, reg + 4) << 32;
	CHECK(inside(v, wide ? &pci.high : &pci.low), "BAR %u of 0x%x: 0x%lx", n, fn, v);
	mmu_map(v, 1, MMU_DEVICE);
	return v;
}

unsigned pci_capability(uint32_t fn, uint8_t id, unsigned after)
{
	unsigned cap = pci_read8(fn, after ? after + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST);

	while (cap && pci_read8(fn, cap) != id)
		cap = pci_read8(fn, cap + PCI_CAP_LIST_NEXT);
	return cap;
}

uint32_t pci_find(uint32_t ids)
{
	for (uint32_t fn = 0; fn < 256; fn += 8)
		if (pci_read(fn, PCI_VENDOR_ID) == ids)
			return fn;
	failed("no PCI function 0x%x", ids);
}

uint32_t pci_line(uint32_t fn)
{
	uint32_t n = 0;
	const uint8_t *p = fdt_property(pci.node, "interrupt-map", LINE_BYTES, &n);

	for (uint32_t i = 0; p && i + LINE_BYTES <= n; i += LINE_BYTES)
		if (fdt_u32(p + i) == (fn & 0xf8) << 8)
			return fdt_u32(p + i + 8 * CELL) + GIC_SPI;
	failed("function 0x%x has no line", fn);
}

uint64_t pci_msix_table(uint32_t fn, unsigned *entries)
{
	unsigned cap = pci_capability(fn, PCI_CAP_ID_MSIX, 0);

	if (!cap)
		return 0;
	uint32_t table = pci_read(fn, cap + PCI_MSIX_TABLE);
	*entries = (pci_read16(fn, cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1u;
	return pci_bar(fn, table & PCI_MSIX_TABLE_BIR) + (table & ~(uint32_t)PCI_MSIX_TABLE_BIR);
}

void pci_msix_on(uint32_t fn, bool on)
{
	pci_write16(fn, pci_capability(fn, PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS,
		    on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

uint64_t virtio_structure(uint32_t fn, unsigned type, uint32_t *multiplier)
{
	for (unsigned cap = pci_capability(fn, PCI_CAP_ID_VNDR, 0); cap;
	     cap = pci_capability(fn, PCI_CAP_ID_VNDR, cap)) {
		if (pci_read8(fn, cap + VIRTIO_PCI_CAP_CFG_TYPE) != type)
			continue;
		if (multiplier)
			*multiplier = pci_read(fn, cap + VIRTIO_PCI_NOTIFY_CAP_MULT);
		return pci_bar(fn, pci_read8(fn, cap + VIRTIO_PCI_CAP_BAR)) +
		       pci_read(fn, cap + VIRTIO_PCI_CAP_OFFSET);
	}
	return 0;
}
