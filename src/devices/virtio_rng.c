/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio entropy source (virtio 1.1, 5.4): the host's random numbers. */
#include "devices/virtio_dev.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#define QUEUE_SIZE 64
#define CLASS	   0x00ff00 /* unclassified, other */

/* A driver may be given less than it has room for. */
#define REQUEST_BYTES_MAX 4096
#define PASS_REQUESTS	  16

struct rng {
	struct virtio v; /* first */
	struct virtio_rng_state st;
	struct virtq_chain chain;
};

static bool fill(struct virtio_queue *q, const struct virtq_chain *chain)
{
	uint8_t bytes[REQUEST_BYTES_MAX];
	size_t n = chain->in_bytes < sizeof bytes ? chain->in_bytes : sizeof bytes;
	ssize_t got = getrandom(bytes, n, 0);

	/* Up to 256 bytes it gives all, and more when no signal comes. */
	if (got < 0)
		got = 0;
	return chain->in_n && virtq_push(&q->q, chain, virtq_write(chain, 0, bytes, (size_t)got));
}

static void work(struct virtio *v, struct virtio_queue *q)
{
	struct rng *rng = (struct rng *)v;
	int r = 1;

	virtq_quiet(&q->q);
	for (unsigned budget = PASS_REQUESTS; budget && r > 0; budget--) {
		r = virtq_pop(&q->q, &rng->chain);
		if (r < 0 || (r > 0 && !fill(q, &rng->chain))) {
			virtio_broken_(v);
			return;
		}
	}
	virtio_signal_(q);
	if (r > 0 || !virtq_wait(&q->q))
		virtio_again_(q);
}

static const struct device_class rng_class = {
    .type = "virtio-rng",
    .state = &virtio_rng_state_desc,
    .pause = virtio_pause_,
    .resume = virtio_resume_,
    .pre_save = virtio_pre_save_,
    .check = virtio_check_,
    .post_load = virtio_post_load_,
    .reset = virtio_reset_,
    .free = virtio_free_,
};

static const struct virtio_kind rng_kind = {
    .cls = &rng_class,
    .id = VIRTIO_ID_RNG,
    .pci_class = CLASS,
    .features = VIRTIO_RING_FEATURES,
    .queues = 1,
    .queue_size = QUEUE_SIZE,
    .work = work,
};

void virtio_rng_describe(struct machine_device *md, const char *id)
{
	virtio_describe_(md, id, &rng_kind);
}

int virtio_rng_new(const struct machine_device *md, const struct virtio_host *host,
		   struct device **out, struct err *e)
{
	struct rng *rng = calloc(1, sizeof *rng);

	if (!rng)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = virtio_init_(&rng->v, &rng_kind, &rng->st, md, host, e);
	if (r) {
		free(rng);
		return r;
	}
	*out = &rng->v.fn.dev;
	return 0;
}
