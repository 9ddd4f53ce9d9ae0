/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio console (virtio 1.1, 5.3) of one port. */
#include "devices/serial.h"
#include "devices/virtio_dev.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>

#define QUEUE_SIZE 128
#define CLASS	   0x078000 /* communication, other */
#define RX	   0
#define TX	   1

/* No driver writes as much at a time: Linux does pages, or a pipe's contents when spliced. */
#define REQUEST_BYTES_MAX MIB
#define PASS_REQUESTS	  32

struct console {
	struct virtio v; /* first */
	struct virtio_console_state st;
	struct serial_end *end;
	bool refused; /* virtio_console_input() took less than all */
	struct virtq_chain chain;
};

/* --- to the guest -------------------------------------------------------------------------- */

/* Some of @data into one buffer. Returns how much; 0: there is none, or the guest broke the rules.
 */
static size_t input_some(struct console *c, struct virtio_queue *q, const void *data, size_t n)
{
	int r = virtq_pop(&q->q, &c->chain);

	if (!r)
		return 0;
	size_t done = r > 0 ? virtq_write(&c->chain, 0, data, n) : 0;
	if (!done || !virtq_push(&q->q, &c->chain, done)) {
		virtio_broken_(&c->v);
		return 0;
	}
	return done;
}

static size_t input(struct console *c, const char *data, size_t n)
{
	struct virtio_queue *q = &c->v.queue[RX];
	size_t done = 0;

	while (done < n && virtio_live_(&c->v) && q->q.st->enabled) {
		size_t some = input_some(c, q, data + done, n - done);
		done += some;
		if (!some && virtq_wait(&q->q))
			break;
	}
	if (done)
		virtio_signal_(q);
	return done;
}

size_t virtio_console_input(struct device *d, const void *data, size_t n)
{
	struct console *c = (struct console *)d;

	device_lock(d);
	size_t done = input(c, data, n);
	if (done < n)
		c->refused = true;
	device_unlock(d);
	return done;
}

static void tell_room(struct console *c)
{
	if (!c->refused)
		return;
	c->refused = false;
	c->end->room(c->end);
}

/* --- from the guest ------------------------------------------------------------------------ */

static bool output(struct console *c, struct virtio_queue *q)
{
	const struct virtq_chain *chain = &c->chain;

	if (chain->out_bytes > REQUEST_BYTES_MAX)
		return false;
	for (unsigned i = 0; i < chain->out_n; i++)
		c->end->out(c->end, chain->iov[i].iov_base, chain->iov[i].iov_len);
	return virtq_push(&q->q, chain, 0);
}

static void work(struct virtio *v, struct virtio_queue *q)
{
	struct console *c = (struct console *)v;
	int r = 1;

	if (q->index == RX) {
		tell_room(c);
		return;
	}
	virtq_quiet(&q->q);
	for (unsigned budget = PASS_REQUESTS; budget && r > 0; budget--) {
		r = virtq_pop(&q->q, &c->chain);
		if (r < 0 || (r > 0 && !output(c, q))) {
			virtio_broken_(v);
			return;
		}
	}
	virtio_signal_(q);
	if (r > 0 || !virtq_wait(&q->q))
		virtio_again_(q);
}

/* --- life ---------------------------------------------------------------------------------- */

static const struct device_class console_class = {
    .type = "virtio-console",
    .state = &virtio_console_state_desc,
    .pause = virtio_pause_,
    .resume = virtio_resume_,
    .pre_save = virtio_pre_save_,
    .check = virtio_check_,
    .post_load = virtio_post_load_,
    .reset = virtio_reset_,
    .free = virtio_free_,
};

static const struct virtio_kind console_kind = {
    .cls = &console_class,
    .id = VIRTIO_ID_CONSOLE,
    .pci_class = CLASS,
    .features = VIRTIO_RING_FEATURES,
    .queues = 2,
    .queue_size = QUEUE_SIZE,
    .work = work,
};

void virtio_console_describe(struct machine_device *md, const char *id)
{
	virtio_describe_(md, id, &console_kind);
}

int virtio_console_new(const struct machine_device *md, const struct virtio_host *host,
		       struct serial_end *end, struct device **out, struct err *e)
{
	struct console *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->end = end;
	int r = virtio_init_(&c->v, &console_kind, &c->st, md, host, e);
	if (r) {
		free(c);
		return r;
	}
	*out = &c->v.fn.dev;
	return 0;
}
