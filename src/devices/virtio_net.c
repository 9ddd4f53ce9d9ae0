/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio network device (virtio 1.1, 5.1) over a TAP device. */
#include "devices/virtio_dev.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define QUEUE_SIZE 256
#define CLASS	   0x020000 /* Ethernet */
#define RX	   0
#define TX	   1

#define HEADER	     sizeof(struct virtio_net_hdr_mrg_rxbuf)
#define PACKET_BYTES (HEADER + 14 + 4 + 65535) /* Ethernet, a VLAN tag, the largest IP packet */
#define PASS_PACKETS 64
_Static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == 12, "as TUNSETVNETHDRSZ is told");

#define FEATURES                                                                                   \
	(VIRTIO_RING_FEATURES | VIRTIO_BIT(VIRTIO_NET_F_CSUM) |                                    \
	 VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_MAC) |                      \
	 VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) |               \
	 VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6) |                 \
	 VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_BIT(VIRTIO_NET_F_STATUS))

struct net {
	struct virtio v; /* first */
	struct virtio_net_state st;
	int tap; /* -1 once it is gone */
	bool watching;
	size_t packet_bytes; /* of a packet that waits for buffers; 0: none. Not saved: the network
				may lose it */
	uint8_t packet[PACKET_BYTES];
	unsigned too_few; /* buffers that were there for it, and not enough */
	struct virtq_chain first, rest;
};

static void watch(struct net *n, bool on)
{
	if (n->tap >= 0 && n->watching != on)
		loop_mod(n->v.host.loop, n->tap, on ? EPOLLIN : 0);
	n->watching = on;
}

/* --- to the guest -------------------------------------------------------------------------- */

/* The next packet. False when there is none now. */
static bool receive(struct net *n)
{
	ssize_t got;

	if (n->tap < 0)
		return false;
	do
		got = read(n->tap, n->packet, sizeof n->packet);
	while (got < 0 && errno == EINTR);
	if (!got || (got < 0 && errno != EAGAIN)) {
		/* The interface was taken away: as with a cable, nothing comes any more. */
		loop_del(n->v.host.loop, n->tap);
		n->tap = -1;
	}
	n->packet_bytes = got > (ssize_t)HEADER ? (size_t)got : 0;
	return got > 0;
}

/*
 * Put the packet into buffers: one, or as many as it takes if the driver can merge them.
 * Returns 1 when it is there (or was dropped: it will never fit), 0 when more buffers are needed,
 * or -ERR_STRUCTURE.
 */
static int deliver(struct net *n, struct virtq *q)
{
	bool merge = virtio_has_(&n->v, VIRTIO_NET_F_MRG_RXBUF);
	size_t done = 0;
	unsigned used = 0;

	while (done < n->packet_bytes) {
		struct virtq_chain *c = used ? &n->rest : &n->first;
		int r = virtq_pop(q, c);
		if (r < 0 || (r > 0 && (!c->in_n || (!used && c->in_bytes < HEADER))))
			return -ERR_STRUCTURE;
		if (r)
			used++;
		if (!r || (!merge && c->in_bytes < n->packet_bytes)) {
			virtq_unpop(q, used);
			n->too_few = used;
			return r || used == q->st->size;
		}
		size_t some = virtq_write(c, 0, n->packet + done, n->packet_bytes - done);
		done += some;
		if (used > 1 && !virtq_put(q, c, some, used - 1))
			return -ERR_STRUCTURE;
	}
	uint16_t buffers = (uint16_t)used;
	size_t some = n->first.in_bytes < done ? n->first.in_bytes : done;
	virtq_write(&n->first, offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &buffers,
		    sizeof buffers);
	return virtq_put(q, &n->first, some, 0) && virtq_advance(q, used) ? 1 : -ERR_STRUCTURE;
}

/* One packet on its way. False when that has to wait, for a packet or for buffers. */
static bool rx_step(struct net *n, struct virtio_queue *q)
{
	if (virtq_empty(&q->q) && virtq_wait(&q->q)) {
		watch(n, false);
		return false;
	}
	if (!n->packet_bytes && !receive(n)) {
		watch(n, true);
		return false;
	}
	if (!n->st.link_up)
		n->packet_bytes = 0;
	int r = n->packet_bytes ? deliver(n, &q->q) : 1;
	if (r < 0) {
		virtio_broken_(&n->v);
		watch(n, false);
		return false;
	}
	if (r) {
		n->packet_bytes = 0;
		return true;
	}
	/* Some buffers are there, but not enough. */
	watch(n, false);
	return !virtq_wait_past(&q->q, n->too_few);
}

static void rx(struct net *n, struct virtio_queue *q)
{
	unsigned budget = PASS_PACKETS;

	virtq_quiet(&q->q);
	while (budget && rx_step(n, q))
		budget--;
	if (virtio_usable_(&n->v))
		virtio_signal_(q);
	if (!budget)
		virtio_again_(q);
}

static void on_tap(void *arg, uint32_t events)
{
	struct net *n = arg;
	struct virtio_queue *q = &n->v.queue[RX];

	device_lock(&n->v.fn.dev);
	if (virtio_live_(&n->v) && q->q.st->enabled)
		rx(n, q);
	else
		watch(n, false);
	device_unlock(&n->v.fn.dev);
}

