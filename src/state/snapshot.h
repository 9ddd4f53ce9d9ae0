/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot says about itself. snapshot/ writes and checks it. */
#ifndef STATE_SNAPSHOT_H
#define STATE_SNAPSHOT_H

#include "state/state.h"

/*      id  type name       n/max since dflt show meaning */
#define SNAPSHOT_IDENTITY_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)            \
	ARRAY(T, 1, u8, uuid, 16, 1, hex, "Of this snapshot; the header has the same (RFC 9562)")  \
	TEXT(T, 2, name, 64, 1, "Name of the virtual machine")                                     \
	FIELD(T, 3, u64, created_ns, 1, 0, ns, "When it was taken, since 1970-01-01 UTC")          \
	TEXT(T, 4, program, 32, 1, "Program that wrote it")                                        \
	TEXT(T, 5, version, 32, 1, "Version of that program")                                      \
	TEXT(T, 6, host, 64, 1, "Host name of the machine it was taken on")

STATE_DECLARE(snapshot_identity, SNAPSHOT_IDENTITY_STATE);

#define SNAPSHOT_RAM_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                 \
	FIELD(T, 1, u64, stream_bytes, 1, 0, size, "Bytes of all backed regions together")         \
	FIELD(T, 2, u32, chunk_bytes, 1, 65536, size,                                              \
	      "Bytes of a chunk, a power of two; the last one of a region may be shorter")         \
	FIELD(T, 3, u8, level, 1, 1, dec, "Level of zstd that it was compressed with")

STATE_DECLARE(snapshot_ram, SNAPSHOT_RAM_STATE);

#define SNAPSHOT_PARENT_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)              \
	ARRAY(T, 1, u8, uuid, 16, 1, hex, "Of the snapshot that has what is missing here")         \
	ARRAY(T, 2, u8, digest, 32, 1, hex, "What its footer ends with: it names that one file")   \
	TEXT(T, 3, file, 255, 1, "Name it had, in the same folder; a hint")

STATE_DECLARE(snapshot_parent, SNAPSHOT_PARENT_STATE);

#endif
