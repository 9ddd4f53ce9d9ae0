/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does whatever comes to its mind: any access to any register, rings full of nonsense
 * and of what is nearly right. The devices never hang, crash or touch memory that is not the
 * guest's, and their state stays one that they would accept from a file.
 */
#include "devices/disk.h"
#include "devices/serial.h"
#include "fixture.h"
#include "pci_machine.h"
#include "roundtrip.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define DEVICES	 5
#define ROUNDS	 400
#define ACCESSES 60
#define RARELY	 400

/* A disk of 1 MiB whose requests stay in flight for a while. */
struct disk {
	uint8_t data[MIB];
	struct disk_req *held[512];
	unsigned held_n;
};

static struct disk disk;

void disk_submit(struct disk *d, struct disk_req *r)
{
	assert_true(d->held_n < ARRAY_LEN(d->held));
	d->held[d->held_n++] = r;
}

static void complete(struct disk *d, struct disk_req *r)
{
	uint8_t *at = d->data + r->offset;

	assert_true(num_inside(r->offset, r->bytes, 0, sizeof d->data));
	for (int i = 0; i < r->iov_n && (r->op == DISK_READ || r->op == DISK_WRITE); i++) {
		if (r->op == DISK_READ)
			memcpy(r->iov[i].iov_base, at, r->iov[i].iov_len);
		else
			memcpy(at, r->iov[i].iov_base, r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	r->done(r, r->offset % 1024 ? 0 : -ERR_IO);
}

void disk_drain(struct disk *d)
{
	while (d->held_n)
		complete(d, d->held[--d->held_n]);
}

uint64_t disk_bytes(const struct disk *d)
{
	return sizeof d->data;
}

bool disk_read_only(const struct disk *d)
{
	return false;
}

static void on_out(struct serial_end *s, const void *data, size_t n)
{
	const uint8_t *p = data;
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < n; i += 64)
		sum = (uint8_t)(sum + p[i]);
}

static void on_room(struct serial_end *s)
{
}

static struct pci_machine m;
static struct device *dev[DEVICES];
static struct serial_end far_end = {on_out, on_room};
static int wire[2];
static uint64_t seed = 1;

static uint64_t any(uint64_t n)
{
	return fixture_random(&seed) % n;
}

#define HINTS 3 /* the queue of the balloon */

static unsigned hints_asked, hints_named;

static void on_named(void *arg, struct gpa at, uint64_t bytes)
{
	assert_non_null(mem_ro(&m.mem, at, bytes));
	hints_named++;
}

static void on_over(void *arg)
{
}

static const struct virtio_balloon_hints hints = {on_named, on_over, NULL};

static void describe(struct machine *md)
{
	static const uint8_t mac[6] = {2};

	virtio_blk_describe(&md->device[md->device_n++], "blk", MIB / 512, false);
	virtio_net_describe(&md->device[md->device_n++], "net", mac);
	virtio_rng_describe(&md->device[md->device_n++], "rng");
	virtio_console_describe(&md->device[md->device_n++], "hvc");
	virtio_balloon_describe(&md->device[md->device_n++], "balloon");
}

static int setup(void **unused)
{
	struct err e = ERR_INIT;
	const struct machine_device *md = m.described.device + 1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, wire), 0);
	machine_start(&m, describe);
	assert_int_equal(virtio_blk_new(&md[0], &m.host, &disk, &dev[0], &e), 0);
	assert_int_equal(virtio_net_new(&md[1], &m.host, wire[0], &dev[1], &e), 0);
	assert_int_equal(virtio_rng_new(&md[2], &m.host, &dev[2], &e), 0);
	assert_int_equal(virtio_console_new(&md[3], &m.host, &far_end, &dev[3], &e), 0);
	assert_int_equal(virtio_balloon_new(&md[4], &m.host, &dev[4], &e), 0);
	return 0;
}

static int teardown(void **unused)
{
	for (unsigned i = 0; i < DEVICES; i++)
		dev[i]->cls->free(dev[i]);
	machine_stop(&m);
	close(wire[0]);
	close(wire[1]);
	return 0;
}

