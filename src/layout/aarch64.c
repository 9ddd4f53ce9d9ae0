/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maps of aarch64 guests. Rows in capitals and those in small letters that end in _addr or
 * _base carry the names of crosvm's published table: version 1 is that table, version 2 what crosvm
 * moved since. The rest is what a machine needs besides.
 *
 * Interrupt lines are SPI numbers but where a note says PPI. Groups of rows that several
 * definitions have are written once; formats/layouts/ holds what each definition comes out as.
 */
#include "layout/def.h"

#define RAM_START 0x80000000
#define HUGE	  0x200000

/* clang-format off */

/* --- devices below 64 KiB -------------------------------------------------------------------- */

#define DEVICES                                                                                    \
	WIRED("SERIAL_ADDR[3]", NULL, REGION_MMIO, 0x2e8, 8, 2, "Serial port MMIO"),               \
	WIRED("SERIAL_ADDR[1]", NULL, REGION_MMIO, 0x2f8, 8, 2, "Serial port MMIO"),               \
	WIRED("SERIAL_ADDR[2]", NULL, REGION_MMIO, 0x3e8, 8, 0, "Serial port MMIO"),               \
	WIRED("SERIAL_ADDR[0]", NULL, REGION_MMIO, 0x3f8, 8, 0, "Serial port MMIO"),               \
	WIRED("AARCH64_RTC_ADDR", NULL, REGION_MMIO, 0x2000, 0x1000, 1, "Real-time clock"),        \
	WIRED("AARCH64_VMWDT_ADDR", NULL, REGION_MMIO, 0x3000, 0x1000, 15,                         \
	      "Watchdog device; the line is a PPI")

#define PCI_NOTE "PCI configuration (CAM); the line is the first of those given to PCI"

/* --- up to the low window -------------------------------------------------------------------- */

#define BELOW_32M                                                                                  \
	AT("AARCH64_VIRTFREQ_BASE", NULL, REGION_MMIO, 0x1040000, 0x10000,                         \
	   "Virtual cpufreq device"),                                                              \
	WIRED("VMGENID_PAGE", NULL, REGION_RESERVED_RAM, 0x1fe0000, 0x1000, 3,                     \
	      "VM generation identifier"),                                                         \
	AT("AARCH64_PVTIME_IPA_START", NULL, REGION_RESERVED_RAM, 0x1ff0000, 0x10000,              \
	   "Paravirtualized time: memory with contents. The table has 1f0_0000 as the start, but " \
	   "its end (200_0000) and size (64 KiB) and crosvm's source agree on this one"),          \
	AT("AARCH64_MMIO_BASE", NULL, REGION_WINDOW, 0x2000000, 0x2000000,                         \
	   "Low MMIO allocation area")

/* --- interrupt controllers -------------------------------------------------------------------- */

#define GIC                                                                                        \
	AT_WHEN(PARAM_GICV2, "AARCH64_GIC_CPUI_BASE", NULL, REGION_MMIO, 0x3ffd0000, 0x20000,      \
		"vGIC: CPU interface of a GICv2"),                                                 \
	AT("AARCH64_GIC_DIST_BASE", NULL, REGION_MMIO, 0x3fff0000, 0x10000, "vGIC: distributor"),  \
	ROW("AARCH64_GIC_REDIST_BASE", NULL, REGION_MMIO,                                          \
	    "vGIC: redistributors of a GICv3, 128 KiB for each vCPU",                              \
	    .start_rule = START_BEFORE, .ref = "AARCH64_GIC_DIST_BASE",                            \
	    .size_rule = SIZE_PER_VCPU, .size = 0x20000, .when = PARAM_GICV3)

#define PVM_FIRMWARE                                                                               \
	AT_WHEN(PARAM_PVM_FIRMWARE, "AARCH64_PROTECTED_VM_FW_START", NULL, REGION_FIRMWARE,        \
		0x7fc00000, 0x400000, "pVM firmware (if running a protected VM): backed, and where the first vCPU starts")

#define RAM                                                                                        \
	ROW("AARCH64_PHYS_MEM_START", NULL, REGION_RAM, "RAM (starts at IPA = 2 GiB)",             \
	    .start = RAM_START, .size_rule = SIZE_RAM)

/* --- in RAM ---------------------------------------------------------------------------------- */

#define KERNEL                                                                                     \
	ROW("AARCH64_KERNEL_OFFSET", "AARCH64_PHYS_MEM_START", REGION_BOOT,                        \
	    "Kernel load location in RAM, as large as its header says (image_size)",               \
	    .start = RAM_START, .size_rule = SIZE_PARAM, .param = PARAM_KERNEL),                   \
	ROW("initrd_addr", "AARCH64_PHYS_MEM_START", REGION_BOOT, "Linux initrd location in RAM",  \
	    .start_rule = START_AFTER, .ref = "AARCH64_KERNEL_OFFSET", .start = RAM_START,         \
	    .size_rule = SIZE_PARAM, .param = PARAM_INITRD, .align = 0x1000000)

/* REF: what may lie at the end of RAM already; NULL for nothing. */
#define FDT_BEFORE(REF)                                                                            \
	ROW("fdt_address", "AARCH64_PHYS_MEM_START", REGION_BOOT,                                  \
	    "Flattened device tree in RAM: the last aligned place",                                \
	    .start_rule = START_BEFORE, .ref = REF, .size = HUGE, .align = HUGE)

