/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot knows about a disk: not its contents but which images hold them, so that a
 * restore can tell whether those are still the ones. formats/disk.md has the rules.
 */
#ifndef STATE_DISK_H
#define STATE_DISK_H

#include "state/state.h"

#define DISK_CHAIN_MAX 64   /* images of a disk: overlays and the raw one under them */
#define DISK_PATH_MAX  1024 /* bytes of an image's path */

enum disk_format { DISK_RAW, DISK_OVERLAY };

extern const struct state_names disk_format_names;

#define DISK_IMAGE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                   \
	TEXT(T, 1, path, DISK_PATH_MAX, 1, "Where it was, absolute")                               \
	ENUM(T, 2, disk_format_names, format, 1, 0, "Raw, or an overlay")                          \
	FIELD(T, 3, u64, file_bytes, 1, 0, size, "Size of the file")                               \
	FIELD(T, 4, u64, mtime_ns, 1, 0, dec,                                                      \
	      "When it was last written, in nanoseconds since 1970; whole seconds if frozen")      \
	ARRAY(T, 5, u8, uuid, 16, 1, hex, "Of an overlay: its name for life; raw: zeros")          \
	ARRAY(T, 6, u8, generation, 16, 1, hex,                                                    \
	      "Of an overlay: another one each time it is opened for writing; raw: zeros")         \
	FLAG(T, 7, frozen, 1, 0, "No write permission: it belongs to snapshots")

STATE_DECLARE(disk_image_state, DISK_IMAGE_STATE);

#define DISK_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                         \
	TEXT(T, 1, id, 32, 1, "The device that it belongs to")                                     \
	FLAG(T, 2, read_only, 1, 0, "The guest could not write to it")                             \
	FIELD(T, 3, u64, bytes, 1, 0, size, "Size that the guest saw")                             \
	LIST(T, 4, disk_image_state, image, DISK_CHAIN_MAX, 1,                                     \
	     "The images that hold its contents at the moment of the snapshot, topmost first")

STATE_DECLARE(disk_state, DISK_STATE);

#endif
