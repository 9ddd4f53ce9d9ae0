/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maps of x86-64 guests. Rows in capitals and those ending in _addr or _start carry the names
 * of crosvm's published table: version 1 is that table, version 2 what crosvm moved since. The rest
 * is what a machine needs besides, so that nothing else is ever placed there.
 *
 * Groups of rows that several definitions have are written once; formats/layouts/ holds what each
 * definition comes out as.
 */
#include "layout/def.h"

#define RAM32_END 0xd0000000
#define ABOVE_4G  0x100000000
#define ROM_MOST  0x1000000 /* from what KVM has for itself to 4 GiB */

/* clang-format off */

/* --- RAM below 4 GiB ------------------------------------------------------------------------ */

#define LOW_RAM_1                                                                                  \
	ROW("START_OF_RAM_32BITS", NULL, REGION_RAM,                                               \
	    "RAM below 4 GiB; ends at END_ADDR_BEFORE_32BITS or at the RAM size",                  \
	    .size_rule = SIZE_RAM_BELOW, .size = RAM32_END)

/* What is reserved counts as RAM: it is backed, and part of the size that was asked for. */
#define LOW_RAM_2                                                                                  \
	ROW("START_OF_RAM_32BITS", NULL, REGION_RAM, "RAM below 640 KiB",                          \
	    .size_rule = SIZE_RAM_BELOW, .size = 0xa0000),                                         \
	AT("RESERVED_BELOW_1M", NULL, REGION_RESERVED_RAM, 0xa0000, 0x60000,                       \
	   "Where a PC has video memory and ROMs: backed, and reported reserved"),                 \
	ROW("RAM_ABOVE_1M", NULL, REGION_RAM,                                                      \
	    "RAM from 1 MiB to 4 GiB; ends at END_ADDR_BEFORE_32BITS or at the RAM size",          \
	    .start = 0x100000, .size_rule = SIZE_RAM_BELOW, .size = RAM32_END),                    \
	AT_WHEN(PARAM_PVM_FIRMWARE, "PROTECTED_VM_FW_START", "RAM_ABOVE_1M", REGION_FIRMWARE,      \
		0x7fc00000, 0x400000, "pVM firmware (if present), carved out of RAM")

/* --- what a kernel is booted with ------------------------------------------------------------ */

#define BOOT_CPU                                                                                   \
	AT("boot_gdt_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0x1500, 0x20,                      \
	   "Boot GDT: null, task, code, data (selectors of the Linux boot protocol)"),             \
	AT("boot_idt_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0x1520, 0x8, "Boot IDT, empty")

#define PVH_NOTE                                                                                   \
	"PVH start info, module list and memory map (Xen public/arch-x86/hvm/start_info.h)"

#define BOOT_LINUX                                                                                 \
	AT("ZERO_PAGE_OFFSET", "START_OF_RAM_32BITS", REGION_BOOT, 0x7000, 0x1000,                 \
	   "Linux boot_params structure"),                                                         \
	AT("BOOT_STACK_POINTER", "START_OF_RAM_32BITS", REGION_BOOT, 0x8000, 0,                    \
	   "Boot SP value: a point, the first push lands below it"),                               \
	AT("boot_pml4_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0x9000, 0x1000,                   \
	   "Boot page table, level 4"),                                                            \
	AT("boot_pdpte_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0xa000, 0x1000,                  \
	   "Boot page table, level 3"),                                                            \
	AT("CMDLINE_OFFSET", "START_OF_RAM_32BITS", REGION_BOOT, 0x20000, 0x800,                   \
	   "Linux kernel command line")

/* IN: the row that holds the place. */
#define ACPI_WINDOW(IN)                                                                            \
	AT("ACPI_HI_RSDP_WINDOW_BASE", IN, REGION_RESERVED_RAM, 0xe0000, 0x20000,                  \
	   "ACPI tables; firmware searches the RSDP from here (ACPI 6.4, 5.2.5.1)"),               \
	AT("VMGENID_PAGE", "ACPI_HI_RSDP_WINDOW_BASE", REGION_RESERVED_RAM, 0xff000, 0x1000,       \
	   "VM generation identifier")

#define KERNEL(IN)                                                                                 \
	ROW("KERNEL_START_OFFSET", IN, REGION_BOOT,                                                \
	    "Linux kernel image load address, with the room the kernel decompresses into",         \
	    .start = 0x200000, .size_rule = SIZE_PARAM, .param = PARAM_KERNEL),                    \
	ROW("initrd_start", IN, REGION_BOOT, "Initial RAM disk for Linux kernel (optional)",       \
	    .start_rule = START_AFTER, .ref = "KERNEL_START_OFFSET", .start = 0x200000,            \
	    .size_rule = SIZE_PARAM, .param = PARAM_INITRD, .align = 0x1000)

/* --- firmware -------------------------------------------------------------------------------- */

