/* SPDX-License-Identifier: Apache-2.0 */
/* Every state table: a name and a zero choose one, the rest is the record; with a name that is
 * none, the first byte. What decodes must encode to a record that is equal. */
#include "fuzz.h"
#include "state/state.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void print_both(const struct state_desc *d, const void *st)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	state_text(d, st, 0, f);
	fclose(f);
	free(text);
	json_decref(state_json(d, st));
}

static void check_again(const struct state_desc *d, const void *st)
{
	struct buf b = BUF_INIT;
	void *back = malloc(d->size);

	state_encode(d, st, &b);
	struct cbor_in in = {.data = b.data, .len = b.len};
	FUZZ_REQUIRE(back && !b.failed);
	FUZZ_REQUIRE(!state_decode(d, &in, back, NULL));
	FUZZ_REQUIRE(!cbor_finish(&in, NULL));
	FUZZ_REQUIRE(state_equal(d, st, back));
	buf_free(&b);
	free(back);
}

/* Takes what it read of @in. */
static const struct state_desc *choose(struct cbor_in *in)
{
	const uint8_t *end = memchr(in->data, 0, in->len);
	const struct state_desc *d = end ? state_find((const char *)in->data) : NULL;
	size_t used = d ? (size_t)(end - in->data) + 1 : 1, tables = 0;

	while (state_all[tables])
		tables++;
	if (!d)
		d = state_all[in->data[0] % tables];
	in->data += used;
	in->len -= used;
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cbor_in in = {.data = data, .len = size};
	struct err e = ERR_INIT;

	if (!size)
		return 0;
	const struct state_desc *d = choose(&in);
	void *st = malloc(d->size);
	FUZZ_REQUIRE(st);
	int r = state_decode(d, &in, st, &e);
	FUZZ_REQUIRE(r ? r == -e.code && e.msg[0] : 1);
	if (!r) {
		print_both(d, st);
		check_again(d, st);
	}
	free(st);
	return 0;
}
