/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86_64/linux@1: the map of a guest that boots a Linux kernel directly. The rows in capitals and
 * those ending in _addr or _start carry the names of the published table that version 1 follows;
 * the rest is what a machine needs besides, so that nothing else is ever placed there.
 */
#include "layout/def.h"

#define RAM32_END 0xd0000000

/* clang-format off */
#define AT(NAME, IN, KIND, START, SIZE, NOTE)                                                      \
	{.name = NAME, .in = IN, .kind = KIND, .start_rule = START_AT, .start = START,             \
	 .size_rule = SIZE_BYTES, .size = SIZE, .align = 1, .irq = LAYOUT_NO_IRQ, .note = NOTE}
#define WIRED(NAME, IN, KIND, START, SIZE, IRQ, NOTE)                                              \
	{.name = NAME, .in = IN, .kind = KIND, .start_rule = START_AT, .start = START,             \
	 .size_rule = SIZE_BYTES, .size = SIZE, .align = 1, .irq = IRQ, .note = NOTE}

static const struct layout_row rows[] = {
	{.name = "START_OF_RAM_32BITS", .kind = REGION_RAM, .start_rule = START_AT, .start = 0,
	 .size_rule = SIZE_RAM_BELOW, .size = RAM32_END, .align = 1, .irq = LAYOUT_NO_IRQ,
	 .note = "RAM below 4 GiB; ends at END_ADDR_BEFORE_32BITS or at the RAM size"},
	AT("boot_gdt_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0x1500, 0x20,
	   "Boot GDT: null, task, code, data (selectors of the Linux boot protocol)"),
	AT("boot_idt_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0x1520, 0x8, "Boot IDT, empty"),
	AT("PVH_START_INFO", "START_OF_RAM_32BITS", REGION_BOOT, 0x6000, 0x1000,
	   "PVH start info, module list and memory map (Xen public/arch-x86/hvm/start_info.h)"),
	AT("ZERO_PAGE_OFFSET", "START_OF_RAM_32BITS", REGION_BOOT, 0x7000, 0x1000,
	   "Linux boot_params structure"),
	AT("BOOT_STACK_POINTER", "START_OF_RAM_32BITS", REGION_BOOT, 0x8000, 0,
	   "Boot SP value: a point, the first push lands below it"),
	AT("boot_pml4_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0x9000, 0x1000,
	   "Boot page table, level 4"),
	AT("boot_pdpte_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0xa000, 0x1000,
	   "Boot page table, level 3"),
	AT("boot_pde_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0xb000, 0x1000,
	   "Boot page table, level 2: 512 pages of 2 MiB map the first GiB"),
	AT("CMDLINE_OFFSET", "START_OF_RAM_32BITS", REGION_BOOT, 0x20000, 0x800,
	   "Linux kernel command line"),
	AT("SETUP_DATA_START", "START_OF_RAM_32BITS", REGION_BOOT, 0x20800, 0xbf800,
	   "Linux kernel setup_data linked list"),
	AT("ACPI_HI_RSDP_WINDOW_BASE", "START_OF_RAM_32BITS", REGION_RESERVED_RAM, 0xe0000, 0x20000,
	   "ACPI tables; firmware searches the RSDP from here (ACPI 6.4, 5.2.5.1)"),
	AT("VMGENID_PAGE", "ACPI_HI_RSDP_WINDOW_BASE", REGION_RESERVED_RAM, 0xff000, 0x1000,
	   "VM generation identifier"),
	{.name = "KERNEL_START_OFFSET", .in = "START_OF_RAM_32BITS", .kind = REGION_BOOT,
	 .start_rule = START_AT, .start = 0x200000, .size_rule = SIZE_PARAM, .param = PARAM_KERNEL,
	 .align = 1, .irq = LAYOUT_NO_IRQ,
	 .note = "Linux kernel image load address, with the room the kernel decompresses into"},
	{.name = "initrd_start", .in = "START_OF_RAM_32BITS", .kind = REGION_BOOT,
	 .start_rule = START_AFTER, .ref = "KERNEL_START_OFFSET", .size_rule = SIZE_PARAM,
	 .param = PARAM_INITRD, .align = 0x1000, .irq = LAYOUT_NO_IRQ,
	 .note = "Initial RAM disk for Linux kernel (optional)"},
	AT("END_ADDR_BEFORE_32BITS", NULL, REGION_WINDOW, RAM32_END, 0x24000000,
	   "Low (<4G) MMIO allocation area"),
	WIRED("PCIE_CFG_MMIO_START", NULL, REGION_ECAM, 0xf4000000, 0x4000000, 9,
	      "PCIe enhanced config (ECAM), 64 buses; the line is the first of those given to PCI"),
	AT("RESERVED_MEM_SIZE", NULL, REGION_RESERVED, 0xf8000000, 0x8000000,
	   "LAPIC, IOAPIC, HPET and what KVM needs"),
	AT("IOAPIC_ADDR", "RESERVED_MEM_SIZE", REGION_MMIO, 0xfec00000, 0x1000,
	   "I/O APIC, in the kernel"),
	AT("HPET_ADDR", "RESERVED_MEM_SIZE", REGION_RESERVED, 0xfed00000, 0x1000,
	   "HPET: reserved, not emulated"),
	AT("LAPIC_ADDR", "RESERVED_MEM_SIZE", REGION_MMIO, 0xfee00000, 0x1000,
	   "Local APIC, in the kernel; MSI are written here (Intel SDM 3, 11.11)"),
	AT("IDENTITY_MAP_ADDR", "RESERVED_MEM_SIZE", REGION_HYPERVISOR, 0xfeffc000, 0x1000,
	   "Identity map segment, handed to KVM"),
	AT("TSS_ADDR", "RESERVED_MEM_SIZE", REGION_HYPERVISOR, 0xfeffd000, 0x3000,
	   "Boot task state segment, handed to KVM"),
	{.name = "RAM_ABOVE_4G", .kind = REGION_RAM, .start_rule = START_AT, .start = 0x100000000,
	 .size_rule = SIZE_RAM_REST, .size = RAM32_END, .align = 1, .irq = LAYOUT_NO_IRQ,
	 .note = "RAM (>4G)"},
	{.name = "HIGH_MMIO", .kind = REGION_WINDOW, .start_rule = START_AFTER,
	 .ref = "RAM_ABOVE_4G", .start = 0x100000000, .size_rule = SIZE_TO_LIMIT, .align = 0x200000,
	 .irq = LAYOUT_NO_IRQ, .note = "High (>4G) MMIO allocation area"},

	AT("PIC_MASTER", NULL, REGION_PIO, 0x20, 2, "8259A, in the kernel"),
	AT("PIT", NULL, REGION_PIO, 0x40, 4, "8254, in the kernel"),
	AT("I8042_DATA", NULL, REGION_PIO, 0x60, 1, "i8042 data"),
	AT("PIT_SPEAKER", NULL, REGION_PIO, 0x61, 1, "PIT channel 2 gate, in the kernel"),
	AT("I8042_COMMAND", NULL, REGION_PIO, 0x64, 1, "i8042 command and status"),
	WIRED("CMOS_RTC", NULL, REGION_PIO, 0x70, 2, 8, "MC146818 real-time clock and its RAM"),
	AT("PIC_SLAVE", NULL, REGION_PIO, 0xa0, 2, "8259A, in the kernel"),
	AT("DEBUG_EXIT", NULL, REGION_PIO, 0xf4, 4, "isa-debug-exit, when asked for"),
	WIRED("SERIAL_ADDR[3]", NULL, REGION_PIO, 0x2e8, 8, 3, "COM4"),
	WIRED("SERIAL_ADDR[1]", NULL, REGION_PIO, 0x2f8, 8, 3, "COM2"),
	WIRED("SERIAL_ADDR[2]", NULL, REGION_PIO, 0x3e8, 8, 4, "COM3"),
	WIRED("SERIAL_ADDR[0]", NULL, REGION_PIO, 0x3f8, 8, 4, "COM1"),
	AT("PIC_ELCR", NULL, REGION_PIO, 0x4d0, 2, "Edge and level control, in the kernel"),
	WIRED("ACPI_PM", NULL, REGION_PIO, 0x600, 0x10, 5,
	      "PM1 event block, PM1 control, PM timer, sleep and reset; the line is the SCI"),
	AT("PCI_CFG_PORTS", NULL, REGION_PIO, 0xcf8, 8, "PCI configuration mechanism 1 (CAM)"),
};
/* clang-format on */

const struct layout_def layout_x86_64_linux_1 = {
	.id = "x86_64/linux@1",
	.summary = "x86-64, direct boot of a Linux kernel",
	.ram_bytes_min = 2 * MIB,
	.vcpus_max = 16,
	.phys_bits_max = 46,
	.row = rows,
	.n_rows = ARRAY_LEN(rows),
};
