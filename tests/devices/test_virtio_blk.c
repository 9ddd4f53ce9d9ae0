/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio disk under a driver, over a disk of bytes that answers at once or when told. */
#include "devices/disk.h"
#include "pci_machine.h"
#include "roundtrip.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define SECTORS	   256
#define HELD_MAX   512
#define BIT(n)	   (UINT64_C(1) << (n))
#define EVENT_IDX  BIT(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT   BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define FLUSH	   BIT(VIRTIO_BLK_F_FLUSH)
#define EVERYTHING (UINT64_MAX)

/* --- a disk -------------------------------------------------------------------------------- */

struct disk {
	uint8_t data[SECTORS * 512];
	bool read_only, hold;
	int result; /* of the next request */
	struct disk_req *held[HELD_MAX];
	unsigned held_n, requests, flushes;
	enum disk_op last_op;
	uint64_t last_offset, last_bytes;
};

static struct disk disk;

static void carry_out(struct disk_req *r)
{
	uint8_t *at = disk.data + r->offset;

	assert_true(r->offset + r->bytes <= sizeof disk.data);
	for (int i = 0; i < r->iov_n && (r->op == DISK_READ || r->op == DISK_WRITE); i++) {
		if (r->op == DISK_READ)
			memcpy(r->iov[i].iov_base, at, r->iov[i].iov_len);
		else
			memcpy(at, r->iov[i].iov_base, r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	if (r->op == DISK_READ || r->op == DISK_WRITE)
		assert_int_equal(at - disk.data, r->offset + r->bytes);
	if (r->op == DISK_ZERO)
		memset(at, 0, r->bytes);
	disk.flushes += r->op == DISK_FLUSH;
	int result = disk.result;
	disk.result = 0;
	r->done(r, result);
}

void disk_submit(struct disk *d, struct disk_req *r)
{
	d->requests++;
	d->last_op = r->op;
	d->last_offset = r->offset;
	d->last_bytes = r->bytes;
	if (!d->hold) {
		carry_out(r);
		return;
	}
	assert_true(d->held_n < HELD_MAX);
	d->held[d->held_n++] = r;
}

/* The last one first: order is not promised. */
static void release(void)
{
	struct disk_req *r[HELD_MAX];
	unsigned n = disk.held_n;
	bool hold = disk.hold;

	memcpy(r, disk.held, sizeof r);
	disk.held_n = 0;
	disk.hold = false;
	while (n)
		carry_out(r[--n]);
	disk.hold = hold;
}

void disk_drain(struct disk *d)
{
	release();
}

uint64_t disk_bytes(const struct disk *d)
{
	return sizeof d->data;
}

bool disk_read_only(const struct disk *d)
{
	return d->read_only;
}

/* --- the machine --------------------------------------------------------------------------- */

static struct pci_machine m;
static struct device *blk;
static struct guest_driver d;

static void describe(struct machine *md)
{
	virtio_blk_describe(&md->device[md->device_n++], "root-disk", SECTORS, disk.read_only);
}

static int setup_disk(bool read_only)
{
	struct err e = ERR_INIT;

	memset(&disk, 0, sizeof disk);
	disk.read_only = read_only;
	for (size_t i = 0; i < sizeof disk.data; i++)
		disk.data[i] = (uint8_t)(i / 512 + i);
	machine_start(&m, describe);
	if (virtio_blk_new(&m.described.device[1], &m.host, &disk, &blk, &e))
		fail_msg("%s", e.msg);
	driver_probe(&d, &m, 1);
	return 0;
}

static int setup(void **unused)
{
	return setup_disk(false);
}

static int setup_read_only(void **unused)
{
	return setup_disk(true);
}

static int teardown(void **unused)
{
	blk->cls->free(blk);
	machine_stop(&m);
	return 0;
}

static void start(struct guest_driver *g)
{
	driver_start(g, EVERYTHING, true);
}

/* --- requests ------------------------------------------------------------------------------ */

struct request {
	uint64_t hdr, data, status;
	uint32_t bytes;
	uint16_t head;
};

/* Queue one of one data buffer, without a notification. */
static void add(struct request *r, uint32_t type, uint64_t sector, uint32_t bytes, bool in,
		bool indirect)
{
	r->hdr = guest_alloc(&m, 16);
	r->data = guest_alloc(&m, bytes ? bytes : 1);
	r->status = guest_alloc(&m, 1);
	r->bytes = bytes;
	struct virtio_blk_outhdr hdr = {.type = type, .sector = sector};
	memcpy(guest_ptr(&m, r->hdr, 16), &hdr, 16);
	memset(guest_ptr(&m, r->status, 1), 0xee, 1);
	struct guest_buf b[3] = {{r->hdr, 16, false}, {r->data, bytes, in}, {r->status, 1, true}};
	if (!bytes)
		b[1] = b[2];
	r->head = queue_add(&d, 0, b, bytes ? 3 : 2, indirect);
}

static uint8_t status_of(const struct request *r)
{
	return *(uint8_t *)guest_ptr(&m, r->status, 1);
}

static void expect_used(const struct request *r, uint32_t len, uint8_t status)
{
	uint16_t head;
	uint32_t used_len;

	assert_true(queue_used(&d, 0, &head, &used_len));
	assert_int_equal(head, r->head);
	assert_int_equal(status_of(r), status);
	assert_int_equal(used_len, len);
}

/* Queue, notify, expect the answer at once. */
static void expect(uint32_t type, uint64_t sector, uint32_t bytes, bool in, uint32_t len,
		   uint8_t status)
{
	struct request r;

	add(&r, type, sector, bytes, in, false);
	queue_kick(&d, 0);
	expect_used(&r, len, status);
}

static uint64_t config(unsigned offset, unsigned len)
{
	return mmio_read(&m, d.config + offset, len);
}

/* --- tests --------------------------------------------------------------------------------- */

static void configuration_says_what_it_can_do(void **unused)
{
	start(&d);
	assert_int_equal(ecam_read(&m, 1, 0, 4), 0x10421af4);
	assert_int_equal(driver_offered(&d),
			 BIT(VIRTIO_F_VERSION_1) | EVENT_IDX | INDIRECT | FLUSH |
			     BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
			     BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_DISCARD) |
			     BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(config(0, 8), SECTORS);
	assert_int_equal(config(12, 4), 254);
	assert_int_equal(config(20, 4), 512);
	assert_int_equal(config(24, 1), 3);
	assert_int_equal(config(26, 2), 8);
	assert_int_equal(config(36, 4), 0x200000);
	assert_int_equal(config(40, 4), 1);
	assert_int_equal(config(44, 4), 8);
	assert_int_equal(config(48, 4), 0x200000);
	assert_int_equal(config(52, 4), 1);
	assert_int_equal(config(56, 1), 1);
	assert_int_equal(config(60, 8), 0);
	mmio_write(&m, d.config, 8, 0);
	assert_int_equal(config(0, 8), SECTORS);
}

static void features_are_agreed_on(void **unused)
{
	driver_set_status(&d, 0);
	driver_set_status(&d, 3);
	/* Not VERSION_1: refused. */
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GF, 4, 1u << VIRTIO_BLK_F_FLUSH);
	driver_set_status(&d, 3 | 8);
	assert_int_equal(driver_status(&d), 3);
	driver_set_status(&d, 3 | 8 | 4);
	assert_int_equal(driver_status(&d), 3);
	/* What is not offered: refused. */
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GF, 4, 1 | 2);
	driver_set_status(&d, 3 | 8);
	assert_int_equal(driver_status(&d), 3);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 2);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GF, 4, 1);
	assert_int_equal(mmio_read(&m, d.common + VIRTIO_PCI_COMMON_GF, 4), 0);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GF, 4, 1);
	driver_set_status(&d, 3 | 8);
	assert_int_equal(driver_status(&d), 3 | 8);
	/* Fixed from now on; and the device's bit is not the driver's to set. */
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GF, 4, 0);
	assert_int_equal(mmio_read(&m, d.common + VIRTIO_PCI_COMMON_GF, 4), 1);
	driver_set_status(&d, 3 | 8 | 0x40);
	assert_int_equal(driver_status(&d), 3 | 8);
	driver_set_status(&d, 3 | 8 | 0x80);
	assert_int_equal(driver_status(&d), 3 | 8 | 0x80);
	driver_set_status(&d, 0);
	assert_int_equal(driver_status(&d), 0);
	assert_int_equal(mmio_read(&m, d.common + VIRTIO_PCI_COMMON_GF, 4), 0);
}