/* --- from the guest ------------------------------------------------------------------------ */

/* The kernel checks the header; what it does not take is lost, as on a wire. */
static void transmit(struct net *n)
{
	const struct virtq_chain *c = &n->first;

	if (!n->st.link_up || n->tap < 0 || c->out_bytes > PACKET_BYTES)
		return;
	ssize_t sent = writev(n->tap, c->iov, c->out_n);
	(void)sent;
}

static void tx(struct net *n, struct virtio_queue *q)
{
	int r = 1;

	virtq_quiet(&q->q);
	for (unsigned budget = PASS_PACKETS; budget && r > 0; budget--) {
		r = virtq_pop(&q->q, &n->first);
		if (r < 0 || (r > 0 && n->first.out_bytes < HEADER)) {
			virtio_broken_(&n->v);
			return;
		}
		if (!r)
			break;
		transmit(n);
		if (!virtq_push(&q->q, &n->first, 0)) {
			virtio_broken_(&n->v);
			return;
		}
	}
	virtio_signal_(q);
	if (r > 0 || !virtq_wait(&q->q))
		virtio_again_(q);
}

static void work(struct virtio *v, struct virtio_queue *q)
{
	struct net *n = (struct net *)v;

	if (q->index == RX)
		rx(n, q);
	else
		tx(n, q);
}

/* --- life ---------------------------------------------------------------------------------- */

static void set_link(struct net *n)
{
	n->v.config[offsetof(struct virtio_net_config, status)] =
	    n->st.link_up ? VIRTIO_NET_S_LINK_UP : 0;
}

/* What the TAP may hand over: checksums to be filled in, packets to be cut up. */
static unsigned offloads(const struct virtio *v)
{
	unsigned o = 0;

	if (!virtio_usable_(v) || !virtio_has_(v, VIRTIO_NET_F_GUEST_CSUM))
		return 0;
	if (virtio_has_(v, VIRTIO_NET_F_GUEST_TSO4))
		o |= TUN_F_TSO4;
	if (virtio_has_(v, VIRTIO_NET_F_GUEST_TSO6))
		o |= TUN_F_TSO6;
	return o | TUN_F_CSUM;
}

static void changed(struct virtio *v)
{
	struct net *n = (struct net *)v;

	n->packet_bytes = 0;
	set_link(n);
	watch(n, false); /* until a queue is worked on */
	/* One that cannot has none switched on either. */
	if (n->tap >= 0)
		(void)ioctl(n->tap, TUNSETOFFLOAD, offloads(v));
}

void virtio_net_link(struct device *d, bool up)
{
	struct net *n = (struct net *)d;

	device_lock(d);
	if (n->st.link_up != up) {
		n->st.link_up = up;
		set_link(n);
		virtio_config_changed_(&n->v);
	}
	device_unlock(d);
}

static void net_pause(struct device *d)
{
	virtio_pause_(d);
	watch((struct net *)d, false);
}

static void net_reset(struct device *d)
{
	struct net *n = (struct net *)d;

	n->st.link_up = true;
	virtio_reset_(d);
}

static void net_free(struct device *d)
{
	struct net *n = (struct net *)d;

	if (n->tap >= 0)
		loop_del(n->v.host.loop, n->tap);
	virtio_fini_(&n->v);
	free(n);
}

static const struct device_class net_class = {
    .type = "virtio-net",
    .state = &virtio_net_state_desc,
    .pause = net_pause,
    .resume = virtio_resume_,
    .pre_save = virtio_pre_save_,
    .check = virtio_check_,
    .post_load = virtio_post_load_,
    .reset = net_reset,
    .free = net_free,
};

static const struct virtio_kind net_kind = {
    .cls = &net_class,
    .id = VIRTIO_ID_NET,
    .pci_class = CLASS,
    .features = FEATURES,
    .queues = 2,
    .queue_size = QUEUE_SIZE,
    .work = work,
    .changed = changed,
};

void virtio_net_describe(struct machine_device *md, const char *id, const uint8_t mac[static 6])
{
	virtio_describe_(md, id, &net_kind);
	memcpy(md->mac, mac, sizeof md->mac);
}

int virtio_net_new(const struct machine_device *md, const struct virtio_host *host, int tap,
		   struct device **out, struct err *e)
{
	struct net *n = calloc(1, sizeof *n);

	if (!n)
		return err_set(e, ERR_NOMEM, "out of memory");
	n->tap = -1; /* until the loop has it */
	memcpy(n->v.config + offsetof(struct virtio_net_config, mac), md->mac, sizeof md->mac);
	n->v.config_bytes = offsetof(struct virtio_net_config, max_virtqueue_pairs);
	int r = virtio_init_(&n->v, &net_kind, &n->st, md, host, e);
	if (r) {
		free(n);
		return r;
	}
	r = loop_add(host->loop, tap, 0, on_tap, n, e);
	if (r) {
		net_free(&n->v.fn.dev);
		return r;
	}
	n->tap = tap;
	changed(&n->v);
	*out = &n->v.fn.dev;
	return 0;
}
