/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_queue.h"

#include <linux/virtio_ring.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian");

#define AVAIL_FLAGS   0
#define AVAIL_IDX     2
#define AVAIL_RING    4
#define USED_FLAGS    0
#define USED_IDX      2
#define USED_RING     4
#define RING_EXTRA    6 /* flags, index, and the event index behind the ring */
#define AVAIL_ELEMENT sizeof(uint16_t)
#define USED_ELEMENT  sizeof(struct vring_used_elem)

static bool has(const struct virtq *q, unsigned feature)
{
	return *q->features >> feature & 1;
}

int virtq_check(const struct virtio_queue_state *st, uint16_t size_max, const struct guest_mem *mem,
		struct err *e)
{
	uint64_t n = st->size;

	if (!n || n > size_max || n & (n - 1))
		return err_set(e, ERR_RANGE, "%u entries in a queue of at most %u", st->size,
			       size_max);
	if (st->desc % 16 || st->avail % 2 || st->used % 4 ||
	    !mem_ro(mem, gpa(st->desc), n * sizeof(struct vring_desc)) ||
	    !mem_ro(mem, gpa(st->avail), RING_EXTRA + n * AVAIL_ELEMENT) ||
	    !mem_ro(mem, gpa(st->used), RING_EXTRA + n * USED_ELEMENT))
		return err_set(e, ERR_RANGE, "a ring is not in guest memory or not aligned");
	return 0;
}

/* --- guest memory -------------------------------------------------------------------------- */

static bool load16(const struct virtq *q, uint64_t at, uint16_t *v)
{
	const uint16_t *p = mem_ro(q->mem, gpa(at), sizeof *p);

	if (p)
		*v = __atomic_load_n(p, __ATOMIC_ACQUIRE);
	return p;
}

/* Told after the write as well: a copy of the page may have been taken between mem_rw() and it. */
static void wrote(const struct virtq *q, uint64_t at, uint64_t len)
{
	(void)mem_rw(q->mem, gpa(at), len);
}

static bool store16(const struct virtq *q, uint64_t at, uint16_t v)
{
	uint16_t *p = mem_rw(q->mem, gpa(at), sizeof *p);

	if (!p)
		return false;
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
	wrote(q, at, sizeof *p);
	return true;
}

static uint64_t used_event_at(const struct virtq *q)
{
	return q->st->avail + AVAIL_RING + q->st->size * AVAIL_ELEMENT;
}

static uint64_t avail_event_at(const struct virtq *q)
{
	return q->st->used + USED_RING + q->st->size * USED_ELEMENT;
}

/* --- requests ------------------------------------------------------------------------------ */

static bool add_buffer(const struct virtq *q, struct virtq_chain *c, const struct vring_desc *d)
{
	bool in = d->flags & VRING_DESC_F_WRITE;
	unsigned n = c->out_n + c->in_n;

	/* Readable ones come first (2.6.4.2); an empty one is of no use to anybody. */
	if ((c->in_n && !in) || !d->len || n == VIRTQ_CHAIN_MAX)
		return false;
	const void *p = in && !q->only_names ? mem_rw(q->mem, gpa(d->addr), d->len)
					     : mem_ro(q->mem, gpa(d->addr), d->len);
	if (!p)
		return false;
	c->iov[n] = (struct iovec){(void *)(uintptr_t)p, d->len};
	c->at[n] = gpa(d->addr);
	if (in) {
		c->in_n++;
		c->in_bytes += d->len;
	} else {
		c->out_n++;
		c->out_bytes += d->len;
	}
	return true;
}