static void reads_writes_and_flushes(void **unused)
{
	struct request r, w;
	uint8_t pattern[1024];

	start(&d);
	add(&r, VIRTIO_BLK_T_IN, 3, 1024, true, false);
	queue_kick(&d, 0);
	expect_used(&r, 1025, VIRTIO_BLK_S_OK);
	assert_memory_equal(guest_ptr(&m, r.data, 1024), disk.data + 3 * 512, 1024);
	assert_int_equal(driver_interrupts(&d), 1 << 1);

	memset(pattern, 0x5a, sizeof pattern);
	add(&w, VIRTIO_BLK_T_OUT, 100, 1024, false, true);
	memcpy(guest_ptr(&m, w.data, 1024), pattern, 1024);
	queue_kick(&d, 0);
	expect_used(&w, 1, VIRTIO_BLK_S_OK);
	assert_memory_equal(disk.data + 100 * 512, pattern, 1024);
	assert_int_equal(disk.data[102 * 512], (uint8_t)102);
	assert_int_equal(disk.flushes, 0);

	expect(VIRTIO_BLK_T_FLUSH, 0, 0, false, 1, VIRTIO_BLK_S_OK);
	assert_int_equal(disk.flushes, 1);
	expect(VIRTIO_BLK_T_OUT, 0, 0, false, 1, VIRTIO_BLK_S_OK); /* of nothing */
}

