/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes a disk through the pool that the device is confined to:
 *
 *   sectors=N read from the start, and written after those (64)
 *   msix, intx wait for interrupts instead of looking
 *   hold      in the middle, until a character arrives at the second serial port
 */
#include "guest.h"

static uint8_t data[DISK_BATCH * DISK_SECTOR];
static uint8_t memory[16384] __attribute__((aligned(4096)));

static uint64_t pattern(uint64_t sector, unsigned word)
{
	return sector * 0x9e3779b97f4a7c15ull + word;
}

/* Sum of all sectors, as of the whole. */
static uint64_t read_all(uint64_t first, uint64_t n)
{
	uint64_t sum = 0;

	for (uint64_t s = first; s < first + n; s += DISK_BATCH) {
		disk_read(s, data, DISK_BATCH);
		for (unsigned i = 0; i < sizeof data / 8; i++)
			sum = sum * 31 + ((uint64_t *)data)[i];
	}
	return sum;
}

static void write_all(uint64_t first, uint64_t n)
{
	for (uint64_t s = first; s < first + n; s += DISK_BATCH) {
		for (unsigned i = 0; i < sizeof data / 8; i++)
			((uint64_t *)data)[i] =
			    pattern(s + i / (DISK_SECTOR / 8), i % (DISK_SECTOR / 8));
		disk_write(s, data, DISK_BATCH);
	}
}

void bounce(void)
{
	uint64_t n = word_number("sectors", 64) / DISK_BATCH * DISK_BATCH;
	struct range arena = {(uint64_t)memory, sizeof memory};
	bool through_pool = pool_find(&arena);

	disk_start(&arena, through_pool,
		   has_word("msix")   ? DISK_MSIX
		   : has_word("intx") ? DISK_INTX
				      : DISK_POLL);
	say("BOUNCE pool=0x%lx\n", through_pool ? arena.start : 0);
	say("READ sectors=%lu sum=0x%lx\n", n, read_all(0, n));
	write_all(n, n);
	say("WROTE sectors=%lu\n", n);
	if (has_word("hold"))
		hold();
	say("BACK sectors=%lu sum=0x%lx\n", n, read_all(n, n));
	say("READ sectors=%lu sum=0x%lx\n", n, read_all(0, n));
}
