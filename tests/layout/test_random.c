/* SPDX-License-Identifier: Apache-2.0 */
/* Every definition with thousands of parameter sets, most of them sensible. */
#include "oracle.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS 4000

static uint64_t seed;

static uint64_t below(uint64_t n)
{
	return oracle_random(&seed) % n;
}

/* Mostly up to @usual, sometimes anything. */
static uint64_t size_up_to(uint64_t usual)
{
	return below(16) ? below(usual) : oracle_random(&seed) >> below(64);
}

static void random_params(struct layout_params *p)
{
	static const uint64_t around[] = {2 * MIB, 128 * MIB, 0x80000000, 0xd0000000,
					  4 * GIB, 64 * GIB,  1 * TIB,	  1ull << 45};
	uint64_t ram = below(2) ? around[below(ARRAY_LEN(around))] + below(5) * 2 * MIB
				: below(1ull << (21 + below(26))) & ~(2 * MIB - 1);

	layout_params_init(p, below(16) ? ram : oracle_random(&seed));
	p->vcpus = (uint32_t)(below(16) ? 1 + below(8) : oracle_random(&seed));
	if (!below(4))
		p->phys_bits = (uint8_t)below(64);
	p->kernel_bytes = size_up_to(80 * MIB);
	if (below(2))
		p->initrd_bytes = size_up_to(40 * MIB);
	/* What some definitions need and others refuse. */
	if (below(2))
		p->gic_version = (uint8_t)(2 + below(2));
	if (below(2))
		p->firmware_bytes = size_up_to(8 * MIB) & (below(4) ? ~0xffffull : ~0ull);
	if (!below(4))
		p->swiotlb_bytes = size_up_to(64 * MIB) & ~(2 * MIB - 1);
	if (!below(8))
		p->pvm_firmware_bytes = size_up_to(4 * MIB);
}

static void check_built(const struct layout *l, const struct layout_params *p)
{
	struct buf first = BUF_INIT, second = BUF_INIT;
	struct layout back;
	struct err e = ERR_INIT;
	uint8_t a[SHA256_BYTES], b[SHA256_BYTES];
	uint64_t ram = 0;

	assert_true(oracle_valid(l));
	assert_int_equal(layout_check(l, &e), 0);
	assert_true(state_equal(&layout_params_desc, &l->params, p));
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (layout_backed(l, r) && r->kind == REGION_RAM)
			ram += r->size;
		assert_ptr_equal(layout_find(l, r->name), r);
		assert_true(layout_note(l, r->name)[0]);
	}
	assert_true(ram <= p->ram_bytes && p->ram_bytes - ram < MIB); /* a hole below 1 MiB */

	state_encode(&layout_desc, l, &first);
	struct cbor_in in = {.data = first.data, .len = first.len};
	assert_int_equal(state_decode(&layout_desc, &in, &back, &e), 0);
	state_encode(&layout_desc, &back, &second);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	layout_digest(l, a);
	layout_digest(&back, b);
	assert_memory_equal(a, b, SHA256_BYTES);
	buf_free(&first);
	buf_free(&second);
}

static void whatever_is_built_is_sound(void **state)
{
	const struct layout_def *def;

	for (size_t d = 0; (def = layout_def_at(d)); d++) {
		unsigned built = 0;
		seed = d;
		for (unsigned i = 0; i < ROUNDS; i++) {
			struct layout_params p;
			struct layout l, again;
			struct err e = ERR_INIT;
			random_params(&p);
			int r = layout_build(def, &p, &l, &e);
			if (r) {
				assert_int_equal(r, -ERR_RANGE);
				assert_true(e.msg[0]);
				continue;
			}
			check_built(&l, &p);
			/* The same parameters give the same map. */
			assert_int_equal(layout_build(def, &p, &again, &e), 0);
			assert_true(state_equal(&layout_desc, &l, &again));
			built++;
		}
		if (built < ROUNDS / 50)
			fail_msg("%s: %u of %u built", layout_def_id(def), built, ROUNDS);
	}
}

static void another_parameter_gives_another_digest(void **state)
{
	struct layout_params p;
	struct layout l;
	struct err e = ERR_INIT;
	uint8_t digest[4][SHA256_BYTES];

	for (int i = 0; i < 4; i++) {
		layout_params_init(&p, i == 1 ? 258 * MIB : 256 * MIB);
		p.vcpus = i == 2 ? 2 : 1;
		p.initrd_bytes = i == 3 ? 1 : 0;
		assert_int_equal(layout_build(layout_def_at(0), &p, &l, &e), 0);
		layout_digest(&l, digest[i]);
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(digest[i], digest[j], SHA256_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_is_built_is_sound),
	    cmocka_unit_test(another_parameter_gives_another_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