static void a_driver_without_flush_gets_write_through(void **unused)
{
	driver_start(&d, 0, true);
	expect(VIRTIO_BLK_T_OUT, 5, 512, false, 1, VIRTIO_BLK_S_OK);
	assert_int_equal(disk.flushes, 1);
	expect(VIRTIO_BLK_T_IN, 5, 512, true, 513, VIRTIO_BLK_S_OK);
	assert_int_equal(disk.flushes, 1);
	/* A write that failed needs none, and a flush that fails fails the write. */
	disk.result = -ERR_IO;
	expect(VIRTIO_BLK_T_OUT, 5, 512, false, 1, VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk.flushes, 1);
}

static void any_cut_of_the_buffers_will_do(void **unused)
{
	struct virtio_blk_outhdr hdr = {.type = VIRTIO_BLK_T_OUT, .sector = 7};
	uint64_t at = guest_alloc(&m, 4096);
	uint16_t head;
	uint32_t len;

	start(&d);
	/* Header and data in one, in the middle of one another; data and status in one. */
	memcpy(guest_ptr(&m, at, 16), &hdr, 16);
	memset(guest_ptr(&m, at + 16, 512), 0x77, 512);
	struct guest_buf w[] = {{at, 10, false},
				{at + 10, 6 + 100, false},
				{at + 116, 412, false},
				{at + 1024, 1, true}};
	queue_add(&d, 0, w, ARRAY_LEN(w), false);
	queue_kick(&d, 0);
	assert_true(queue_used(&d, 0, &head, &len));
	assert_int_equal(*(uint8_t *)guest_ptr(&m, at + 1024, 1), VIRTIO_BLK_S_OK);
	assert_memory_equal(disk.data + 7 * 512, guest_ptr(&m, at + 16, 512), 512);

	hdr.type = VIRTIO_BLK_T_IN;
	memcpy(guest_ptr(&m, at, 16), &hdr, 16);
	struct guest_buf r[] = {{at, 16, false}, {at + 2048, 300, true}, {at + 2348, 213, true}};
	*(uint8_t *)guest_ptr(&m, at + 2048 + 512, 1) = 0xee;
	queue_add(&d, 0, r, ARRAY_LEN(r), true);
	queue_kick(&d, 0);
	assert_true(queue_used(&d, 0, &head, &len));
	assert_int_equal(len, 513);
	assert_memory_equal(disk.data + 7 * 512, guest_ptr(&m, at + 2048, 512), 512);
	assert_int_equal(*(uint8_t *)guest_ptr(&m, at + 2048 + 512, 1), VIRTIO_BLK_S_OK);

	/* Plain descriptors before an indirect one (2.6.5.3.2). */
	uint64_t table = guest_alloc(&m, 32);
	struct vring_desc rest[] = {{at + 2048, 512, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1},
				    {at + 3072, 1, VRING_DESC_F_WRITE, 0}};
	memcpy(guest_ptr(&m, table, sizeof rest), rest, sizeof rest);
	*(uint8_t *)guest_ptr(&m, at + 3072, 1) = 0xee;
	queue_desc(&d, 0, 100, at, 16, VRING_DESC_F_NEXT, 101);
	queue_desc(&d, 0, 101, table, 32, VRING_DESC_F_INDIRECT, 0);
	queue_offer(&d, 0, 100);
	queue_kick(&d, 0);
	assert_true(queue_used(&d, 0, &head, &len));
	assert_int_equal(head, 100);
	assert_int_equal(*(uint8_t *)guest_ptr(&m, at + 3072, 1), VIRTIO_BLK_S_OK);
}

