/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's physical memory map, as it is saved. layout/ builds, checks and reads it. */
#ifndef STATE_LAYOUT_H
#define STATE_LAYOUT_H

#include "state/state.h"

#define LAYOUT_NAME_MAX	   40
#define LAYOUT_ID_MAX	   32
#define LAYOUT_REGIONS_MAX 64

enum region_kind {
	REGION_RAM = 1,
	REGION_RESERVED_RAM, /* backed, reported reserved to the guest */
	REGION_FIRMWARE,     /* backed image of firmware */
	REGION_BOOT,	     /* a structure in RAM that the VMM writes before the first instruction */
	REGION_MMIO,	     /* registers of a device */
	REGION_WINDOW,	     /* room from which BARs are given */
	REGION_ECAM,	     /* PCI configuration, 4 KiB a function */
	REGION_CAM,	     /* PCI configuration, 256 bytes a function */
	REGION_HYPERVISOR,   /* pages KVM itself needs */
	REGION_PIO,	     /* I/O ports; an address space of its own */
	REGION_RESERVED,     /* nothing there, and nothing may be placed there */
};

extern const struct state_names region_kind_names;

#define LAYOUT_NO_IRQ 0xffff

/*      id  type name       n/max since dflt show meaning */
#define LAYOUT_REGION_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                \
	TEXT(T, 1, name, LAYOUT_NAME_MAX, 1, "Row of the definition")                              \
	ENUM(T, 2, region_kind_names, kind, 1, 0, "What lies there")                               \
	FIELD(T, 3, u64, start, 1, 0, hex, "First guest physical address, or I/O port")            \
	FIELD(T, 4, u64, size, 1, 0, hex, "Bytes (ports); 0 for a point")                          \
	FIELD(T, 5, u16, parent, 1, 0, dec,                                                        \
	      "Number of the region that it lies in, counted from 1; 0 for none")                  \
	FIELD(T, 6, u16, irq, 1, LAYOUT_NO_IRQ, dec,                                               \
	      "Interrupt line (GSI, SPI or PPI) wired to it, 65535 for none")

STATE_DECLARE(layout_region, LAYOUT_REGION_STATE);

#define LAYOUT_PARAMS_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                \
	FIELD(T, 1, u64, ram_bytes, 1, 0, size, "RAM of the guest, in bytes")                      \
	FIELD(T, 2, u32, vcpus, 1, 1, dec, "Virtual CPUs")                                         \
	FIELD(T, 3, u8, phys_bits, 1, 40, dec, "Guest physical address bits")                      \
	FIELD(T, 4, u64, kernel_bytes, 1, 0, hex,                                                  \
	      "Kernel's footprint from where it is loaded, working room included, in bytes")       \
	FIELD(T, 5, u64, initrd_bytes, 1, 0, hex, "Initial RAM disk, in bytes")                    \
	FIELD(T, 6, u64, swiotlb_bytes, 1, 0, size, "Static swiotlb, in bytes")                    \
	FIELD(T, 7, u64, firmware_bytes, 1, 0, hex, "Firmware image, in bytes")                    \
	FIELD(T, 8, u64, pvm_firmware_bytes, 1, 0, hex,                                            \
	      "Firmware image of a protected VM, in bytes")                                        \
	FIELD(T, 9, u8, gic_version, 1, 0, dec, "Interrupt controller on aarch64: 2 or 3; else 0") \
	FLAG(T, 10, gic_its, 1, 0, "A GICv3 has an interrupt translation service")

STATE_DECLARE(layout_params, LAYOUT_PARAMS_STATE);

#define LAYOUT_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                       \
	TEXT(T, 1, id, LAYOUT_ID_MAX, 1, "Definition and its version, as in x86_64/linux@1")       \
	RECORD(T, 2, layout_params, params, 1, "What the definition was built with")               \
	LIST(T, 3, layout_region, region, LAYOUT_REGIONS_MAX, 1,                                   \
	     "Regions, memory before I/O ports, ascending, each after the one it lies in")

STATE_DECLARE(layout, LAYOUT_STATE);

#endif
