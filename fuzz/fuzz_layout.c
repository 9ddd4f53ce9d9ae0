/* SPDX-License-Identifier: Apache-2.0 */
/* One memory map as it stands in a snapshot: decoded, checked, printed, asked for everything,
 * compared with itself and with what this build's definition makes of its parameters. Its bytes are
 * the only ones for it: what decodes encodes to the same. */
#include "fuzz.h"
#include "layout/compat.h"
#include "layout/picture.h"
#include "layout/print.h"

#include <jansson.h>
#include <string.h>

static FILE *discard;

/* A buffer of just the right size, so that one byte too many is seen. */
static void same_bytes(const struct layout *l, const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT;

	state_encode(&layout_desc, l, &b);
	FUZZ_REQUIRE(!b.failed && b.len == size && !memcmp(b.data, data, size));
	buf_free(&b);
}

static void ask(const struct layout *l)
{
	uint64_t backed = 0;
	size_t n = 0, i;

	for (uint32_t r = 0; r < l->region_n; r++) {
		const struct layout_region *found = layout_find(l, l->region[r].name);
		FUZZ_REQUIRE(found && found <= &l->region[r]);
		FUZZ_REQUIRE(layout_note(l, l->region[r].name));
		if (layout_backed(l, &l->region[r]))
			backed += l->region[r].size;
	}
	FUZZ_REQUIRE(backed == layout_backed_bytes(l));
	for (unsigned kind = 0; kind <= REGION_RESERVED; kind++)
		for (i = 0; layout_first(l, (enum region_kind)kind, &i);)
			n++;
	FUZZ_REQUIRE(n == l->region_n);
	for (int highest = 0; highest < 2; highest++) {
		const struct layout_region *w = layout_window(l, highest);
		FUZZ_REQUIRE(!w || w->kind == REGION_WINDOW);
	}
}

static void print(const struct layout *l)
{
	uint8_t digest[SHA256_BYTES];
	struct picture_map map = {l, "fuzz"};

	layout_digest(l, digest);
	layout_print_text(l, discard);
	picture_svg(&map, NULL, discard);
	json_t *j = layout_json(l);
	FUZZ_REQUIRE(json_array_size(json_object_get(j, "regions")) == l->region_n);
	FUZZ_REQUIRE(json_dumpf(j, discard, 0) == 0);
	json_decref(j);
}

/* What passes the check keeps what it promises; what does not has a rule that says so. */
static void check(const struct layout *l)
{
	static struct findings f;
	struct err e = ERR_INIT;
	int r = layout_check(l, &e);

	memset(&f, 0, sizeof f);
	layout_violations(l, &f);
	FUZZ_REQUIRE(r ? r == -ERR_STRUCTURE && e.code == ERR_STRUCTURE && e.msg[0] : !e.code);
	FUZZ_REQUIRE(!r == !f.n);
	if (r)
		return;
	FUZZ_REQUIRE(layout_backed_bytes(l) >= l->params.ram_bytes);
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *q = &l->region[i];
		uint64_t limit = q->kind == REGION_PIO ? 0x10000 : layout_limit(l);
		FUZZ_REQUIRE(layout_find(l, q->name) == q);
		FUZZ_REQUIRE(q->start <= limit && q->size <= limit - q->start);
	}
}

static void compare(const struct layout *l)
{
	static struct findings f;
	const struct layout_def *def = layout_def_find(l->id);
	struct layout built;

	memset(&f, 0, sizeof f);
	layout_compare(l, l, &f);
	/* Two regions of one name cannot be told apart. */
	FUZZ_REQUIRE(layout_check(l, NULL) || findings_verdict(&f) == VERDICT_IDENTICAL);
	memset(&f, 0, sizeof f);
	compat_layout(l, &f);
	/* Whatever this build makes of the parameters is sound, whoever thought them up. */
	if (def && !layout_build(def, &l->params, &built, NULL))
		FUZZ_REQUIRE(!layout_check(&built, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cbor_in in = {.data = data, .len = size};
	struct err e = ERR_INIT;
	static struct layout l;

	if (!discard)
		discard = fopen("/dev/null", "w");
	FUZZ_REQUIRE(discard);
	int r = state_decode(&layout_desc, &in, &l, &e);
	if (!r)
		r = cbor_finish(&in, &e);
	FUZZ_REQUIRE(r ? r == -e.code && e.msg[0] : 1);
	if (r)
		return 0;
	same_bytes(&l, data, size);
	/* Parents precede their children: nothing else can be asked of a map in which they do not.
	 */
	r = layout_coherent(&l, &e);
	FUZZ_REQUIRE(!r || layout_check(&l, NULL) == r);
	if (r)
		return 0;
	check(&l);
	ask(&l);
	print(&l);
	compare(&l);
	return 0;
}