static void limits_are_kept(void **unused)
{
	start(&d);
	expect(VIRTIO_BLK_T_IN, SECTORS, 512, true, 1, VIRTIO_BLK_S_IOERR);
	expect(VIRTIO_BLK_T_IN, SECTORS - 1, 1024, true, 1, VIRTIO_BLK_S_IOERR);
	expect(VIRTIO_BLK_T_IN, UINT64_MAX, 1024, true, 1, VIRTIO_BLK_S_IOERR);
	expect(VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512, true, 1, VIRTIO_BLK_S_IOERR);
	expect(VIRTIO_BLK_T_OUT, 0, 100, false, 1, VIRTIO_BLK_S_IOERR);
	expect(77, 0, 512, true, 1, VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(disk.requests, 0);
	disk.result = -ERR_IO;
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 1, VIRTIO_BLK_S_IOERR);
	disk.result = -ERR_IO;
	expect(VIRTIO_BLK_T_FLUSH, 0, 0, true, 1, VIRTIO_BLK_S_IOERR);
	expect(VIRTIO_BLK_T_IN, SECTORS - 1, 512, true, 513, VIRTIO_BLK_S_OK);
	assert_int_equal(driver_status(&d), 0xf);
}

static void expect_discard(uint32_t type, uint64_t sector, uint32_t n, uint32_t flags,
			   uint8_t status)
{
	struct virtio_blk_discard_write_zeroes seg = {sector, n, flags};
	struct request r;

	add(&r, type, 0, sizeof seg, false, false);
	memcpy(guest_ptr(&m, r.data, sizeof seg), &seg, sizeof seg);
	queue_kick(&d, 0);
	expect_used(&r, 1, status);
}

static void discards_and_zeroes(void **unused)
{
	start(&d);
	expect_discard(VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1, VIRTIO_BLK_S_OK);
	assert_int_equal(disk.last_op, DISK_ZERO);
	assert_int_equal(disk.data[8 * 512 - 1], (uint8_t)(7 + 511));
	for (unsigned i = 8 * 512; i < 16 * 512; i++)
		assert_int_equal(disk.data[i], 0);
	assert_int_equal(disk.data[16 * 512 + 1], 17);
	expect_discard(VIRTIO_BLK_T_DISCARD, 16, 16, 0, VIRTIO_BLK_S_OK);
	assert_int_equal(disk.last_op, DISK_DISCARD);
	assert_int_equal(disk.last_offset, 16 * 512);
	assert_int_equal(disk.last_bytes, 16 * 512);
	unsigned n = disk.requests;
	expect_discard(VIRTIO_BLK_T_DISCARD, 0, 8, 1, VIRTIO_BLK_S_UNSUPP);
	expect_discard(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2, VIRTIO_BLK_S_UNSUPP);
	expect_discard(VIRTIO_BLK_T_DISCARD, SECTORS - 8, 16, 0, VIRTIO_BLK_S_IOERR);
	expect_discard(VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0, VIRTIO_BLK_S_IOERR);
	expect_discard(VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0, VIRTIO_BLK_S_IOERR);
	expect_discard(VIRTIO_BLK_T_DISCARD, 0, 0, 0, VIRTIO_BLK_S_OK);
	expect(VIRTIO_BLK_T_DISCARD, 0, 32, false, 1, VIRTIO_BLK_S_IOERR); /* two segments */
	assert_int_equal(disk.requests, n);
	driver_start(&d, 0, true);
	expect_discard(VIRTIO_BLK_T_DISCARD, 0, 8, 0, VIRTIO_BLK_S_UNSUPP);
	expect_discard(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0, VIRTIO_BLK_S_UNSUPP);
}

