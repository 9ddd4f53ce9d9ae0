/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of PCI: configuration, and the two windows, by way of the BARs in them. */
#include "rows.h"

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#define VIRTIO	0x1af4
#define NOTHING 0xffffffffu

/* Virtio registers lie in the high window, message interrupts in the low one. The vector is masked:
 * what is in it goes nowhere, and is found again. */
static void function(uint32_t fn, uint32_t ids)
{
	unsigned entries = 0;
	uint64_t common, table, data;

	say("PCI fn=0x%x id=0x%x", fn, ids);
	if ((ids & 0xffff) == VIRTIO) {
		pci_write16(fn, PCI_COMMAND, PCI_COMMAND_MEMORY);
		common = virtio_structure(fn, VIRTIO_PCI_CAP_COMMON_CFG, NULL);
		table = pci_msix_table(fn, &entries);
		CHECK(common && entries, "function 0x%x lacks something", fn);
		data = table + PCI_MSIX_ENTRY_DATA;
		CHECK(!rows_pass || in32(data) == (uint32_t)rows_mark(0, fn), "vector of 0x%x", fn);
		out32(table + PCI_MSIX_ENTRY_VECTOR_CTRL, PCI_MSIX_ENTRY_CTRL_MASKBIT);
		out32(data, (uint32_t)rows_mark(rows_pass, fn));
		CHECK(in32(data) == (uint32_t)rows_mark(rows_pass, fn), "vector of 0x%x", fn);
		say(" line=%u queues=%u vectors=%u low=0x%lx high=0x%lx", pci_line(fn),
		    in16(common + VIRTIO_PCI_COMMON_NUMQ), entries, table, common);
	}
	say("\n");
}

void rows_pci(void)
{
	unsigned n = 0;

	for (uint32_t fn = 0; fn < 256; fn++) {
		uint32_t ids = pci_read(fn, PCI_VENDOR_ID);
		if (ids == NOTHING)
			continue;
		function(fn, ids);
		n++;
	}
	/* Nothing on the last bus. */
	CHECK(pci.buses == 1 || pci_read((pci.buses - 1) << 8, 0) == NOTHING, "the last bus");
	row("AARCH64_PCI_CFG_BASE", pci.cam.start);
	say(" buses=%u functions=%u\n", pci.buses, n);
	row("AARCH64_MMIO_BASE", pci.low.start);
	say(" bytes=%lu\n", pci.low.size);
	row("high_mmio_base", pci.high.start);
	say(" bytes=%lu\n", pci.high.size);
}