/* --- a guest ------------------------------------------------------------------------------- */

static uint64_t queer_value(void)
{
	static const uint64_t queer[] = {0,	     1,		2,	    7,
					 0xff,	     0xffff,	0xffffffff, UINT64_MAX,
					 0x80000000, 0x3fff000, 0x4000000,  0xfffffffffffff000};

	return any(3) ? queer[any(ARRAY_LEN(queer))] : fixture_random(&seed);
}

static void poke_registers(struct guest_driver *d)
{
	static const unsigned at[] = {0x0000, 0x1000, 0x2000, 0x3000};
	unsigned len = 1u << any(4);
	uint64_t offset = at[any(4)] + any(any(4) ? 64 : 0x1000), v = queer_value();

	switch (any(8)) {
	case 0:
		mmio_read(&m, d->common + offset, len);
		break;
	case 1:
		mmio_write(&m, d->msix_table + any(0x60), len, v);
		break;
	case 2:
		mmio_read(&m, d->msix_table + any(0x1000), len);
		break;
	case 3:
		ecam_write(&m, d->slot, (unsigned)(0x40 + any(0x80)), len, v);
		break;
	case 4:
		ecam_read(&m, d->slot, (unsigned)any(0x1000), len);
		break;
	default:
		/* Not the status: that would reset it before it gets anywhere. */
		if (offset > VIRTIO_PCI_COMMON_STATUS || offset + len <= VIRTIO_PCI_COMMON_STATUS)
			mmio_write(&m, d->common + offset, len, v);
	}
}

/* How many of @n descriptors queue @q of a device has to be able to read. */
static unsigned readable(const struct guest_driver *d, unsigned q, unsigned n)
{
	if (!any(RARELY))
		return (unsigned)any(n + 1);
	switch (d->slot) {
	case 1:
		return 1 + (unsigned)any(n - 1);
	case 3:
		return 0;
	case 5: /* what it names as free goes the other way, perhaps after a command */
		return q == 4 ? 0 : q == HINTS ? (unsigned)any(2) : n;
	default:
		return q ? n : 0;
	}
}

/* A chain that mostly makes sense, with something wrong in it now and then. */
static void offer_chain(struct guest_driver *d, unsigned q)
{
	struct guest_queue *gq = &d->q[q];
	uint16_t head = (uint16_t)any(gq->size);
	unsigned n = 2 + (unsigned)any(5), out = readable(d, q, n);
	uint64_t at = 0x1000000 + any(256) * 4096;
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} hdr = {(uint32_t)any(15), 0, any(2100)};

	bool hints_follow = d->slot == 5 && q == HINTS;
	if (hints_follow)
		hdr.type = (uint32_t)mmio_read(&m, d->config + 8, 4);
	memcpy(guest_ptr(&m, at, sizeof hdr), &hdr, sizeof hdr);
	for (unsigned i = 0; i < n; i++) {
		uint16_t flags = i < out ? 0 : VRING_DESC_F_WRITE;
		uint32_t len = i	      ? (uint32_t)(1 + any(4)) * 512 + (i + 1 == n)
			       : hints_follow ? 4
					      : 16;
		uint16_t next = (uint16_t)((head + i + 1) % gq->size);
		if (i + 1 < n)
			flags |= VRING_DESC_F_NEXT;
		if (!any(RARELY))
			flags ^= (uint16_t)(1u << any(3));
		if (!any(RARELY))
			len = (uint32_t)queer_value();
		if (!any(RARELY))
			next = (uint16_t)any(gq->size * 2u);
		queue_desc(d, q, (uint16_t)((head + i) % gq->size),
			   any(RARELY) ? at + i * 4096 : queer_value(), len, flags, next);
	}
	queue_offer(d, q, any(RARELY) ? head : (uint16_t)any(65536));
}

