/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware that starts at the reset vector: the image ends at 4 GiB, and its last part is there a
 * second time below 1 MiB, where a processor in real mode reaches it.
 *
 * Prefix: firmware_. Pure but for guest memory; any thread.
 */
#ifndef ARCH_X86_64_FIRMWARE_H
#define ARCH_X86_64_FIRMWARE_H

#include "layout/mem.h"

/** firmware_check() - may this be firmware? @file is hostile; nothing is read of it. Returns 0 or
 * -ERR_LIMIT. */
int firmware_check(const struct io_src *file, struct err *e) MUST_CHECK;

/**
 * firmware_load() - put @file into the rows BIOS_START and BIOS_SHADOW
 * @l: built with the file's size
 *
 * Returns 0, -ERR_STRUCTURE (the layout was built for something else), -ERR_TRUNCATED, -ERR_IO.
 */
int firmware_load(const struct io_src *file, const struct layout *l, struct guest_mem *m,
		  struct err *e) MUST_CHECK;

#endif
