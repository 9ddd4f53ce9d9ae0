/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all kinds of virtio devices have in common: a PCI function with the virtio registers, and
 * queues that the event loop works on. Private to virtio*.c.
 *
 * Prefix: virtio_, with a _ at the end. With the device's lock held, but for init and fini.
 */
#ifndef DEVICES_VIRTIO_DEV_H
#define DEVICES_VIRTIO_DEV_H

#include "devices/pci_fn.h"
#include "devices/virtio.h"
#include "devices/virtio_queue.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define VIRTIO_VERSION	    1 /* of all models here, as in the machine description */
#define VIRTIO_CONFIG_BYTES 64
#define VIRTIO_BAR_BYTES    0x4000
#define VIRTIO_NO_VECTOR    0xffff
#define VIRTIO_BIT(feature) (UINT64_C(1) << (feature))
#define VIRTIO_RING_FEATURES                                                                       \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                \
	 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM))

struct virtio;
struct virtio_queue;

struct virtio_kind {
	const struct device_class *cls;
	uint16_t id;	    /* virtio 1.1, 5 */
	uint32_t pci_class; /* class, subclass, interface: 24 bits */
	uint64_t features;  /* all that this build has */
	uint16_t queues, queue_size;
	/* Requests are there, or may be. Bounded: what is left is asked for by virtio_again_(). */
	void (*work)(struct virtio *v, struct virtio_queue *q);
	/* The driver is ready or gone, or another state was loaded. May be NULL. */
	void (*changed)(struct virtio *v);
	/* The driver wrote @len bytes (1, 2 or 4) to device configuration. May be NULL: it may not. */
	void (*configured)(struct virtio *v, uint64_t offset, unsigned len, uint32_t value);
	/* Are requests in flight outside the device's lock? May be NULL: never. */
	bool (*busy)(const struct virtio *v);
};

struct virtio_queue {
	struct virtq q; /* first */
	struct virtio *v;
	unsigned index;
	int doorbell; /* eventfd */
};

struct virtio {
	struct pci_fn fn; /* first; its first is struct device */
	struct virtio_state *st;
	const struct virtio_kind *kind;
	struct virtio_host host;
	uint64_t offered;
	uint16_t queue_n, queue_max;
	uint8_t config[VIRTIO_CONFIG_BYTES];
	unsigned config_bytes;
	bool paused;
	bool resetting; /* the driver asked for a reset, requests are still in flight */
	unsigned access_cap;
	struct virtio_queue queue[VIRTIO_QUEUES_MAX];
};

/** virtio_describe_() - what the machine description says of any device of @kind. */
void virtio_describe_(struct machine_device *md, const char *id, const struct virtio_kind *kind);

/**
 * virtio_init_() - from a description, new or saved
 * @v:  zeroed, but for config and config_bytes
 * @st: the device's state, of kind->cls->state; it begins with VIRTIO_COMMON
 * On failure virtio_fini_() is called by this.
 * Returns 0, -ERR_INCOMPATIBLE, and what pci_fn_init() and loop_add() return.
 */
int virtio_init_(struct virtio *v, const struct virtio_kind *kind, void *st,
		 const struct machine_device *md, const struct virtio_host *host,
		 struct err *e) MUST_CHECK;
void virtio_fini_(struct virtio *v);

static inline bool virtio_has_(const struct virtio *v, unsigned feature)
{
	return v->st->features >> feature & 1;
}

/** virtio_usable_() - may queues be touched at all? Requests in flight may still be completed while
 * the device is paused. */
bool virtio_usable_(const struct virtio *v);
/** virtio_live_() - may work be started? */
bool virtio_live_(const struct virtio *v);
/** virtio_again_() - have work() called again. */
void virtio_again_(struct virtio_queue *q);
void virtio_kick_all_(struct virtio *v);

/** virtio_signal_() - interrupt for what was pushed to @q, if the driver wants one. */
void virtio_signal_(struct virtio_queue *q);
/** virtio_config_changed_() - v->config has new contents. */
void virtio_config_changed_(struct virtio *v);
/** virtio_broken_() - the guest broke the rules: nothing more happens until it resets the device.
 */
void virtio_broken_(struct virtio *v);
/** virtio_idle_() - nothing is in flight any more: a reset that waited for it takes place. */
void virtio_idle_(struct virtio *v);

/* Hooks of struct device_class. */
void virtio_pause_(struct device *d);
void virtio_resume_(struct device *d);
void virtio_pre_save_(struct device *d);
int virtio_check_(const struct device *d, const void *st, struct err *e);
void virtio_post_load_(struct device *d);
void virtio_reset_(struct device *d);
/* For kinds that own nothing but themselves; struct virtio is their first member. */
void virtio_free_(struct device *d);

/* virtio_pci.c: registers. virtio.c: what they do. */
extern const struct pci_fn_ops virtio_pci_ops_;
void virtio_pci_identify_(struct virtio *v);
void virtio_set_status_(struct virtio *v, uint8_t status);
void virtio_enable_queue_(struct virtio_queue *q);

#endif
