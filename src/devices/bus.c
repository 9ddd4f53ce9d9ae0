/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void device_init(struct device *d, const struct device_class *cls, const char *id, void *st)
{
	d->cls = cls;
	snprintf(d->id, sizeof d->id, "%s", id);
	d->st = st;
	state_defaults(cls->state, st);
	pthread_mutex_init(&d->lock, NULL);
}

void device_nothing(struct device *d)
{
}

void device_free(struct device *d)
{
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void bus_init(struct bus *b)
{
	pthread_rwlock_init(&b->lock, NULL);
	b->n = 0;
}

void bus_fini(struct bus *b)
{
	pthread_rwlock_destroy(&b->lock);
}

/* Number of the first range that ends after @addr. */
static uint32_t find(const struct bus *b, uint64_t addr)
{
	uint32_t lo = 0, hi = b->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (b->range[mid].start + b->range[mid].size > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

int bus_add(struct bus *b, uint64_t start, uint64_t size, const struct bus_ops *ops,
	    struct device *dev, struct err *e)
{
	int r = 0;

	pthread_rwlock_wrlock(&b->lock);
	uint32_t i = find(b, start);
	if (b->n == BUS_RANGES_MAX)
		r = err_set(e, ERR_LIMIT, "%s: too many address ranges", dev->id);
	else if (i < b->n && b->range[i].start < start + size)
		r = err_set(e, ERR_STRUCTURE, "%s at 0x%" PRIx64 " overlaps %s", dev->id, start,
			    b->range[i].dev->id);
	if (!r) {
		memmove(&b->range[i + 1], &b->range[i], (b->n - i) * sizeof b->range[0]);
		b->range[i] = (struct bus_range){start, size, ops, dev};
		b->n++;
	}
	pthread_rwlock_unlock(&b->lock);
	return r;
}

void bus_del(struct bus *b, uint64_t start)
{
	pthread_rwlock_wrlock(&b->lock);
	uint32_t i = find(b, start);
	if (i < b->n && b->range[i].start == start) {
		b->n--;
		memmove(&b->range[i], &b->range[i + 1], (b->n - i) * sizeof b->range[0]);
	}
	pthread_rwlock_unlock(&b->lock);
}

/* A copy, so that the lock is not held while the device works (and moves ranges about). */
static bool lookup(struct bus *b, uint64_t addr, unsigned len, struct bus_range *out)
{
	pthread_rwlock_rdlock(&b->lock);
	uint32_t i = find(b, addr);
	bool found = i < b->n && num_inside(addr, len, b->range[i].start, b->range[i].size);
	if (found)
		*out = b->range[i];
	pthread_rwlock_unlock(&b->lock);
	return found;
}

bool bus_read(struct bus *b, uint64_t addr, unsigned len, uint64_t *v)
{
	struct bus_range r;

	if (!lookup(b, addr, len, &r)) {
		*v = UINT64_MAX;
		return false;
	}
	device_lock(r.dev);
	*v = r.ops->read(r.dev, addr - r.start, len);
	device_unlock(r.dev);
	return true;
}

bool bus_write(struct bus *b, uint64_t addr, unsigned len, uint64_t v)
{
	struct bus_range r;

	if (!lookup(b, addr, len, &r))
		return false;
	device_lock(r.dev);
	r.ops->write(r.dev, addr - r.start, len, v);
	device_unlock(r.dev);
	return true;
}
