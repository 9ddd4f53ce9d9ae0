/* SPDX-License-Identifier: Apache-2.0 */
/* The test bootloader: says where it is, touches every row, reads a disk, powers off. */
#include "guest.h"

static uint8_t memory[16384] __attribute__((aligned(4096)));
static uint8_t sector[DISK_SECTOR];

void guest_main(void)
{
	struct range arena = {(uint64_t)memory, sizeof memory}, pool;

	machine_init();
	say("BIOS at=0x%lx fdt=0x%lx cpus=%u\n", (uint64_t)head, entry[0], cpu_n);
	if (entry[3] == FIRMWARE_MARK)
		say("BIOS through=0x%lx\n", entry[2]);
	rows();
	bool through_pool = pool_find(&pool);
	disk_start(through_pool ? &pool : &arena, through_pool, DISK_POLL);
	disk_read(0, sector, 1);
	say("DISK sum=0x%lx\nPASSED\n", checksum(sector, sizeof sector));
	power_off();
}
