/* SPDX-License-Identifier: Apache-2.0 */
/* The machine description: what is in the machine and where, saved and never derived again. */
#ifndef STATE_MACHINE_H
#define STATE_MACHINE_H

#include "state/state.h"

#define MACHINE_DEVICES_MAX 40
#define MACHINE_NAME_MAX    64
#define MACHINE_NO_PCI	    0xffff
#define MACHINE_NO_LINE	    0xffff
#define MACHINE_BARS	    2

#define MACHINE_DEVICE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)               \
	TEXT(T, 1, id, 32, 1, "Given by the user or by the machine; devices are matched by it")    \
	TEXT(T, 2, type, 24, 1, "Model, as in uart or virtio-blk")                                 \
	FIELD(T, 3, u16, version, 1, 1, dec, "Version of the model")                               \
	TEXT(T, 4, region, 40, 1, "Region of the layout where it answers, empty for PCI")          \
	FIELD(T, 5, u16, line, 1, MACHINE_NO_LINE, dec,                                            \
	      "GSI, SPI, or PPI of a stall detector, 65535 for none")                              \
	FIELD(T, 6, u16, pci, 1, MACHINE_NO_PCI, hex,                                              \
	      "PCI bus (bits 15-8), device (7-3) and function (2-0), 65535 for none")              \
	ARRAY(T, 7, u64, bar, MACHINE_BARS, 1, hex,                                                \
	      "Where the BARs were placed: registers and MSI-X; 0 for none")                       \
	ARRAY(T, 8, u64, bar_bytes, MACHINE_BARS, 1, hex, "Their sizes")                           \
	FIELD(T, 9, u64, features, 1, 0, hex, "Virtio features offered")                           \
	FIELD(T, 10, u16, queues, 1, 0, dec, "Virtqueues")                                         \
	FIELD(T, 11, u16, queue_size, 1, 0, dec, "Most entries a virtqueue may have")              \
	FIELD(T, 12, u64, blocks, 1, 0, dec, "Capacity of a disk, in 512-byte sectors")            \
	ARRAY(T, 13, u8, mac, 6, 1, hex, "Ethernet address of a network device")                   \
	FLAG(T, 14, read_only, 1, 0, "A disk that the guest may not write to")

STATE_DECLARE(machine_device, MACHINE_DEVICE_STATE);

#define MACHINE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                      \
	TEXT(T, 1, cpu, 40, 1, "CPU policy, as in host")                                           \
	FLAG(T, 2, debug_exit, 1, 0, "The isa-debug-exit port is there")                           \
	LIST(T, 3, machine_device, device, MACHINE_DEVICES_MAX, 1,                                 \
	     "Devices, in the order in which they are made, saved and loaded")                     \
	FLAG(T, 4, watchdog_stops, 1, 0,                                                           \
	     "A stall that the watchdog finds ends the machine, not resets it")

STATE_DECLARE(machine, MACHINE_STATE);

#endif
