/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio network device under a driver, over a socket that keeps packets apart as a TAP does.
 */
#include "pci_machine.h"
#include "roundtrip.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define RX	   0
#define TX	   1
#define HEADER	   12
#define BIT(n)	   (UINT64_C(1) << (n))
#define MERGE	   BIT(VIRTIO_NET_F_MRG_RXBUF)
#define EVENT_IDX  BIT(VIRTIO_RING_F_EVENT_IDX)
#define EVERYTHING UINT64_MAX

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static struct pci_machine m;
static struct device *net;
static struct guest_driver d;
static int tap, wire; /* the device's end, and the world's */

static void describe(struct machine *md)
{
	virtio_net_describe(&md->device[md->device_n++], "net0", mac);
}

static int setup(void **unused)
{
	struct err e = ERR_INIT;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd), 0);
	tap = fd[0];
	wire = fd[1];
	machine_start(&m, describe);
	if (virtio_net_new(&m.described.device[1], &m.host, tap, &net, &e))
		fail_msg("%s", e.msg);
	driver_probe(&d, &m, 1);
	return 0;
}

static int teardown(void **unused)
{
	net->cls->free(net);
	machine_stop(&m);
	close(tap);
	if (wire >= 0)
		close(wire);
	return 0;
}

static void start(struct guest_driver *g)
{
	driver_start(g, EVERYTHING, true);
}

