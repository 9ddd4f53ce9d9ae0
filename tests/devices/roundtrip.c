/* SPDX-License-Identifier: Apache-2.0 */
#include "roundtrip.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

void device_save(struct device *d, struct buf *out)
{
	*out = (struct buf)BUF_INIT;
	device_lock(d);
	d->cls->pause(d);
	d->cls->pre_save(d);
	state_encode(d->cls->state, d->st, out);
	d->cls->resume(d);
	device_unlock(d);
	assert_false(out->failed);
}

int device_load(struct device *d, const struct buf *saved)
{
	struct cbor_in in = {.data = saved->data, .len = saved->len};
	struct err e = ERR_INIT;
	void *st = malloc(d->cls->state->size);

	assert_non_null(st);
	int r = state_decode(d->cls->state, &in, st, &e);
	if (!r)
		r = cbor_finish(&in, &e);
	device_lock(d);
	if (!r)
		r = d->cls->check(d, st, &e);
	if (!r) {
		d->cls->pause(d);
		memcpy(d->st, st, d->cls->state->size);
		d->cls->post_load(d);
		d->cls->resume(d);
	}
	device_unlock(d);
	free(st);
	return r;
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* A save now equals @want. */
static void expect_saved(struct device *d, const struct buf *want)
{
	struct buf now;

	device_save(d, &now);
	assert_true(same(&now, want));
	buf_free(&now);
}

void roundtrip(struct device *d, void (*modify)(struct device *d))
{
	struct buf first, second;

	device_save(d, &first);
	expect_saved(d, &first);
	modify(d);
	device_save(d, &second);
	assert_false(same(&first, &second));

	struct buf cut = {.data = first.data, .len = first.len - 1};
	assert_int_not_equal(device_load(d, &cut), 0);
	expect_saved(d, &second);

	assert_int_equal(device_load(d, &first), 0);
	expect_saved(d, &first);
	assert_int_equal(device_load(d, &second), 0);
	expect_saved(d, &second);
	buf_free(&first);
	buf_free(&second);
}
