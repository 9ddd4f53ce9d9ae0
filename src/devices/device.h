/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices: buses and device models. A device is a struct whose first member is struct device and
 * whose `st` holds everything that survives a snapshot, declared in src/state/; what follows are
 * resources of this host. Devices know neither KVM nor each other.
 *
 * Prefixes: device_, bus_, and one for each model. Threads: every device has one lock. A bus takes
 * it around each access by a vCPU, the event loop's callbacks take it themselves, and hooks are called
 * with it held.
 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include "base/base.h"
#include "base/loop.h"
#include "devices/irq.h"
#include "layout/mem.h"
#include "state/state.h"

#include <pthread.h>

struct device;

/* One for each model. Every hook is mandatory: a model that has nothing to do says so itself. */
struct device_class {
	const char *type; /* "uart", "virtio-blk": also the type in the machine description */
	const struct state_desc *state;

	/* Quiesce: finish or drain what is in flight, start nothing more, so that st (after
	 * pre_save) and guest memory are all there is. Called with the lock held; a hook that waits for
	 * completions may drop it meanwhile. vCPUs are stopped. */
	void (*pause)(struct device *d);
	/* Undo pause, whether the snapshot that it was for was taken or not. */
	void (*resume)(struct device *d);
	/* Bring st up to date with host resources. Only after pause. */
	void (*pre_save)(struct device *d);
	/* Would @st do for this device? Pure. Trust: @st has the right types, nothing more. */
	int (*check)(const struct device *d, const void *st, struct err *e);
	/* st has been replaced: bring host resources in line. Touches no other device. The
	 * device is paused, and resumed afterwards. */
	void (*post_load)(struct device *d);
	/* Machine reset: st back to power-on. */
	void (*reset)(struct device *d);
	void (*free)(struct device *d);
};

#define DEVICE_ID_MAX 32

/* What a device can tell of the whole machine: what the guest asks for, or that vCPU @value has
 * stalled. Called with the device's lock held: it only takes note. */
enum device_event { DEVICE_POWER_OFF, DEVICE_RESET, DEVICE_DEBUG_EXIT, DEVICE_STALLED };

struct device_events {
	void (*happened)(struct device_events *ev, enum device_event what, uint32_t value);
};

struct device {
	const struct device_class *cls;
	char id[DEVICE_ID_MAX + 1]; /* given by the user or by the machine; unique in a VM */
	void *st;		    /* cls->state->size bytes, inside the device */
	pthread_mutex_t lock;
};

/** device_init() - for constructors of models: first member of the model, st to its defaults. */
void device_init(struct device *d, const struct device_class *cls, const char *id, void *st);

/** device_nothing() - for hooks of models that have nothing to do there. */
void device_nothing(struct device *d);
/** device_free() - for models that own nothing but themselves. */
void device_free(struct device *d);

static inline void device_lock(struct device *d)
{
	pthread_mutex_lock(&d->lock);
}

static inline void device_unlock(struct device *d)
{
	pthread_mutex_unlock(&d->lock);
}

/* --- buses: address ranges to devices ------------------------------------------------------ */

/* @offset counts from the start of the range; @len is 1, 2, 4 or 8; values little-endian in @v. */
struct bus_ops {
	uint64_t (*read)(struct device *d, uint64_t offset, unsigned len);
	void (*write)(struct device *d, uint64_t offset, unsigned len, uint64_t v);
};

#define BUS_RANGES_MAX 128

struct bus_range {
	uint64_t start, size;
	const struct bus_ops *ops;
	struct device *dev;
};

/* One for memory, one for I/O ports. Ranges come and go while vCPUs run (BARs move). */
struct bus {
	pthread_rwlock_t lock;
	uint32_t n;
	struct bus_range range[BUS_RANGES_MAX]; /* ascending */
};

void bus_init(struct bus *b);
void bus_fini(struct bus *b);

/** bus_add() - -ERR_STRUCTURE when it overlaps another range, -ERR_LIMIT when there are too many. */
int bus_add(struct bus *b, uint64_t start, uint64_t size, const struct bus_ops *ops,
	    struct device *dev, struct err *e) MUST_CHECK;
/** bus_del() - the range that starts at @start; nothing happens when there is none. */
void bus_del(struct bus *b, uint64_t start);

/**
 * bus_read(), bus_write() - an access by a vCPU; takes the device's lock
 * Nobody there, or a range that ends inside the access: reads give all ones, writes go nowhere.
 * Returns true when a device answered.
 */
bool bus_read(struct bus *b, uint64_t addr, unsigned len, uint64_t *v);
bool bus_write(struct bus *b, uint64_t addr, unsigned len, uint64_t v);

#endif
