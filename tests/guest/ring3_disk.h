/* SPDX-License-Identifier: Apache-2.0 */
/* What the ring 3 guest and its disk want of each other. */
#ifndef TESTS_GUEST_RING3_DISK_H
#define TESTS_GUEST_RING3_DISK_H

#include "work.h"

/* In ring 0. */
void say(const char *s);
void say_number(const char *name, uint64_t v, unsigned base);
void end(uint32_t code) __attribute__((noreturn));
void map_device(uint64_t at); /* identity, not cached */

/* From ring 3. */
void in_ring0(void (*f)(void));

/* Words of each page that are the processors' when there is a disk; the last 512 bytes are its own.
 */
#define WORDS_BESIDE_DISK 448

/* The next request: reads and writes by turns, of @pages pages from @span on; each
 * read must find what was written last. What came of the one before goes into @w. */
void disk_step(struct guest_work *w, uint64_t *span, uint64_t pages);
void disk_finish(struct guest_work *w);
uint64_t disk_requests(void);

/* Of ring3.c: the physical address of memory of the span. */
uint64_t physical(const void *at);

#endif
