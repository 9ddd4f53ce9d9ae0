/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine starts from: needed again when the guest starts again. */
#ifndef STATE_BOOT_H
#define STATE_BOOT_H

#include "state/disk.h"

enum boot_role { BOOT_KERNEL, BOOT_INITRD, BOOT_FIRMWARE, BOOT_PVM_FIRMWARE, BOOT_ROLES };

extern const struct state_names boot_role_names;

#define BOOT_CMDLINE_MAX 16384

#define BOOT_FILE_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                    \
	ENUM(T, 1, boot_role_names, role, 1, 0, "What it is for")                                  \
	TEXT(T, 2, path, DISK_PATH_MAX, 1, "Where it was, absolute")                               \
	FIELD(T, 3, u64, bytes, 1, 0, size, "Its size")                                            \
	ARRAY(T, 4, u8, sha256, 32, 1, hex, "Digest of all of it")

STATE_DECLARE(boot_file, BOOT_FILE_STATE);

#define BOOT_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)                         \
	LIST(T, 1, boot_file, file, BOOT_ROLES, 1, "Files, in the order of their roles")           \
	BYTES(T, 2, cmdline, BOOT_CMDLINE_MAX, 1, "Command line of the kernel")

STATE_DECLARE(boot, BOOT_STATE);

#endif