/* A packet comes in from the wire; byte i of it is i + @seed. */
static void incoming(size_t bytes, uint8_t seed)
{
	uint8_t p[70000];

	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(i + seed);
	memset(p, 0, HEADER);
	int size = sizeof p * 4;
	setsockopt(wire, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	assert_int_equal(send(wire, p, bytes, 0), (ssize_t)bytes);
}

static uint64_t add_rx(uint32_t bytes)
{
	uint64_t at = guest_alloc(&m, bytes);
	struct guest_buf b = {at, bytes, true};

	memset(guest_ptr(&m, at, bytes), 0xcc, bytes);
	queue_add(&d, RX, &b, 1, false);
	return at;
}

/* The next used buffer is at @at with bytes @from to @from + @n of a packet. */
static void expect_rx(uint64_t at, size_t from, size_t n, uint8_t seed)
{
	uint16_t head;
	uint32_t len;
	const uint8_t *p = guest_ptr(&m, at, n);

	assert_true(queue_used(&d, RX, &head, &len));
	assert_int_equal(len, n);
	for (size_t i = from < HEADER ? HEADER - from : 0; i < n; i++)
		assert_int_equal(p[i], (uint8_t)(from + i + seed));
}

static uint16_t num_buffers(uint64_t at)
{
	return num_le16(guest_ptr(&m, at + 10, 2));
}

static bool rx_answered(void)
{
	return queue_used_idx(&d, RX) != d.q[RX].last_used;
}

/* --- tests --------------------------------------------------------------------------------- */

static void configuration_says_what_it_can_do(void **unused)
{
	assert_int_equal(ecam_read(&m, 1, 0, 4), 0x10411af4);
	assert_int_equal(ecam_read(&m, 1, PCI_REG_CLASS, 4), 0x02000001);
	uint64_t offered = driver_offered(&d);
	static const unsigned has[] = {
	    VIRTIO_NET_F_CSUM,	     VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_MAC,
	    VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO4,
	    VIRTIO_NET_F_HOST_TSO6,  VIRTIO_NET_F_MRG_RXBUF,  VIRTIO_NET_F_STATUS,
	    VIRTIO_F_VERSION_1,	     VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
	for (size_t i = 0; i < ARRAY_LEN(has); i++) {
		assert_true(offered & BIT(has[i]));
		offered &= ~BIT(has[i]);
	}
	assert_int_equal(offered, 0);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(mmio_read(&m, d.config + i, 1), mac[i]);
	assert_int_equal(mmio_read(&m, d.config + 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(mmio_read(&m, d.config + 8, 2), 0);
}

static void packets_go_out(void **unused)
{
	uint64_t at = guest_alloc(&m, 4096);
	uint8_t *p = guest_ptr(&m, at, 4096), got[4096];
	uint16_t head;
	uint32_t len;

	start(&d);
	for (unsigned i = HEADER; i < 1500; i++)
		p[i] = (uint8_t)i;
	struct guest_buf b[] = {{at, 12, false}, {at + 12, 588, false}, {at + 600, 900, false}};
	for (unsigned i = 0; i < 5; i++)
		queue_add(&d, TX, b, 3, i & 1);
	queue_kick(&d, TX);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(recv(wire, got, sizeof got, 0), 1500);
		assert_memory_equal(got, p, 1500);
		assert_true(queue_used(&d, TX, &head, &len));
		assert_int_equal(len, 0);
	}
	assert_int_equal(driver_interrupts(&d), 1 << (TX + 1));
	/* One that is larger than any packet goes nowhere, and comes back. */
	uint64_t big = guest_alloc(&m, 0x20000);
	struct guest_buf whole = {big, 0x20000, false};
	queue_add(&d, TX, &whole, 1, false);
	queue_kick(&d, TX);
	assert_true(queue_used(&d, TX, &head, &len));
	assert_int_equal(recv(wire, got, sizeof got, 0), -1);
	assert_int_equal(driver_status(&d), 0xf);
}

static void more_than_a_pass_goes_out(void **unused)
{
	uint64_t at = guest_alloc(&m, 64);
	struct guest_buf b = {at, 64, false};
	char got[64];
	unsigned n = 0;

	start(&d);
	for (unsigned i = 0; i < 200; i++)
		queue_add(&d, TX, &b, 1, false);
	queue_kick(&d, TX);
	assert_int_equal(queue_used_idx(&d, TX), 200);
	while (recv(wire, got, sizeof got, 0) == 64)
		n++;
	assert_true(n > 0 && n <= 200); /* the socket takes what it has room for */
}

static void packets_come_in(void **unused)
{
	uint64_t at[3];

	driver_start(&d, ~MERGE, true);
	for (unsigned i = 0; i < 3; i++)
		at[i] = add_rx(1526);
	queue_kick(&d, RX);
	incoming(100, 1);
	incoming(1526, 2);
	machine_pump(&m);
	expect_rx(at[0], 0, 100, 1);
	expect_rx(at[1], 0, 1526, 2);
	assert_int_equal(num_buffers(at[0]), 1);
	assert_int_equal(driver_interrupts(&d), 1 << (RX + 1));
	/* One that is too long for the buffers is lost, and the buffer is not. */
	incoming(1527, 3);
	incoming(60, 4);
	machine_pump(&m);
	expect_rx(at[2], 0, 60, 4);
	assert_false(rx_answered());
}

static void packets_wait_on_the_wire_for_buffers(void **unused)
{
	start(&d);
	incoming(100, 1);
	incoming(101, 2);
	machine_pump(&m); /* and does not go round in circles meanwhile */
	assert_false(rx_answered());
	uint64_t a = add_rx(2048);
	queue_kick(&d, RX);
	expect_rx(a, 0, 100, 1);
	assert_false(rx_answered());
	uint64_t b = add_rx(2048);
	queue_kick(&d, RX);
	expect_rx(b, 0, 101, 2);
	incoming(102, 3);
	machine_pump(&m);
	assert_false(rx_answered());
	uint64_t c = add_rx(2048);
	queue_kick(&d, RX);
	expect_rx(c, 0, 102, 3);
	/* With buffers there the driver need not notify. */
	uint16_t *avail_event = guest_ptr(&m, d.q[RX].used + 4 + 8 * d.q[RX].size, 2);
	assert_int_equal(*avail_event, 3);
}

static void large_packets_are_spread(void **unused)
{
	uint64_t at[5];

	start(&d);
	for (unsigned i = 0; i < 4; i++)
		at[i] = add_rx(1000);
	queue_kick(&d, RX);
	incoming(2500, 9);
	machine_pump(&m);
	assert_int_equal(num_buffers(at[0]), 3);
	expect_rx(at[0], 0, 1000, 9);
	expect_rx(at[1], 1000, 1000, 9);
	expect_rx(at[2], 2000, 500, 9);
	assert_false(rx_answered());
	driver_interrupts(&d);
	/* With too few buffers it waits, and is asked for when more are there. */
	incoming(1900, 5);
	machine_pump(&m);
	assert_false(rx_answered());
	assert_int_equal(*(uint16_t *)guest_ptr(&m, d.q[RX].used + 4 + 8 * d.q[RX].size, 2), 4);
	*(uint16_t *)guest_ptr(&m, d.q[RX].avail + 4 + 2 * d.q[RX].size, 2) = 3;
	at[4] = add_rx(1000);
	queue_kick(&d, RX);
	assert_int_equal(num_buffers(at[3]), 2);
	expect_rx(at[3], 0, 1000, 5);
	expect_rx(at[4], 1000, 900, 5);
	assert_int_equal(driver_interrupts(&d), 1 << (RX + 1));
}

static void the_largest_packet_fits(void **unused)
{
	uint64_t at;

	start(&d);
	at = add_rx(70000);
	queue_kick(&d, RX);
	incoming(65562, 1);
	machine_pump(&m);
	expect_rx(at, 0, 65562, 1);
	/* Buffers of which a whole queue would not do: it is dropped rather than waited for. */
	driver_start(&d, EVERYTHING, true);
	for (unsigned i = 0; i < d.q[RX].size; i++)
		add_rx(20);
	queue_kick(&d, RX);
	incoming(20 * 256 + 1, 2);
	incoming(40, 3);
	machine_pump(&m);
	assert_int_equal(queue_used_idx(&d, RX), 2);
}

static void without_event_index_flags_do(void **unused)
{
	driver_start(&d, ~EVENT_IDX, true);
	uint16_t *flags = guest_ptr(&m, d.q[RX].used, 2);

	assert_int_equal(*flags, 0);
	uint64_t a = add_rx(2048);
	queue_kick(&d, RX);
	assert_int_equal(*flags, VRING_USED_F_NO_NOTIFY);
	incoming(100, 1);
	machine_pump(&m);
	expect_rx(a, 0, 100, 1);
	assert_int_equal(*flags, 0);
}

static void poke(struct guest_driver *g)
{
	incoming(100, 1);
	machine_pump(&m);
}

static void breaking_the_rules_needs_a_reset(void **unused)
{
	queue_abuse(&d, TX, start, NULL);
	/* Packets that arrive meanwhile stay where they are: read them off. */
	char old[256];
	queue_abuse(&d, RX, start, poke);
	while (recv(tap, old, sizeof old, 0) > 0)
		;
	/* Buffers that only the driver may write, and ones too small for a header. */
	static const struct {
		unsigned q;
		uint32_t len;
		bool in;
	} bad[] = {{RX, 2048, false}, {RX, 11, true}, {TX, 2048, true}, {TX, 11, false}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		start(&d);
		struct guest_buf b = {guest_alloc(&m, 2048), bad[i].len, bad[i].in};
		queue_add(&d, bad[i].q, &b, 1, false);
		queue_kick(&d, bad[i].q);
		poke(&d);
		assert_int_equal(driver_status(&d), 0x4f);
		while (recv(tap, old, sizeof old, 0) > 0)
			;
	}
}

static void the_cable_can_be_pulled(void **unused)
{
	uint64_t at = guest_alloc(&m, 64);
	struct guest_buf b = {at, 64, false};
	char got[64];

	start(&d);
	add_rx(2048);
	queue_kick(&d, RX);
	uint64_t generation = mmio_read(&m, d.common + 21, 1);
	virtio_net_link(net, false);
	assert_int_equal(driver_interrupts(&d), 1);
	assert_int_equal(mmio_read(&m, d.config + 6, 2), 0);
	assert_int_not_equal(mmio_read(&m, d.common + 21, 1), generation);
	incoming(100, 1);
	queue_add(&d, TX, &b, 1, false);
	queue_kick(&d, TX);
	assert_int_equal(queue_used_idx(&d, TX), 1);
	assert_int_equal(driver_interrupts(&d), 1 << (TX + 1));
	assert_int_equal(recv(wire, got, sizeof got, 0), -1);
	assert_false(rx_answered());
	virtio_net_link(net, true);
	virtio_net_link(net, true);
	assert_int_equal(driver_interrupts(&d), 1);
	incoming(100, 1);
	machine_pump(&m);
	assert_true(rx_answered());
}

static void a_tap_taken_away_is_no_more_than_silence(void **unused)
{
	uint64_t at = guest_alloc(&m, 64);
	struct guest_buf b = {at, 64, false};

	start(&d);
	add_rx(2048);
	queue_kick(&d, RX);
	close(wire);
	wire = -1;
	machine_pump(&m);
	queue_add(&d, TX, &b, 1, false);
	queue_kick(&d, TX);
	assert_int_equal(queue_used_idx(&d, TX), 1);
	assert_int_equal(driver_status(&d), 0xf);
}

static void a_paused_device_leaves_packets_alone(void **unused)
{
	start(&d);
	uint64_t a = add_rx(2048);
	queue_kick(&d, RX);
	device_lock(net);
	net->cls->pause(net);
	device_unlock(net);
	incoming(100, 1);
	machine_pump(&m);
	assert_false(rx_answered());
	device_lock(net);
	net->cls->resume(net);
	device_unlock(net);
	machine_pump(&m);
	expect_rx(a, 0, 100, 1);
}

static void modify(struct device *dev)
{
	start(&d);
	for (unsigned i = 0; i < 4; i++)
		add_rx(2048);
	queue_kick(&d, RX);
	incoming(100, 1);
	machine_pump(&m);
	virtio_net_link(net, false);
}

static void state_round_trips(void **unused)
{
	struct err e = ERR_INIT;
	struct buf saved;

	roundtrip(net, modify);
	assert_int_equal(mmio_read(&m, d.config + 6, 2), 0);
	virtio_net_link(net, true);
	device_save(net, &saved);
	/* Into another device: buffers that were offered before are used there. */
	net->cls->free(net);
	assert_int_equal(virtio_net_new(&m.described.device[1], &m.host, tap, &net, &e), 0);
	assert_int_equal(device_load(net, &saved), 0);
	machine_pump(&m);
	incoming(200, 7);
	machine_pump(&m);
	assert_int_equal(queue_used_idx(&d, RX), 2);
	assert_int_equal(mmio_read(&m, d.config + 6, 2), 1);
	buf_free(&saved);
}

static void names_of_interfaces_are_checked(void **unused)
{
	static const char *const bad[] = {"", "tap%d", "a/b", "sixteen-letters-", "a b"};
	struct err e = ERR_INIT;
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(tap_open(bad[i], &fd, &e), -ERR_USAGE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(configuration_says_what_it_can_do),
	    TEST(packets_go_out),
	    TEST(more_than_a_pass_goes_out),
	    TEST(packets_come_in),
	    TEST(packets_wait_on_the_wire_for_buffers),
	    TEST(large_packets_are_spread),
	    TEST(the_largest_packet_fits),
	    TEST(without_event_index_flags_do),
	    TEST(breaking_the_rules_needs_a_reset),
	    TEST(the_cable_can_be_pulled),
	    TEST(a_tap_taken_away_is_no_more_than_silence),
	    TEST(a_paused_device_leaves_packets_alone),
	    TEST(state_round_trips),
	    TEST(names_of_interfaces_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