/* @table of @n descriptors, from number @i on. */
static bool walk(const struct virtq *q, struct virtq_chain *c, uint64_t table, uint32_t n,
		 uint32_t i, bool indirect)
{
	for (unsigned steps = 0; steps < VIRTQ_CHAIN_MAX; steps++) {
		struct vring_desc d;
		if (i >= n || !mem_read(q->mem, gpa_add(gpa(table), i * sizeof d), &d, sizeof d))
			return false;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* 2.6.5.3: the last one of its chain, and only one level deep */
			if (indirect || d.flags & VRING_DESC_F_NEXT ||
			    !has(q, VIRTIO_RING_F_INDIRECT_DESC) || d.len % sizeof d)
				return false;
			return walk(q, c, d.addr, d.len / (uint32_t)sizeof d, 0, true);
		}
		if (!add_buffer(q, c, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		i = d.next;
	}
	return false;
}

bool virtq_empty(const struct virtq *q)
{
	uint16_t idx;

	return !load16(q, q->st->avail + AVAIL_IDX, &idx) || idx == q->st->last_avail;
}

int virtq_pop(struct virtq *q, struct virtq_chain *out)
{
	struct virtio_queue_state *st = q->st;
	uint16_t idx, head;
	uint64_t slot = st->avail + AVAIL_RING + (st->last_avail & (st->size - 1)) * AVAIL_ELEMENT;

	if (!load16(q, st->avail + AVAIL_IDX, &idx))
		return -ERR_STRUCTURE;
	uint16_t waiting = (uint16_t)(idx - st->last_avail);
	if (!waiting)
		return 0;
	if (waiting > st->size || !load16(q, slot, &head))
		return -ERR_STRUCTURE;
	out->head = head;
	out->out_n = out->in_n = 0;
	out->out_bytes = out->in_bytes = 0;
	if (!walk(q, out, st->desc, st->size, head, false))
		return -ERR_STRUCTURE;
	st->last_avail++;
	return 1;
}

void virtq_unpop(struct virtq *q, unsigned n)
{
	q->st->last_avail = (uint16_t)(q->st->last_avail - n);
}

static void wrote_buffers(const struct virtq *q, const struct virtq_chain *c, uint64_t len)
{
	for (unsigned i = c->out_n; len && i < (unsigned)c->out_n + c->in_n; i++) {
		uint64_t n = c->iov[i].iov_len < len ? c->iov[i].iov_len : len;
		wrote(q, c->at[i].v, n);
		len -= n;
	}
}

bool virtq_put(struct virtq *q, const struct virtq_chain *chain, uint64_t len, unsigned ahead)
{
	uint16_t idx = (uint16_t)(q->st->used_idx + ahead);
	uint64_t at = q->st->used + USED_RING + (idx & (q->st->size - 1)) * USED_ELEMENT;
	struct vring_used_elem u = {
	    .id = chain->head,
	    .len = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len,
	};

	wrote_buffers(q, chain, len);
	if (!mem_write(q->mem, gpa(at), &u, sizeof u))
		return false;
	wrote(q, at, sizeof u);
	return true;
}

bool virtq_advance(struct virtq *q, unsigned n)
{
	q->st->used_idx = (uint16_t)(q->st->used_idx + n);
	return store16(q, q->st->used + USED_IDX, q->st->used_idx);
}

bool virtq_push(struct virtq *q, const struct virtq_chain *chain, uint64_t len)
{
	return virtq_put(q, chain, len, 0) && virtq_advance(q, 1);
}

/* --- notifications ------------------------------------------------------------------------- */

void virtq_quiet(struct virtq *q)
{
	/* With an event index nothing is to be done: the old one lies behind. */
	if (!has(q, VIRTIO_RING_F_EVENT_IDX))
		store16(q, q->st->used + USED_FLAGS, VRING_USED_F_NO_NOTIFY);
}

bool virtq_wait_past(struct virtq *q, unsigned n)
{
	uint16_t seen = (uint16_t)(q->st->last_avail + n), idx;

	if (has(q, VIRTIO_RING_F_EVENT_IDX))
		store16(q, avail_event_at(q), seen);
	else
		store16(q, q->st->used + USED_FLAGS, 0);
	/* What the driver added before it saw this, it will not notify of. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !load16(q, q->st->avail + AVAIL_IDX, &idx) || idx == seen;
}

bool virtq_wait(struct virtq *q)
{
	return virtq_wait_past(q, 0);
}

bool virtq_signal(struct virtq *q)
{
	uint16_t old = q->signalled, now = q->st->used_idx, v;

	q->signalled = now;
	if (old == now)
		return false;
	/* The used index is out before what the driver wants is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (has(q, VIRTIO_RING_F_EVENT_IDX))
		return load16(q, used_event_at(q), &v) && vring_need_event(v, now, old);
	return load16(q, q->st->avail + AVAIL_FLAGS, &v) && !(v & VRING_AVAIL_F_NO_INTERRUPT);
}

/* --- copies -------------------------------------------------------------------------------- */

size_t virtq_read(const struct virtq_chain *c, uint64_t skip, void *to, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; done < len && i < c->out_n; i++) {
		size_t n = c->iov[i].iov_len;
		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > len - done)
			n = len - done;
		memcpy((char *)to + done, (const char *)c->iov[i].iov_base + skip, n);
		skip = 0;
		done += n;
	}
	return done;
}

size_t virtq_write(const struct virtq_chain *c, uint64_t skip, const void *from, size_t len)
{
	size_t done = 0;

	for (unsigned i = c->out_n; done < len && i < (unsigned)c->out_n + c->in_n; i++) {
		size_t n = c->iov[i].iov_len;
		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > len - done)
			n = len - done;
		memcpy((char *)c->iov[i].iov_base + skip, (const char *)from + done, n);
		skip = 0;
		done += n;
	}
	return done;
}
