/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/debug_exit.h"

#include "state/debug_exit.h"

#include <stdlib.h>

struct debug_exit {
	struct device dev;
	struct debug_exit_state st;
	struct device_events *events;
};

static struct debug_exit *debug_exit_of(struct device *d)
{
	return (struct debug_exit *)d;
}

static uint64_t on_read(struct device *d, uint64_t offset, unsigned len)
{
	return debug_exit_of(d)->st.value;
}

static void on_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	struct debug_exit *x = debug_exit_of(d);

	x->st.value = (uint32_t)(len < 4 ? v & ((1u << (8 * len)) - 1) : v);
	x->events->happened(x->events, DEVICE_DEBUG_EXIT, x->st.value);
}

const struct bus_ops debug_exit_ops = {on_read, on_write};

/* Any value may have been written. */
static int on_check(const struct device *d, const void *state, struct err *e)
{
	return 0;
}

static void on_reset(struct device *d)
{
	state_defaults(d->cls->state, d->st);
}

/* Acts only when the guest writes: there is nothing to stop, to update or to bring in line. */
static const struct device_class debug_exit_class = {
    .type = "debug-exit",
    .state = &debug_exit_state_desc,
    .pause = device_nothing,
    .resume = device_nothing,
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = device_nothing,
    .reset = on_reset,
    .free = device_free,
};

struct device *debug_exit_new(const char *id, struct device_events *events, struct err *e)
{
	struct debug_exit *x = calloc(1, sizeof *x);

	if (!x) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&x->dev, &debug_exit_class, id, &x->st);
	x->events = events;
	return &x->dev;
}