#define BIOS                                                                                       \
	AT("AARCH64_FDT_OFFSET_IN_BIOS_MODE", "AARCH64_PHYS_MEM_START", REGION_BOOT, RAM_START,    \
	   HUGE, "Flattened device tree in RAM"),                                                  \
	ROW("AARCH64_BIOS_OFFSET", "AARCH64_PHYS_MEM_START", REGION_BOOT,                          \
	    "Bootloader image in RAM", .start = RAM_START + HUGE, .size_rule = SIZE_PARAM,         \
	    .param = PARAM_FIRMWARE)

/* --- above RAM ------------------------------------------------------------------------------- */

#define SWIOTLB_NOTE                                                                               \
	"Only present for hypervisors requiring static swiotlb alloc: restricted-dma-pool"

#define SWIOTLB_1                                                                                  \
	ROW("get_swiotlb_addr", NULL, REGION_RESERVED_RAM, SWIOTLB_NOTE,                           \
	    .start_rule = START_AFTER, .ref = "AARCH64_PHYS_MEM_START", .size_rule = SIZE_PARAM,   \
	    .param = PARAM_SWIOTLB)

#define SWIOTLB_2                                                                                  \
	ROW("get_swiotlb_addr", "AARCH64_PHYS_MEM_START", REGION_RESERVED_RAM, SWIOTLB_NOTE,       \
	    .start_rule = START_BEFORE, .size_rule = SIZE_PARAM, .param = PARAM_SWIOTLB)

/* REF: what may lie after RAM; BYTES: of the platform region. */
#define HIGH(REF, BYTES)                                                                           \
	ROW("plat_mmio_base", NULL, REGION_MMIO, "Platform device MMIO region",                    \
	    .start_rule = START_AFTER, .ref = REF, .otherwise = "AARCH64_PHYS_MEM_START",          \
	    .size = BYTES, .align = HUGE),                                                         \
	ROW("high_mmio_base", NULL, REGION_WINDOW, "High MMIO allocation area",                    \
	    .start_rule = START_AFTER, .ref = "plat_mmio_base", .size_rule = SIZE_TO_LIMIT)

/* --- the definitions ------------------------------------------------------------------------- */

#define BELOW_RAM_1                                                                                \
	DEVICES,                                                                                   \
	WIRED("AARCH64_PCI_CFG_BASE", NULL, REGION_CAM, 0x10000, 0x10000, 4, PCI_NOTE),            \
	BELOW_32M,                                                                                 \
	GIC,                                                                                       \
	AT("AARCH64_AXI_BASE", NULL, REGION_RESERVED, 0x40000000, 0x1000,                          \
	   "A reserved name with no device behind it, so that nothing else is placed there"),      \
	PVM_FIRMWARE

#define BELOW_RAM_2                                                                                \
	DEVICES,                                                                                   \
	WIRED("AARCH64_PCI_CFG_BASE", NULL, REGION_CAM, 0x10000, 0x1000000, 4, PCI_NOTE),          \
	BELOW_32M,                                                                                 \
	GIC,                                                                                       \
	AT_WHEN(PARAM_ITS, "AARCH64_GIC_ITS_BASE", NULL, REGION_MMIO, 0x40000000, 0x20000,         \
		"vGIC: interrupt translation service of a GICv3 (if enabled)"),                    \
	PVM_FIRMWARE

static const struct layout_row linux_1[] = {
	BELOW_RAM_1, RAM, KERNEL, FDT_BEFORE(NULL), SWIOTLB_1,
	HIGH("get_swiotlb_addr", 0x800000),
};

static const struct layout_row linux_2[] = {
	BELOW_RAM_2, RAM, SWIOTLB_2, KERNEL, FDT_BEFORE("get_swiotlb_addr"), HIGH(NULL, 0x40000000),
};

static const struct layout_row bios_1[] = {
	BELOW_RAM_1, RAM, BIOS, SWIOTLB_1,
	HIGH("get_swiotlb_addr", 0x800000),
};

static const struct layout_row bios_2[] = {
	BELOW_RAM_2, RAM, SWIOTLB_2, BIOS, HIGH(NULL, 0x40000000),
};
/* clang-format on */

#define TAKES (TAKES_SWIOTLB | TAKES_PVM_FIRMWARE | TAKES_GIC)

/* 32 is the fewest that KVM makes a VM with, but RAM begins at 2 GiB; 52 the most there is. */
#define DEF(NAME, ID, MORE, SUMMARY)                                                               \
	const struct layout_def layout_aarch64_##NAME = {                                          \
	    .id = ID,                                                                              \
	    .summary = SUMMARY,                                                                    \
	    .ram_bytes_min = 2 * HUGE,                                                             \
	    .firmware_bytes_max = UINT64_MAX, /* as much as fits in RAM */                         \
	    .vcpus_max = 16,                                                                       \
	    .phys_bits_min = 36,                                                                   \
	    .phys_bits_max = 52,                                                                   \
	    .takes = TAKES | MORE,                                                                 \
	    .row = NAME,                                                                           \
	    .n_rows = ARRAY_LEN(NAME),                                                             \
	}

DEF(linux_1, "aarch64/linux@1", TAKES_KERNEL, "aarch64, direct boot of a Linux kernel");
DEF(linux_2, "aarch64/linux@2", TAKES_KERNEL | TAKES_ITS,
    "aarch64, direct boot: 16 MiB of PCI configuration, ITS, 1 GiB for platform devices");
DEF(bios_1, "aarch64/bios@1", TAKES_FIRMWARE, "aarch64, a bootloader in RAM");
DEF(bios_2, "aarch64/bios@2", TAKES_FIRMWARE | TAKES_ITS,
    "aarch64, a bootloader in RAM: 16 MiB of PCI configuration, ITS, 1 GiB for platform devices");
