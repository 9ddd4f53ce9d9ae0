/* SPDX-License-Identifier: Apache-2.0 */
/* Every definition with thousands of parameter sets, most of them sensible. */
#include "../stride.h"
#include "oracle.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

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

/* RAM around the sizes where a map changes, or anything that its granule allows. */
static uint64_t random_ram(void)
{
	static const uint64_t around[] = {2 * MIB, 128 * MIB, 0x80000000, 0xd0000000,
					  4 * GIB, 64 * GIB,  1 * TIB,	  1ull << 45};
	uint64_t usual = below(2) ? around[below(ARRAY_LEN(around))] + below(5) * 2 * MIB
				  : 2 * MIB + (below(1ull << (21 + below(24))) & ~(2 * MIB - 1));

	return below(32) ? usual : oracle_random(&seed);
}

/* A third of the sets is for small machines, in which things meet. */
static void random_params(const struct layout_def *def, struct layout_params *p)
{
	uint64_t room = below(3) ? 40 * MIB : 4 * MIB;

	layout_params_init(p, random_ram());
	p->vcpus = (uint32_t)(below(32) ? 1 + below(8) : oracle_random(&seed));
	if (!below(8))
		p->phys_bits = (uint8_t)(below(4) ? 36 + below(11) : below(256));
	p->kernel_bytes = size_up_to(2 * room);
	if (below(2))
		p->initrd_bytes = size_up_to(room);
	p->gic_version = (uint8_t)(2 + below(2));
	p->gic_its = p->gic_version == 3 && below(2);
	p->firmware_bytes = 1 + (size_up_to(room / 4) & (below(4) ? ~0xffffull : ~0ull));
	if (!below(4))
		p->swiotlb_bytes = size_up_to(room) & ~(64 * KIB - 1);
	if (!below(8))
		p->pvm_firmware_bytes = size_up_to(4 * MIB);
	/* What a definition has no row for it refuses, whatever else is right. */
	if (below(32))
		layout_params_fit(def, p);
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* Memory that is no part of the RAM that was asked for: the page of VMGENID, 64 KiB of
 * paravirtualized time and what else an aarch64 guest has outside of RAM; an image below 4 GiB. */
static uint64_t beside_ram(const char *id, const struct layout_params *p)
{
	uint64_t bytes = 0;

	if (!strncmp(id, "x86_64/bios", 11))
		return round_up(p->firmware_bytes, 4096);
	if (!strncmp(id, "aarch64/", 8)) {
		bytes = 4096 + 64 * KIB;
		if (p->pvm_firmware_bytes)
			bytes += 4 * MIB;
		if (strstr(id, "@1"))
			bytes += p->swiotlb_bytes;
	}
	return bytes;
}

/* RAM, and what of it is reserved below 1 MiB. */
static uint64_t ram_of(const struct layout *l)
{
	const struct layout_region *hole = layout_find(l, "RESERVED_BELOW_1M");
	uint64_t ram = hole ? hole->size : 0;
	size_t i = 0;

	for (const struct layout_region *r; (r = layout_first(l, REGION_RAM, &i));) {
		assert_int_equal(r->parent, 0);
		ram += r->size;
	}
	return ram;
}

static void check_same_digest(const struct layout *l, const struct layout *m)
{
	uint8_t a[SHA256_BYTES], b[SHA256_BYTES];

	layout_digest(l, a);
	layout_digest(m, b);
	assert_memory_equal(a, b, SHA256_BYTES);
}

static void check_built(const struct layout *l, const struct layout_params *p)
{
	struct buf first = BUF_INIT, second = BUF_INIT;
	struct layout back;
	struct err e = ERR_INIT;

	assert_true(oracle_valid(l));
	assert_int_equal(layout_check(l, &e), 0);
	assert_true(state_equal(&layout_params_desc, &l->params, p));
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		assert_true(r->kind == REGION_PIO || region_end(r) <= layout_limit(l));
		assert_ptr_equal(layout_find(l, r->name), r);
		assert_true(layout_note(l, r->name)[0]);
	}
	assert_int_equal(ram_of(l), p->ram_bytes);
	assert_int_equal(layout_backed_bytes(l), p->ram_bytes + beside_ram(l->id, p));

	state_encode(&layout_desc, l, &first);
	struct cbor_in in = {.data = first.data, .len = first.len};
	assert_int_equal(state_decode(&layout_desc, &in, &back, &e), 0);
	assert_int_equal(cbor_finish(&in, &e), 0);
	assert_int_equal(layout_check(&back, &e), 0);
	state_encode(&layout_desc, &back, &second);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	check_same_digest(l, &back);
	buf_free(&first);
	buf_free(&second);
}

static void whatever_is_built_is_sound(void **state)
{
	const unsigned rounds = test_rounds(4000);
	const struct layout_def *def;

	for (size_t d = 0; (def = layout_def_at(d)); d++) {
		unsigned built = 0;
		seed = d;
		for (unsigned i = 0; i < rounds; i++) {
			struct layout_params p;
			struct layout l, again;
			struct err e = ERR_INIT;
			random_params(def, &p);
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
			check_same_digest(&l, &again);
			built++;
		}
		if (built < rounds * 6 / 10)
			fail_msg("%s: %u of %u built", layout_def_id(def), built, rounds);
	}
}

/* Every parameter is part of the map, also one that moves no row. */
static void another_parameter_gives_another_digest(void **state)
{
	const struct layout_def *def;

	for (size_t d = 0; (def = layout_def_at(d)); d++) {
		struct layout_params p[10];
		uint8_t digest[10][SHA256_BYTES];
		struct layout l;
		struct err e = ERR_INIT;
		for (int i = 0; i < 10; i++) {
			layout_params_init(&p[i], 4 * GIB);
			layout_params_complete(def, &p[i]);
		}
		p[1].ram_bytes += 2 * MIB;
		p[2].vcpus = 2;
		p[3].phys_bits++;
		p[4].kernel_bytes = 1;
		p[5].initrd_bytes = 1;
		p[6].swiotlb_bytes = 64 * KIB;
		p[7].pvm_firmware_bytes = 1;
		p[8].firmware_bytes++;
		p[9].gic_its = true;
		for (int i = 0; i < 10; i++) {
			layout_params_fit(def, &p[i]);
			assert_int_equal(layout_build(def, &p[i], &l, &e), 0);
			layout_digest(&l, digest[i]);
			for (int j = 0; j < i; j++)
				assert_true(!memcmp(digest[i], digest[j], SHA256_BYTES) ==
					    state_equal(&layout_params_desc, &p[i], &p[j]));
		}
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
