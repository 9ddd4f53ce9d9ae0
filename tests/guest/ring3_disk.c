/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that reads and writes memory while processors write to the same pages. */
#include "disk.h"
#include "ring3_disk.h"

#include <linux/virtio_blk.h>

#define SECTORS	     128
#define SECTOR_WORDS 64

static uint64_t requests;
static uint64_t written[SECTORS]; /* number of the request that wrote it last, 0 if none did */
static uint64_t *area;		  /* of the one that is under way; NULL: none is */
static uint64_t sector;
static struct {
	const char *what;
	uint64_t number;
} failure;

static void say_failure(void)
{
	say("DISK FAILED ");
	say_number(failure.what, failure.number, 10);
	say("\n");
	end(1);
}

void disk_failed(const char *what, uint64_t number)
{
	uint16_t cs;

	failure.what = what;
	failure.number = number;
	asm volatile("mov %%cs, %0" : "=r"(cs));
	if (cs & 3)
		in_ring0(say_failure);
	say_failure();
	for (;;)
		;
}

void disk_map(uint64_t at)
{
	map_device(at);
}

/* Word @i of what the request @number writes; a disk that nobody wrote to is zero. */
static uint64_t content(uint64_t number, unsigned i)
{
	return number ? (number * SECTOR_WORDS + i) * 0x9e3779b97f4a7c15ull : 0;
}

static int is_write(uint64_t request)
{
	return request & 1;
}

void disk_finish(struct guest_work *w)
{
	if (!area)
		return;
	disk_end();
	for (unsigned i = 0; i < SECTOR_WORDS; i++) {
		if (area[i] != content(written[sector], i))
			disk_failed("sector", sector);
		w->checksum = w->checksum * 31 + area[i];
	}
	area = 0;
}

void disk_step(struct guest_work *w, uint64_t *span, uint64_t pages)
{
	disk_finish(w);
	uint64_t random = ++requests ^ GUEST_MAGIC;
	random = guest_random(&random);
	area = span + (random >> 16) % pages * 512 + WORDS_BESIDE_DISK;
	sector = random % SECTORS;
	if (is_write(requests))
		written[sector] = requests;
	for (unsigned i = 0; i < SECTOR_WORDS; i++)
		area[i] = is_write(requests) ? content(requests, i) : ~0ull;
	disk_begin(is_write(requests) ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, sector, physical(area),
		   1);
}

uint64_t disk_requests(void)
{
	return requests;
}
