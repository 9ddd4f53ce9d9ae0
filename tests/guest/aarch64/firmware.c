/* SPDX-License-Identifier: Apache-2.0 */
/* The test firmware of a protected VM: says what it was given, and enters what comes after it
 * without having touched anything but the console. */
#include "guest.h"

void guest_main(void)
{
	say_init();
	say("FIRMWARE at=0x%lx x0=0x%lx x1=0x%lx x2=%lu\n", (uint64_t)head, entry[0], entry[1],
	    entry[2]);
	jump_on(entry[1], entry[0], 0, (uint64_t)head, FIRMWARE_MARK);
}
