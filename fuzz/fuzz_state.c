/* SPDX-License-Identifier: Apache-2.0 */
/* Every state table: the first byte chooses one, the rest is the record. What decodes must encode
 * to the very same bytes if it was of the newest version, and to a record that is equal otherwise.
 */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t tables = 0;
	struct err e = ERR_INIT;

	while (state_all[tables])
		tables++;
	if (!size)
		return 0;
	const struct state_desc *d = state_all[data[0] % tables];
	struct cbor_in in = {.data = data + 1, .len = size - 1};
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
