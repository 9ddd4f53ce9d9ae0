/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver for one virtio disk, for test guests: found by PCI configuration, with one request at a
 * time, and no interrupts. Memory that it is given, and that it has, is mapped where it is.
 */
#ifndef TESTS_GUEST_DISK_H
#define TESTS_GUEST_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Of the guest that uses it: make a GiB of physical memory with @at reachable; tell of the end. */
void disk_map(uint64_t at);
void disk_failed(const char *what, uint64_t number) __attribute__((noreturn));

/* In ring 0. Returns the slot that it is in. */
unsigned disk_find(void);
uint64_t disk_registers(void);
void disk_start(uint32_t features); /* @features: the lower half of those wanted */

/* In any ring. @type: VIRTIO_BLK_T_IN or _OUT; @data: a physical address. */
void disk_begin(uint32_t type, uint64_t sector, uint64_t data, uint32_t sectors);
void disk_end(void); /* waits for it */

#endif
