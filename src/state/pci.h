/* SPDX-License-Identifier: Apache-2.0 */
/* PCI: what a guest can change in configuration space, and the host bridge. */
#ifndef STATE_PCI_H
#define STATE_PCI_H

#include "state/state.h"

#define PCI_VECTORS_MAX 16
#define PCI_BARS	2

#define PCI_VECTOR_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                   \
	FIELD(T, 1, u64, address, 1, 0, hex, "Message address")                                    \
	FIELD(T, 2, u32, data, 1, 0, hex, "Message data")                                          \
	FLAG(T, 3, masked, 1, 1, "Vector Control: mask bit")                                       \
	FLAG(T, 4, pending, 1, 0, "Pending bit")

STATE_DECLARE(pci_vector_state, PCI_VECTOR_STATE);

#define PCI_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                          \
	FIELD(T, 1, u16, command, 1, 0, hex, "Command register")                                   \
	ARRAY(T, 2, u64, bar, PCI_BARS, 1, hex,                                                    \
	      "Address bits of the base address registers: registers and MSI-X")                   \
	FIELD(T, 3, u8, line, 1, 0, hex, "Interrupt Line register")                                \
	FIELD(T, 4, u16, msix_control, 1, 0, hex, "MSI-X Message Control: enable, function mask")  \
	LIST(T, 5, pci_vector_state, vector, PCI_VECTORS_MAX, 1,                                   \
	     "MSI-X table with its pending bits")

STATE_DECLARE(pci_state, PCI_STATE);

#define PCI_HOST_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                     \
	RECORD(T, 1, pci_state, pci, 1, "Configuration of the bridge itself")                      \
	FIELD(T, 2, u32, address, 1, 0, hex, "CONFIG_ADDRESS, port 0xcf8")

STATE_DECLARE(pci_host_state, PCI_HOST_STATE);

#endif
