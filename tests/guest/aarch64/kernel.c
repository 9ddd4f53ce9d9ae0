/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test kernel. What it does is said by the words of its command line, in this order:
 *
 *   rows    touches every row of the memory map                  rows.c
 *   work    computes, for comparison with a run that was stopped  work.c
 *   bounce  drives a disk through the pool                        bounce.c
 *   steal   says what time was stolen                             steal.c
 *   stall   stops, under the eyes of the stall detector
 *   off     ends by PSCI instead of the debug exit
 */
#include "guest.h"

static void entered(void)
{
	if (entry[3] == FIRMWARE_MARK)
		say("KERNEL at=0x%lx through=0x%lx\n", (uint64_t)head, entry[2]);
	else
		CHECK(!entry[1] && !entry[2] && !entry[3], "x1 to x3: 0x%lx 0x%lx 0x%lx", entry[1],
		      entry[2], entry[3]);
}

void guest_main(void)
{
	machine_init();
	entered();
	if (has_word("rows"))
		rows();
	if (has_word("work"))
		work();
	if (has_word("bounce"))
		bounce();
	if (has_word("steal"))
		steal();
	if (has_word("stall"))
		stall();
	say("PASSED\n");
	if (has_word("off"))
		power_off();
	end(EXIT_PASSED);
}