#define FIRMWARE(IN)                                                                               \
	ROW("BIOS_SHADOW", IN, REGION_FIRMWARE,                                                    \
	    "The image's last 128 KiB (all of it when shorter) a second time, below 1 MiB",        \
	    .start_rule = START_BEFORE, .start = 0x100000, .size_rule = SIZE_PARAM_MOST,           \
	    .param = PARAM_FIRMWARE, .size = 0x20000)

#define ROM                                                                                        \
	ROW("BIOS_START", "RESERVED_MEM_SIZE", REGION_FIRMWARE,                                    \
	    "Firmware image, which ends at 4 GiB: the reset vector is its last 16 bytes",          \
	    .start_rule = START_BEFORE, .size_rule = SIZE_PARAM, .param = PARAM_FIRMWARE,          \
	    .size = 0x1000)

/* --- from 3.25 GiB on ------------------------------------------------------------------------ */

#define ABOVE_RAM32                                                                                \
	AT("END_ADDR_BEFORE_32BITS", NULL, REGION_WINDOW, RAM32_END, 0x24000000,                   \
	   "Low (<4G) MMIO allocation area"),                                                      \
	WIRED("PCIE_CFG_MMIO_START", NULL, REGION_ECAM, 0xf4000000, 0x4000000, 9,                  \
	      "PCIe enhanced config (ECAM), 64 buses; the line is the first of those given to PCI"), \
	AT("RESERVED_MEM_SIZE", NULL, REGION_RESERVED, 0xf8000000, 0x8000000,                      \
	   "LAPIC, IOAPIC, HPET and what KVM needs"),                                              \
	AT("IOAPIC_ADDR", "RESERVED_MEM_SIZE", REGION_MMIO, 0xfec00000, 0x1000,                    \
	   "I/O APIC, in the kernel"),                                                             \
	AT("HPET_ADDR", "RESERVED_MEM_SIZE", REGION_RESERVED, 0xfed00000, 0x1000,                  \
	   "HPET: reserved, not emulated"),                                                        \
	AT("LAPIC_ADDR", "RESERVED_MEM_SIZE", REGION_MMIO, 0xfee00000, 0x1000,                     \
	   "Local APIC, in the kernel; MSI are written here (Intel SDM 3, 11.11)"),                \
	AT("IDENTITY_MAP_ADDR", "RESERVED_MEM_SIZE", REGION_HYPERVISOR, 0xfeffc000, 0x1000,        \
	   "Identity map segment, handed to KVM"),                                                 \
	AT("TSS_ADDR", "RESERVED_MEM_SIZE", REGION_HYPERVISOR, 0xfeffd000, 0x3000,                 \
	   "Boot task state segment, handed to KVM")

#define HIGH                                                                                       \
	ROW("RAM_ABOVE_4G", NULL, REGION_RAM, "RAM (>4G)", .start = ABOVE_4G,                      \
	    .size_rule = SIZE_RAM_REST, .size = RAM32_END),                                        \
	ROW("HIGH_MMIO", NULL, REGION_WINDOW, "High (>4G) MMIO allocation area",                   \
	    .start_rule = START_AFTER, .ref = "RAM_ABOVE_4G", .start = ABOVE_4G,                   \
	    .size_rule = SIZE_TO_LIMIT, .align = 0x200000)

/* --- I/O ports ------------------------------------------------------------------------------- */

#define PORTS                                                                                      \
	AT("PIC_MASTER", NULL, REGION_PIO, 0x20, 2, "8259A, in the kernel"),                       \
	AT("PIT", NULL, REGION_PIO, 0x40, 4, "8254, in the kernel"),                               \
	AT("I8042_DATA", NULL, REGION_PIO, 0x60, 1, "i8042 data"),                                 \
	AT("PIT_SPEAKER", NULL, REGION_PIO, 0x61, 1, "PIT channel 2 gate, in the kernel"),         \
	AT("I8042_COMMAND", NULL, REGION_PIO, 0x64, 1, "i8042 command and status"),                \
	WIRED("CMOS_RTC", NULL, REGION_PIO, 0x70, 2, 8, "MC146818 real-time clock and its RAM"),   \
	AT("PIC_SLAVE", NULL, REGION_PIO, 0xa0, 2, "8259A, in the kernel"),                        \
	AT("DEBUG_EXIT", NULL, REGION_PIO, 0xf4, 4, "isa-debug-exit, when asked for"),             \
	WIRED("SERIAL_ADDR[3]", NULL, REGION_PIO, 0x2e8, 8, 3, "COM4"),                            \
	WIRED("SERIAL_ADDR[1]", NULL, REGION_PIO, 0x2f8, 8, 3, "COM2"),                            \
	WIRED("SERIAL_ADDR[2]", NULL, REGION_PIO, 0x3e8, 8, 4, "COM3"),                            \
	WIRED("SERIAL_ADDR[0]", NULL, REGION_PIO, 0x3f8, 8, 4, "COM1"),                            \
	AT("PIC_ELCR", NULL, REGION_PIO, 0x4d0, 2, "Edge and level control, in the kernel"),       \
	WIRED("ACPI_PM", NULL, REGION_PIO, 0x600, 0x10, 5,                                         \
	      "PM1 event block, PM1 control, PM timer, sleep and reset; the line is the SCI"),     \
	AT("PCI_CFG_PORTS", NULL, REGION_PIO, 0xcf8, 8, "PCI configuration mechanism 1 (CAM)")

