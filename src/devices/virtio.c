/* SPDX-License-Identifier: Apache-2.0 */
/* What all virtio devices share: life, status, queues. */
#include "devices/virtio_dev.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STATUS_DRIVER_BITS                                                                         \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |        \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)
#define ISR_QUEUE  1
#define ISR_CONFIG 2

/* --- interrupts and doorbells -------------------------------------------------------------- */

static void interrupt(struct virtio *v, uint8_t isr, uint16_t vector)
{
	v->st->isr |= isr;
	pci_fn_interrupt(&v->fn, true);
	pci_fn_signal(&v->fn, vector);
}

void virtio_signal_(struct virtio_queue *q)
{
	if (virtq_signal(&q->q))
		interrupt(q->v, ISR_QUEUE, q->q.st->vector);
}

static void config_interrupt(struct virtio *v)
{
	if (v->st->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(v, ISR_CONFIG, v->st->config_vector);
}

void virtio_config_changed_(struct virtio *v)
{
	v->st->config_generation++;
	config_interrupt(v);
}

void virtio_broken_(struct virtio *v)
{
	if (v->st->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	v->st->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	config_interrupt(v);
}

bool virtio_usable_(const struct virtio *v)
{
	return (v->st->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) ==
		   VIRTIO_CONFIG_S_DRIVER_OK &&
	       !v->resetting;
}

bool virtio_live_(const struct virtio *v)
{
	return virtio_usable_(v) && !v->paused && pci_fn_is_master(&v->fn);
}

void virtio_again_(struct virtio_queue *q)
{
	uint64_t one = 1;

	if (write(q->doorbell, &one, sizeof one) < 0)
		return; /* the counter is full: it rings already */
}

void virtio_kick_all_(struct virtio *v)
{
	for (unsigned i = 0; i < v->queue_n; i++)
		if (v->st->queue[i].enabled)
			virtio_again_(&v->queue[i]);
}

static void on_doorbell(void *arg, uint32_t events)
{
	struct virtio_queue *q = arg;
	struct virtio *v = q->v;
	uint64_t n;

	if (read(q->doorbell, &n, sizeof n) < 0)
		return;
	device_lock(&v->fn.dev);
	if (virtio_live_(v) && q->q.st->enabled)
		v->kind->work(v, q);
	device_unlock(&v->fn.dev);
}

/* --- status -------------------------------------------------------------------------------- */

static void changed(struct virtio *v)
{
	if (v->kind->changed)
		v->kind->changed(v);
}

/* Virtio 1.1, 2.1: back to how the driver found it. What belongs to PCI stays. */
static void reset_transport(struct virtio *v)
{
	struct virtio_state old = *v->st;

	state_defaults(&virtio_state_desc, v->st);
	v->st->config_generation = old.config_generation;
	v->st->access_bar = old.access_bar;
	v->st->access_offset = old.access_offset;
	v->st->access_length = old.access_length;
	v->st->queue_n = v->queue_n;
	for (unsigned i = 0; i < v->queue_n; i++) {
		state_defaults(&virtio_queue_state_desc, &v->st->queue[i]);
		v->st->queue[i].size = v->queue_max;
		v->queue[i].q.signalled = 0;
	}
	v->resetting = false;
	pci_fn_interrupt(&v->fn, false);
	changed(v);
}

void virtio_idle_(struct virtio *v)
{
	if (v->resetting)
		reset_transport(v);
}

void virtio_set_status_(struct virtio *v, uint8_t status)
{
	uint8_t old = v->st->status, now = old | (status & STATUS_DRIVER_BITS);

	if (v->resetting)
		return;
	if (!status) {
		/* The buffers of requests in flight may not be the driver's again before they are
		 * done: the status reads as it was until then. */
		if (v->kind->busy && v->kind->busy(v))
			v->resetting = true;
		else
			reset_transport(v);
		return;
	}
	if (now & ~old & VIRTIO_CONFIG_S_FEATURES_OK &&
	    (v->st->features & ~v->offered || !virtio_has_(v, VIRTIO_F_VERSION_1)))
		now &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(now & VIRTIO_CONFIG_S_FEATURES_OK))
		now &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	v->st->status = now;
	if (now & ~old & VIRTIO_CONFIG_S_DRIVER_OK) {
		changed(v);
		virtio_kick_all_(v);
	}
}

void virtio_enable_queue_(struct virtio_queue *q)
{
	struct virtio_queue_state *st = q->q.st;

	if (virtq_check(st, q->v->queue_max, q->v->host.mem, NULL)) {
		virtio_broken_(q->v);
		return;
	}
	st->enabled = true;
	st->last_avail = 0;
	st->used_idx = 0;
	q->q.signalled = 0;
}

/* --- hooks --------------------------------------------------------------------------------- */

void virtio_pause_(struct device *d)
{
	struct virtio *v = (struct virtio *)d;

	v->paused = true;
}

void virtio_resume_(struct device *d)
{
	struct virtio *v = (struct virtio *)d;

	v->paused = false;
	/* Notifications that came in between, or that another host heard, count as heard by none.
	 */
	virtio_kick_all_(v);
}

void virtio_pre_save_(struct device *d)
{
	/* st is what the device works with: nothing is held elsewhere once nothing is in flight. */
}

static int check_queue(const struct virtio *v, const struct virtio_state *st, unsigned i,
		       struct err *e)
{
	const struct virtio_queue_state *q = &st->queue[i];
	const char *id = v->fn.dev.id;

	if (!q->size || q->size > v->queue_max || q->size & (q->size - 1))
		return err_set(e, ERR_RANGE, "%s: queue %u has %u entries of at most %u", id, i,
			       q->size, v->queue_max);
	if (q->vector != VIRTIO_NO_VECTOR && q->vector >= v->fn.vector_n)
		return err_set(e, ERR_RANGE, "%s: queue %u has vector %u of %u", id, i, q->vector,
			       v->fn.vector_n);
	if (!q->enabled)
		return 0;
	int r = virtq_check(q, v->queue_max, v->host.mem, e);
	if (r) {
		err_where(e, "%s: queue %u", id, i);
		return r;
	}
	if (q->last_avail != q->used_idx && !(st->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		return err_set(e, ERR_STRUCTURE, "%s: queue %u was saved with requests in flight",
			       id, i);
	return 0;
}

int virtio_check_(const struct device *d, const void *state, struct err *e)
{
	const struct virtio *v = (const struct virtio *)d;
	const struct virtio_rng_state *common = state;
	const struct virtio_state *st = &common->virtio;
	bool agreed = st->status & VIRTIO_CONFIG_S_FEATURES_OK;
	int r = pci_fn_check(&v->fn, &common->pci, e);

	if (r)
		return r;
	if (st->status & ~(STATUS_DRIVER_BITS | VIRTIO_CONFIG_S_NEEDS_RESET) ||
	    (st->status & VIRTIO_CONFIG_S_DRIVER_OK && !agreed))
		return err_set(e, ERR_RANGE, "%s: status 0x%x", d->id, st->status);
	if (agreed &&
	    (st->features & ~v->offered || !(st->features & VIRTIO_BIT(VIRTIO_F_VERSION_1))))
		return err_set(e, ERR_RANGE,
			       "%s: features 0x%" PRIx64 " accepted of 0x%" PRIx64 " offered",
			       d->id, st->features, v->offered);
	if (st->isr & ~(ISR_QUEUE | ISR_CONFIG))
		return err_set(e, ERR_RANGE, "%s: ISR 0x%x", d->id, st->isr);
	if (st->config_vector != VIRTIO_NO_VECTOR && st->config_vector >= v->fn.vector_n)
		return err_set(e, ERR_RANGE, "%s: configuration vector %u of %u", d->id,
			       st->config_vector, v->fn.vector_n);
	if (st->queue_n != v->queue_n)
		return err_set(e, ERR_STRUCTURE, "%s: %u queues, the device has %u", d->id,
			       st->queue_n, v->queue_n);
	for (unsigned i = 0; !r && i < st->queue_n; i++)
		r = check_queue(v, st, i, e);
	return r;
}

void virtio_post_load_(struct device *d)
{
	struct virtio *v = (struct virtio *)d;

	v->resetting = false;
	for (unsigned i = 0; i < v->queue_n; i++)
		v->queue[i].q.signalled = v->st->queue[i].used_idx;
	v->fn.interrupt = v->st->isr;
	pci_fn_post_load(&v->fn);
	changed(v);
}

void virtio_reset_(struct device *d)
{
	struct virtio *v = (struct virtio *)d;

	reset_transport(v);
	v->st->config_generation = 0;
	v->st->access_bar = 0;
	v->st->access_offset = 0;
	v->st->access_length = 0;
	pci_fn_reset(&v->fn);
}

/* --- life ---------------------------------------------------------------------------------- */

void virtio_describe_(struct machine_device *md, const char *id, const struct virtio_kind *kind)
{
	state_defaults(&machine_device_desc, md);
	strncpy(md->id, id, sizeof md->id - 1);
	strcpy(md->type, kind->cls->type);
	md->version = VIRTIO_VERSION;
	md->bar_bytes[PCI_BAR_REGISTERS] = VIRTIO_BAR_BYTES;
	md->bar_bytes[PCI_BAR_MSIX] = PCI_MSIX_BYTES;
	md->features = kind->features & ~VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
	md->queues = kind->queues;
	md->queue_size = kind->queue_size;
}

void virtio_offer_platform(struct machine_device *md)
{
	md->features |= VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

static int check_description(const struct virtio_kind *kind, const struct machine_device *md,
			     struct err *e)
{
	const char *type = kind->cls->type;
	uint64_t lacking = md->features & ~kind->features;

	if (strcmp(md->type, type))
		return err_set(e, ERR_INCOMPATIBLE, "%s is a %s, not a %s", md->id, md->type, type);
	if (md->version != VIRTIO_VERSION)
		return err_set(e, ERR_INCOMPATIBLE, "%s: version %u of %s, this build has %d",
			       md->id, md->version, type, VIRTIO_VERSION);
	if (lacking)
		return err_set(e, ERR_INCOMPATIBLE,
			       "%s: features 0x%" PRIx64 " of %s, which this build does not have",
			       md->id, lacking, type);
	if (!(md->features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		return err_set(e, ERR_INCOMPATIBLE, "%s: legacy virtio", md->id);
	if (md->queues != kind->queues || md->queue_size < 4 || md->queue_size > VIRTQ_SIZE_MAX ||
	    md->queue_size & (md->queue_size - 1))
		return err_set(e, ERR_INCOMPATIBLE,
			       "%s: %u queues of %u entries, this build has %u of at most %u",
			       md->id, md->queues, md->queue_size, kind->queues, VIRTQ_SIZE_MAX);
	if (md->bar_bytes[PCI_BAR_REGISTERS] != VIRTIO_BAR_BYTES ||
	    md->bar_bytes[PCI_BAR_MSIX] != PCI_MSIX_BYTES)
		return err_set(e, ERR_INCOMPATIBLE, "%s: BARs of other sizes than %s has", md->id,
			       type);
	return 0;
}

static int init_queue(struct virtio *v, unsigned i, struct err *e)
{
	struct virtio_queue *q = &v->queue[i];

	q->v = v;
	q->index = i;
	q->q = (struct virtq){
	    .st = &v->st->queue[i], .mem = v->host.mem, .features = &v->st->features};
	q->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->doorbell < 0)
		return err_sys(e, ERR_IO, errno, "%s: cannot make a doorbell", v->fn.dev.id);
	int r = loop_add(v->host.loop, q->doorbell, EPOLLIN, on_doorbell, q, e);
	if (r) {
		close(q->doorbell);
		return r;
	}
	v->queue_n++;
	return 0;
}

int virtio_init_(struct virtio *v, const struct virtio_kind *kind, void *st,
		 const struct machine_device *md, const struct virtio_host *host, struct err *e)
{
	struct virtio_rng_state *common = st;
	int r = check_description(kind, md, e);

	if (r)
		return r;
	device_init(&v->fn.dev, kind->cls, md->id, st);
	v->fn.st = &common->pci;
	v->st = &common->virtio;
	v->kind = kind;
	v->host = *host;
	v->offered = md->features;
	v->queue_max = md->queue_size;
	for (unsigned i = 0; !r && i < kind->queues; i++)
		r = init_queue(v, i, e);
	if (!r) {
		reset_transport(v);
		virtio_pci_identify_(v);
		r = pci_fn_init(&v->fn, host->pci, md, &virtio_pci_ops_, e);
	}
	if (r) {
		virtio_fini_(v);
		return r;
	}
	return 0;
}

void virtio_fini_(struct virtio *v)
{
	pci_fn_fini(&v->fn);
	for (unsigned i = 0; i < v->queue_n; i++) {
		loop_del(v->host.loop, v->queue[i].doorbell);
		close(v->queue[i].doorbell);
	}
	pthread_mutex_destroy(&v->fn.dev.lock);
}

void virtio_free_(struct device *d)
{
	virtio_fini_((struct virtio *)d);
	free(d);
}
