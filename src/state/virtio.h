/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio 1.x over PCI: transport, queues, and one record for each kind of device. */
#ifndef STATE_VIRTIO_H
#define STATE_VIRTIO_H

#include "state/pci.h"

#define VIRTIO_QUEUES_MAX 8
#define VIRTQ_SIZE_MAX	  256

/* Saved only with nothing in flight: what is available from last_avail on was not looked at. */
#define VIRTIO_QUEUE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                 \
	FIELD(T, 1, u16, size, 1, 0, dec, "Entries")                                               \
	FLAG(T, 2, enabled, 1, 0, "Enabled by the driver")                                         \
	FIELD(T, 3, u64, desc, 1, 0, hex, "Guest address of the descriptor table")                 \
	FIELD(T, 4, u64, avail, 1, 0, hex, "Guest address of the available ring")                  \
	FIELD(T, 5, u64, used, 1, 0, hex, "Guest address of the used ring")                        \
	FIELD(T, 6, u16, vector, 1, 0xffff, dec, "MSI-X vector, 65535 for none")                   \
	FIELD(T, 7, u16, last_avail, 1, 0, dec, "Next available index to look at")                 \
	FIELD(T, 8, u16, used_idx, 1, 0, dec, "Used index as last written and signalled")

STATE_DECLARE(virtio_queue_state, VIRTIO_QUEUE_STATE);

#define VIRTIO_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                       \
	FIELD(T, 1, u8, status, 1, 0, hex, "Device status")                                        \
	FIELD(T, 2, u64, features, 1, 0, hex, "Features the driver accepted")                      \
	FIELD(T, 3, u32, device_feature_select, 1, 0, dec, "Word of the offered features shown")   \
	FIELD(T, 4, u32, driver_feature_select, 1, 0, dec, "Word of the accepted features shown")  \
	FIELD(T, 5, u16, queue_select, 1, 0, dec, "Queue whose registers are shown")               \
	FIELD(T, 6, u16, config_vector, 1, 0xffff, dec,                                            \
	      "MSI-X vector of configuration changes, 65535 for none")                             \
	FIELD(T, 7, u8, config_generation, 1, 0, dec, "Counts changes of device configuration")    \
	FIELD(T, 8, u8, isr, 1, 0, hex, "ISR status")                                              \
	FIELD(T, 9, u8, access_bar, 1, 0, dec, "PCI configuration access: BAR")                    \
	FIELD(T, 10, u32, access_offset, 1, 0, hex, "PCI configuration access: offset")            \
	FIELD(T, 11, u32, access_length, 1, 0, dec, "PCI configuration access: bytes")             \
	LIST(T, 12, virtio_queue_state, queue, VIRTIO_QUEUES_MAX, 1, "Virtqueues")

STATE_DECLARE(virtio_state, VIRTIO_STATE);

/* Every kind begins with these two rows: the transport finds them there. */
#define VIRTIO_COMMON(T, RECORD)                                                                   \
	RECORD(T, 1, pci_state, pci, 1, "PCI function")                                            \
	RECORD(T, 2, virtio_state, virtio, 1, "Virtio transport")

#define VIRTIO_BLK_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                   \
	VIRTIO_COMMON(T, RECORD)
#define VIRTIO_NET_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                   \
	VIRTIO_COMMON(T, RECORD)                                                                   \
	FLAG(T, 3, link_up, 1, 1, "The link is up")
#define VIRTIO_RNG_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                   \
	VIRTIO_COMMON(T, RECORD)
#define VIRTIO_CONSOLE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)               \
	VIRTIO_COMMON(T, RECORD)

#define VIRTIO_BALLOON_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)               \
	VIRTIO_COMMON(T, RECORD)                                                                   \
	FIELD(T, 3, u32, target_pages, 1, 0, dec,                                                  \
	      "Pages of 4096 bytes that the guest is asked to give up")                            \
	FIELD(T, 4, u32, actual_pages, 1, 0, dec, "Pages that it says it has given up")            \
	FIELD(T, 5, u32, poison, 1, 0, hex, "What it fills free pages with, if that was accepted") \
	FIELD(T, 6, u32, hint_command, 1, 0, dec,                                                  \
	      "Last command to hint at free pages, which is done; 0 for none yet")

STATE_DECLARE(virtio_blk_state, VIRTIO_BLK_STATE);
STATE_DECLARE(virtio_net_state, VIRTIO_NET_STATE);
STATE_DECLARE(virtio_rng_state, VIRTIO_RNG_STATE);
STATE_DECLARE(virtio_console_state, VIRTIO_CONSOLE_STATE);
STATE_DECLARE(virtio_balloon_state, VIRTIO_BALLOON_STATE);

#endif
