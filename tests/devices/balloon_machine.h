/* SPDX-License-Identifier: Apache-2.0 */
/* A machine with a balloon and its driver, for the tests of one. */
#ifndef TESTS_DEVICES_BALLOON_MACHINE_H
#define TESTS_DEVICES_BALLOON_MACHINE_H

#include "pci_machine.h"

#include <linux/virtio_balloon.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

enum { INFLATE, DEFLATE, STATS, HINTS, REPORTS, QUEUES };

#define EVERYTHING UINT64_MAX
#define PAGE	   4096
#define PAGES	   64

static struct pci_machine m;
static struct device *balloon;
static struct guest_driver g;
static uint64_t area; /* PAGES of 0xaa, each of which the test may lose */

static void describe(struct machine *md)
{
	virtio_balloon_describe(&md->device[md->device_n++], "balloon");
}

static void machine_with_balloon(void)
{
	struct err e = ERR_INIT;

	machine_start(&m, describe);
	assert_int_equal(virtio_balloon_new(&m.described.device[1], &m.host, &balloon, &e), 0);
	driver_probe(&g, &m, 1);
	area = guest_alloc(&m, PAGES * PAGE);
	memset(guest_ptr(&m, area, PAGES * PAGE), 0xaa, PAGES * PAGE);
}

static int teardown(void **unused)
{
	balloon->cls->free(balloon);
	machine_stop(&m);
	return 0;
}

#endif