static void read_only_is_read_only(void **unused)
{
	start(&d);
	assert_true(d.features & BIT(VIRTIO_BLK_F_RO));
	assert_false(driver_offered(&d) & BIT(VIRTIO_BLK_F_DISCARD));
	expect(VIRTIO_BLK_T_OUT, 0, 512, false, 1, VIRTIO_BLK_S_IOERR);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
	expect_discard(VIRTIO_BLK_T_DISCARD, 0, 8, 0, VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(disk.requests, 1);
}

static void the_id_is_the_users(void **unused)
{
	struct request r;

	start(&d);
	add(&r, VIRTIO_BLK_T_GET_ID, 0, 20, true, false);
	queue_kick(&d, 0);
	expect_used(&r, 21, VIRTIO_BLK_S_OK);
	assert_memory_equal(guest_ptr(&m, r.data, 20), "root-disk\0\0\0\0\0\0\0\0\0\0", 20);
	add(&r, VIRTIO_BLK_T_GET_ID, 0, 4, true, false);
	queue_kick(&d, 0);
	expect_used(&r, 5, VIRTIO_BLK_S_OK);
	assert_memory_equal(guest_ptr(&m, r.data, 4), "root", 4);
}

static void interrupts_come_as_asked(void **unused)
{
	struct request r[4];
	uint16_t *avail, *used_flags;

	/* By flag. */
	driver_start(&d, ~EVENT_IDX, true);
	avail = guest_ptr(&m, d.q[0].avail, 6);
	used_flags = guest_ptr(&m, d.q[0].used, 2);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
	assert_int_equal(driver_interrupts(&d), 2);
	assert_int_equal(*used_flags, 0); /* it waits for notifications */
	*avail = VRING_AVAIL_F_NO_INTERRUPT;
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
	assert_int_equal(driver_interrupts(&d), 0);

	/* By event index: after two more, not before. */
	driver_start(&d, EVERYTHING, true);
	uint16_t *used_event = guest_ptr(&m, d.q[0].avail + 4 + 2 * d.q[0].size, 2);
	uint16_t *avail_event = guest_ptr(&m, d.q[0].used + 4 + 8 * d.q[0].size, 2);
	*used_event = 1;
	disk.hold = true;
	for (unsigned i = 0; i < 3; i++)
		add(&r[i], VIRTIO_BLK_T_IN, i, 512, true, false);
	queue_kick(&d, 0);
	assert_int_equal(*avail_event, 3);
	assert_int_equal(disk.held_n, 3);
	struct disk_req *first = disk.held[0], *second = disk.held[1];
	carry_out(first);
	assert_int_equal(driver_interrupts(&d), 0);
	carry_out(second);
	assert_int_equal(driver_interrupts(&d), 2);
	carry_out(disk.held[2]);
	assert_int_equal(driver_interrupts(&d), 0);
	disk.held_n = 0;
	for (unsigned i = 0; i < 3; i++)
		expect_used(&r[i], 513, VIRTIO_BLK_S_OK);

	/* By line. */
	disk.hold = false;
	driver_start(&d, EVERYTHING, false);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
	assert_int_equal(m.line[9], 1 << 1);
	assert_int_equal(mmio_read(&m, d.isr, 1), 1);
	assert_int_equal(m.line[9], 0);
	assert_int_equal(mmio_read(&m, d.isr, 1), 0);
	assert_int_equal(driver_interrupts(&d), 0);
}

static void indices_wrap(void **unused)
{
	start(&d);
	uint16_t *used_event = guest_ptr(&m, d.q[0].avail + 4 + 2 * d.q[0].size, 2);
	uint64_t free_memory = m.next_gpa;

	for (unsigned i = 0; i < 70000; i++) {
		*used_event = (uint16_t)i;
		m.next_gpa = free_memory;
		expect(VIRTIO_BLK_T_IN, i % SECTORS, 512, true, 513, VIRTIO_BLK_S_OK);
		assert_int_equal(driver_interrupts(&d), 2);
	}
	assert_int_equal(queue_used_idx(&d, 0), (uint16_t)70000);
}

static void a_full_queue_is_worked_off(void **unused)
{
	struct request r[256];
	uint16_t head;
	uint32_t len;

	start(&d);
	disk.hold = true;
	for (unsigned i = 0; i < 256; i++)
		add(&r[i], VIRTIO_BLK_T_IN, i, 512, true, true);
	queue_kick(&d, 0);
	assert_int_equal(disk.held_n, 256);
	release();
	for (unsigned i = 0; i < 256; i++) {
		assert_true(queue_used(&d, 0, &head, &len));
		assert_int_equal(head, r[255 - i].head);
		assert_int_equal(status_of(&r[i]), VIRTIO_BLK_S_OK);
		assert_memory_equal(guest_ptr(&m, r[i].data, 512), disk.data + 512 * i, 512);
	}
	assert_int_equal(driver_status(&d), 0xf);
	/* A guest that offers the same ones again while they are in flight gets no further. */
	for (unsigned i = 0; i < 256; i++)
		queue_offer(&d, 0, r[i].head);
	queue_kick(&d, 0);
	for (unsigned i = 0; i < 256; i++)
		queue_offer(&d, 0, r[i].head);
	queue_kick(&d, 0);
	assert_int_equal(disk.held_n, 256);
	disk.hold = false;
	release();
	machine_pump(&m);
	assert_int_equal(queue_used_idx(&d, 0), 256 * 3);
}

static void breaking_the_rules_needs_a_reset(void **unused)
{
	queue_abuse(&d, 0, start, NULL);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
	/* Without a status, without a whole header. */
	struct guest_buf no_status[] = {{guest_alloc(&m, 16), 16, false}};
	queue_add(&d, 0, no_status, 1, false);
	queue_kick(&d, 0);
	assert_int_equal(driver_status(&d), 0x4f);
	assert_int_equal(driver_interrupts(&d), 3);
	start(&d);
	struct guest_buf no_header[] = {{guest_alloc(&m, 16), 15, false},
					{guest_alloc(&m, 16), 1, true}};
	queue_add(&d, 0, no_header, 2, false);
	queue_kick(&d, 0);
	assert_int_equal(driver_status(&d), 0x4f);
	/* Indirect descriptors that were not agreed on. */
	driver_start(&d, 0, true);
	struct request r;
	add(&r, VIRTIO_BLK_T_IN, 0, 512, true, true);
	queue_kick(&d, 0);
	assert_int_equal(driver_status(&d), 0x4f);
	/* By line too. */
	driver_start(&d, 0, false);
	queue_offer(&d, 0, 0xffff);
	queue_kick(&d, 0);
	assert_int_equal(m.line[9], 1 << 1);
	assert_int_equal(mmio_read(&m, d.isr, 1), 2);
}

static void bad_rings_are_not_enabled(void **unused)
{
	static const struct {
		unsigned reg;
		uint64_t v;
	} bad[] = {
	    {VIRTIO_PCI_COMMON_Q_DESCLO, 8},
	    {VIRTIO_PCI_COMMON_Q_AVAILLO, 1},
	    {VIRTIO_PCI_COMMON_Q_USEDLO, 2},
	    {VIRTIO_PCI_COMMON_Q_DESCLO, UINT64_C(0x7f00000000)},
	    {VIRTIO_PCI_COMMON_Q_AVAILLO, 64 * MIB - 500},
	    {VIRTIO_PCI_COMMON_Q_USEDLO, UINT64_MAX & ~UINT64_C(3)},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		driver_set_status(&d, 0);
		mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x200000);
		mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_AVAILLO, 8, 0x210000);
		mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_USEDLO, 8, 0x220000);
		mmio_write(&m, d.common + bad[i].reg, 8, bad[i].v);
		mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(mmio_read(&m, d.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(driver_status(&d), 0x40);
	}
	/* Sizes that are none are not taken, and a queue that is not there has no size. */
	driver_set_status(&d, 0);
	static const uint16_t sizes[] = {0, 3, 512, 0xffff};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_SIZE, 2, sizes[i]);
		assert_int_equal(mmio_read(&m, d.common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	}
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_int_equal(mmio_read(&m, d.common + VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	assert_int_equal(mmio_read(&m, d.common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(driver_status(&d), 0);
}

static void a_reset_waits_for_what_is_in_flight(void **unused)
{
	struct request r;

	start(&d);
	disk.hold = true;
	add(&r, VIRTIO_BLK_T_IN, 9, 512, true, false);
	queue_kick(&d, 0);
	driver_set_status(&d, 0);
	assert_int_equal(driver_status(&d), 0xf); /* its buffers are not the driver's yet */
	driver_set_status(&d, 1);
	queue_kick(&d, 0);
	release();
	assert_int_equal(driver_status(&d), 0);
	assert_int_equal(driver_interrupts(&d), 0);
	assert_int_equal(queue_used_idx(&d, 0), 0);
	disk.hold = false;
	start(&d);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
}

static void memory_is_left_alone_without_mastering(void **unused)
{
	struct request r;

	start(&d);
	ecam_write(&m, 1, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
	add(&r, VIRTIO_BLK_T_IN, 0, 512, true, false);
	queue_kick(&d, 0);
	assert_int_equal(queue_used_idx(&d, 0), 0);
	/* And nothing is forgotten. */
	ecam_write(&m, 1, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	machine_pump(&m);
	expect_used(&r, 513, VIRTIO_BLK_S_OK);
}

static void notifications_come_through_the_bus_too(void **unused)
{
	struct request r;

	start(&d);
	add(&r, VIRTIO_BLK_T_IN, 0, 512, true, false);
	bus_write(&m.memory, d.q[0].doorbell, 2, 0);
	machine_pump(&m);
	expect_used(&r, 513, VIRTIO_BLK_S_OK);
	/* And through configuration space. */
	unsigned cap = find_cap(&m, 1, 9, VIRTIO_PCI_CAP_PCI_CFG);
	add(&r, VIRTIO_BLK_T_IN, 0, 512, true, false);
	ecam_write(&m, 1, cap + 4, 1, 2);
	ecam_write(&m, 1, cap + 8, 4, 0x3000);
	ecam_write(&m, 1, cap + 12, 4, 2);
	ecam_write(&m, 1, cap + 16, 4, 0);
	machine_pump(&m);
	expect_used(&r, 513, VIRTIO_BLK_S_OK);
}

/* --- state --------------------------------------------------------------------------------- */

static void modify(struct device *dev)
{
	struct request r;

	driver_start(&d, EVERYTHING, true);
	disk.hold = true;
	for (unsigned i = 0; i < 5; i++)
		add(&r, VIRTIO_BLK_T_IN, i, 512, true, false);
	queue_kick(&d, 0);
	mmio_write(&m, d.msix_table + 16 + 12, 4, 1); /* so that an interrupt stays pending */
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 7);
	mmio_write(&m, d.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 300);
}

static void state_round_trips(void **unused)
{
	roundtrip(blk, modify);
	assert_int_equal(mmio_read(&m, d.msix_pba, 4), 2);
	mmio_write(&m, d.msix_table + 16 + 12, 4, 0);
	assert_int_equal(driver_interrupts(&d), 2);
}

/* Three answered, two in flight, two not looked at: the other machine goes on where this one was.
 */
static void a_restore_loses_and_repeats_nothing(void **unused)
{
	struct request r[7];
	struct buf saved;
	uint16_t head;
	uint32_t len;
	struct err e = ERR_INIT;

	start(&d);
	for (unsigned i = 0; i < 3; i++)
		expect(VIRTIO_BLK_T_IN, i, 512, true, 513, VIRTIO_BLK_S_OK);
	disk.hold = true;
	for (unsigned i = 0; i < 2; i++)
		add(&r[i], VIRTIO_BLK_T_OUT, 50 + i, 512, false, false);
	queue_kick(&d, 0);
	unsigned requests = disk.requests;
	/* Available and notified of, but the loop did not come to it before the pause. */
	for (unsigned i = 2; i < 4; i++)
		add(&r[i], VIRTIO_BLK_T_OUT, 50 + i, 512, false, false);
	mmio_write(&m, d.q[0].doorbell, 2, 0);
	device_save(blk, &saved);
	assert_int_equal(disk.requests, requests);
	assert_int_equal(queue_used_idx(&d, 0), 5);
	assert_int_equal(driver_interrupts(&d), 2);

	/* The same guest memory under another device. */
	*(uint16_t *)guest_ptr(&m, d.q[0].avail + 4 + 2 * d.q[0].size, 2) = 3; /* long past */
	blk->cls->free(blk);
	disk.hold = false;
	assert_int_equal(virtio_blk_new(&m.described.device[1], &m.host, &disk, &blk, &e), 0);
	assert_int_equal(device_load(blk, &saved), 0);
	assert_int_equal(driver_status(&d), 0xf);
	machine_pump(&m);
	assert_int_equal(disk.requests, requests + 2);
	assert_int_equal(driver_interrupts(&d), 0);
	assert_int_equal(queue_used_idx(&d, 0), 7);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(queue_used(&d, 0, &head, &len));
		assert_int_equal(status_of(&r[i]), VIRTIO_BLK_S_OK);
	}
	assert_false(queue_used(&d, 0, &head, &len));
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
	buf_free(&saved);
}

static void a_line_that_was_high_is_high_again(void **unused)
{
	struct buf saved;

	driver_start(&d, EVERYTHING, false);
	expect(VIRTIO_BLK_T_IN, 0, 512, true, 513, VIRTIO_BLK_S_OK);
	device_save(blk, &saved);
	mmio_read(&m, d.isr, 1);
	assert_int_equal(m.line[9], 0);
	assert_int_equal(device_load(blk, &saved), 0);
	assert_int_equal(m.line[9], 1 << 1);
	/* What NEEDS_RESET left behind is state as well. */
	buf_free(&saved);
	queue_offer(&d, 0, 0xffff);
	queue_kick(&d, 0);
	device_save(blk, &saved);
	assert_int_equal(device_load(blk, &saved), 0);
	assert_int_equal(driver_status(&d), 0x4f);
	buf_free(&saved);
}

static void another_disk_is_refused(void **unused)
{
	struct machine_device md = m.described.device[1];
	struct device *other;
	struct err e = ERR_INIT;

	md.pci = 4 << 3;
	md.blocks = SECTORS + 1;
	assert_int_equal(virtio_blk_new(&md, &m.host, &disk, &other, &e), -ERR_INCOMPATIBLE);
	md.blocks = SECTORS;
	disk.read_only = true;
	assert_int_equal(virtio_blk_new(&md, &m.host, &disk, &other, &e), -ERR_INCOMPATIBLE);
	disk.read_only = false;
	md.read_only = true;
	assert_int_equal(virtio_blk_new(&md, &m.host, &disk, &other, &e), -ERR_INCOMPATIBLE);
}

#define TEST(f)		  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_READ_ONLY(f) cmocka_unit_test_setup_teardown(f, setup_read_only, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(configuration_says_what_it_can_do),
	    TEST(features_are_agreed_on),
	    TEST(reads_writes_and_flushes),
	    TEST(a_driver_without_flush_gets_write_through),
	    TEST(any_cut_of_the_buffers_will_do),
	    TEST(limits_are_kept),
	    TEST(discards_and_zeroes),
	    TEST_READ_ONLY(read_only_is_read_only),
	    TEST(the_id_is_the_users),
	    TEST(interrupts_come_as_asked),
	    TEST(indices_wrap),
	    TEST(a_full_queue_is_worked_off),
	    TEST(breaking_the_rules_needs_a_reset),
	    TEST(bad_rings_are_not_enabled),
	    TEST(a_reset_waits_for_what_is_in_flight),
	    TEST(memory_is_left_alone_without_mastering),
	    TEST(notifications_come_through_the_bus_too),
	    TEST(state_round_trips),
	    TEST(a_restore_loses_and_repeats_nothing),
	    TEST(a_line_that_was_high_is_high_again),
	    TEST(another_disk_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