/* --- the definitions ------------------------------------------------------------------------- */

static const struct layout_row linux_1[] = {
	LOW_RAM_1,
	BOOT_CPU,
	AT("PVH_START_INFO", "START_OF_RAM_32BITS", REGION_BOOT, 0x6000, 0x1000, PVH_NOTE),
	BOOT_LINUX,
	AT("boot_pde_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0xb000, 0x1000,
	   "Boot page table, level 2: 512 pages of 2 MiB map the first GiB"),
	AT("SETUP_DATA_START", "START_OF_RAM_32BITS", REGION_BOOT, 0x20800, 0xbf800,
	   "Linux kernel setup_data linked list"),
	ACPI_WINDOW("START_OF_RAM_32BITS"),
	KERNEL("START_OF_RAM_32BITS"),
	ABOVE_RAM32,
	HIGH,
	PORTS,
};

static const struct layout_row linux_2[] = {
	LOW_RAM_2,
	BOOT_CPU,
	AT("MULTIBOOT_INFO_OFFSET", "START_OF_RAM_32BITS", REGION_BOOT, 0x6000, 0x1000,
	   "Multiboot information (version 1), for kernels that boot by it"),
	AT("PVH_START_INFO", "MULTIBOOT_INFO_OFFSET", REGION_BOOT, 0x6000, 0x1000, PVH_NOTE),
	BOOT_LINUX,
	AT("boot_pde_addr", "START_OF_RAM_32BITS", REGION_BOOT, 0xb000, 0x4000,
	   "Boot page tables, level 2: 2048 pages of 2 MiB map the first 4 GiB"),
	AT("SETUP_DATA_START", "START_OF_RAM_32BITS", REGION_BOOT, 0x20800, 0x7e000,
	   "Linux kernel setup_data linked list"),
	AT("MPTABLE_START", "START_OF_RAM_32BITS", REGION_BOOT, 0x9e800, 0x1800,
	   "MP table, for kernels that read no ACPI (Intel MultiProcessor Specification 1.4)"),
	ACPI_WINDOW("RESERVED_BELOW_1M"),
	KERNEL("RAM_ABOVE_1M"),
	ABOVE_RAM32,
	HIGH,
	PORTS,
};

static const struct layout_row bios_1[] = {
	LOW_RAM_1,
	FIRMWARE("START_OF_RAM_32BITS"),
	ABOVE_RAM32,
	ROM,
	HIGH,
	PORTS,
};

static const struct layout_row bios_2[] = {
	LOW_RAM_2,
	FIRMWARE("RESERVED_BELOW_1M"),
	ABOVE_RAM32,
	ROM,
	HIGH,
	PORTS,
};
/* clang-format on */

/* 36 is the fewest that any 64-bit processor has, and all of 4 GiB must fit below; no guest gets
 * more than 46 (MAXPHYADDR beyond that wants five levels of page tables). */
#define DEF(NAME, ID, TAKES, SUMMARY)                                                              \
	const struct layout_def layout_x86_64_##NAME = {                                           \
	    .id = ID,                                                                              \
	    .summary = SUMMARY,                                                                    \
	    .ram_bytes_min = 2 * MIB,                                                              \
	    .firmware_bytes_max = ROM_MOST,                                                        \
	    .vcpus_max = 16,                                                                       \
	    .phys_bits_min = 36,                                                                   \
	    .phys_bits_max = 46,                                                                   \
	    .takes = TAKES,                                                                        \
	    .row = NAME,                                                                           \
	    .n_rows = ARRAY_LEN(NAME),                                                             \
	}

DEF(linux_1, "x86_64/linux@1", TAKES_KERNEL, "x86-64, direct boot of a Linux kernel");
DEF(linux_2, "x86_64/linux@2", TAKES_KERNEL | TAKES_PVM_FIRMWARE,
    "x86-64, direct boot: hole below 1 MiB, multiboot, MP table");
DEF(bios_1, "x86_64/bios@1", TAKES_FIRMWARE, "x86-64, firmware from the reset vector");
DEF(bios_2, "x86_64/bios@2", TAKES_FIRMWARE | TAKES_PVM_FIRMWARE,
    "x86-64, firmware from the reset vector: hole below 1 MiB");
