/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest of ring3.S is given by PVH, and gives the processor. */
#ifndef TESTS_GUEST_RING3_H
#define TESTS_GUEST_RING3_H

#include <stdint.h>

/* xen/include/public/arch-x86/hvm/start_info.h */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

/* Of interrupts; and the segment of the task state (Intel SDM 3A, 7.7, 6.14). */
struct gate {
	uint16_t low, selector, flags, mid;
	uint32_t high, zero;
};

struct tss {
	uint32_t reserved0;
	uint64_t rsp0;
	uint8_t rest[102 - 12];
	uint16_t iomap;
} __attribute__((packed));

#endif
