/* SPDX-License-Identifier: Apache-2.0 */
/* What kernel and bootloader do first. */
#include "guest.h"

void machine_init(void)
{
	say_init();
	cpu_init();
	gic_init();
	gic_cpu_init();
	pci_init();
	its_init();
}