static void outside_world(void)
{
	char packet[3000] = {0};

	if (any(2))
		(void)!send(wire[1], packet, 1 + any(sizeof packet - 1), 0);
	while (recv(wire[1], packet, sizeof packet, 0) > 0)
		;
	virtio_console_input(dev[3], packet, any(100));
	if (!any(8))
		virtio_balloon_ask(dev[4], queer_value());
	if (!any(8)) {
		struct virtio_balloon_info info;
		virtio_balloon_look(dev[4], &info);
	}
	if (!any(8) && virtio_balloon_hint(dev[4], &hints))
		hints_asked++;
	if (!any(32))
		virtio_balloon_hint_done(dev[4]);
	if (any(2) && disk.held_n) {
		unsigned i = (unsigned)any(disk.held_n);
		struct disk_req *r = disk.held[i];
		disk.held[i] = disk.held[--disk.held_n];
		complete(&disk, r);
	}
}

static void still_sound(unsigned i)
{
	struct err e = ERR_INIT;
	struct buf saved;

	device_save(dev[i], &saved);
	int r = dev[i]->cls->check(dev[i], dev[i]->st, &e);
	if (r)
		fail_msg("seed %llx, %s: %s", (unsigned long long)seed, dev[i]->id, e.msg);
	if (!any(4))
		assert_int_equal(device_load(dev[i], &saved), 0);
	buf_free(&saved);
}

static void any_guest_is_survived(void **unused)
{
	struct guest_driver d[DEVICES];
	uint64_t free_memory = m.next_gpa;
	unsigned needed_reset = 0, answers = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = (unsigned)any(DEVICES);
		disk_drain(&disk);
		m.next_gpa = free_memory + i * 0x40000;
		ecam_write(&m, i + 1, 0x18, 8, m.described.device[i + 1].bar[0]);
		ecam_write(&m, i + 1, 0x10, 4, m.described.device[i + 1].bar[1]);
		driver_probe(&d[i], &m, i + 1);
		driver_start(&d[i], fixture_random(&seed), any(2));
		for (unsigned n = 0; n < ACCESSES; n++) {
			unsigned q = (unsigned)any(d[i].queues);
			if (!any(8))
				poke_registers(&d[i]);
			offer_chain(&d[i], q);
			if (any(2))
				queue_kick(&d[i], q);
			outside_world();
			machine_pump(&m);
		}
		answers += queue_used_idx(&d[i], 0);
		needed_reset += driver_status(&d[i]) >> 6 & 1;
		still_sound(i);
	}
	/* It was no chat with a wall. */
	print_message("%u answers, %u resets needed, %u times asked for hints, %u named\n", answers,
		      needed_reset, hints_asked, hints_named);
	assert_true(answers > 10 * ROUNDS);
	assert_true(hints_named);
	assert_true(needed_reset > ROUNDS / 20 && needed_reset < ROUNDS * 19 / 20);
}

/* The same from another thread, that changes rings and buffers while they are worked on. */
static void *scribble(void *arg)
{
	volatile int *stop = arg;
	uint64_t s = 99;
	uint8_t *rings = m.mem.host + 0x200000;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		uint64_t r = fixture_random(&s);
		__atomic_store_n(&rings[r % 0x100000], (uint8_t)(r >> 40), __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_guest_that_writes_meanwhile_is_survived(void **unused)
{
	struct guest_driver d[DEVICES];
	uint64_t free_memory = m.next_gpa;
	pthread_t thread;
	int stop = 0;

	assert_int_equal(pthread_create(&thread, NULL, scribble, &stop), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = round % DEVICES;
		m.next_gpa = free_memory + i * 0x40000;
		disk_drain(&disk);
		driver_probe(&d[i], &m, i + 1);
		driver_start(&d[i], UINT64_MAX, true);
		for (unsigned n = 0; n < 20; n++) {
			for (unsigned q = 0; q < d[i].queues; q++) {
				offer_chain(&d[i], q);
				queue_kick(&d[i], q);
			}
			outside_world();
			machine_pump(&m);
		}
		still_sound(i);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(any_guest_is_survived),
	    TEST(a_guest_that_writes_meanwhile_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
