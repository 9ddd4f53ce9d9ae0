/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vmgenid.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/machine.h"
#include "state/vmgenid.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define PAGE 0xff000

static struct fixture f;
static struct guest_mem mem;
static struct device *dev;

static int make_memory(void)
{
	struct layout l;
	struct layout_params p;
	struct err e = ERR_INIT;

	layout_params_init(&p, 8 * MIB);
	return layout_build(layout_def_find("x86_64/linux@2"), &p, &l, &e) ||
	       mem_init(&mem, &l, &e);
}

static struct device *make(struct irq_line irq, uint64_t at)
{
	struct err e = ERR_INIT;
	struct device *d = vmgenid_new("genid", irq, &mem, gpa(at), &e);

	assert_non_null(d);
	return d;
}

static int setup(void **state)
{
	fixture_init(&f);
	if (make_memory())
		return 1;
	dev = make(fixture_line(&f), PAGE);
	return 0;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	mem_fini(&mem);
	return 0;
}

static void id_in_memory(uint8_t id[static VMGENID_BYTES])
{
	assert_true(mem_read(&mem, gpa(PAGE), id, VMGENID_BYTES));
}

static const uint8_t none[VMGENID_BYTES];

static void making_it_writes_nothing(void **state)
{
	uint8_t id[VMGENID_BYTES];

	id_in_memory(id);
	assert_memory_equal(id, none, sizeof id);
}

static void the_first_is_told_to_nobody(void **state)
{
	const struct vmgenid_state *st = dev->st;
	uint8_t id[VMGENID_BYTES];
	struct err e = ERR_INIT;

	assert_int_equal(vmgenid_first(dev, &e), 0);
	id_in_memory(id);
	assert_memory_not_equal(id, none, sizeof id);
	assert_memory_equal(id, st->id, sizeof id);
	assert_int_equal(f.rises, 0);
}

static void each_further_one_is_new_and_told_by_an_edge(void **state)
{
	uint8_t id[4][VMGENID_BYTES];
	struct err e = ERR_INIT;

	assert_int_equal(vmgenid_first(dev, &e), 0);
	id_in_memory(id[0]);
	for (unsigned i = 1; i < ARRAY_LEN(id); i++) {
		assert_int_equal(vmgenid_renew(dev, &e), 0);
		assert_int_equal(f.rises, i);
		assert_false(f.high);
		id_in_memory(id[i]);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(id[i], id[j], VMGENID_BYTES);
	}
}

static void a_reset_leaves_the_same(void **state)
{
	static const uint8_t junk[VMGENID_BYTES] = {1, 2, 3};
	uint8_t before[VMGENID_BYTES], after[VMGENID_BYTES];
	struct err e = ERR_INIT;

	assert_int_equal(vmgenid_first(dev, &e), 0);
	id_in_memory(before);
	assert_true(mem_write(&mem, gpa(PAGE), junk, sizeof junk));
	dev->cls->reset(dev);
	id_in_memory(after);
	assert_memory_equal(before, after, sizeof after);
	assert_int_equal(f.rises, 0);
}

static void renew(struct device *d)
{
	struct err e = ERR_INIT;

	assert_int_equal(vmgenid_renew(d, &e), 0);
}

/* A state that is loaded comes with its memory: neither is changed, and nobody is told. */
static void is_saved_whole(void **state)
{
	uint8_t id[VMGENID_BYTES];

	roundtrip(dev, renew);
	assert_int_equal(f.rises, 1);
	id_in_memory(id);
	assert_memory_equal(id, ((const struct vmgenid_state *)dev->st)->id, sizeof id);
}

static void without_a_line_nobody_is_told(void **state)
{
	const struct irq_line none_there = {&f.irq, MACHINE_NO_LINE, SOURCE};
	struct device *d = make(none_there, PAGE);
	struct err e = ERR_INIT;

	assert_int_equal(vmgenid_renew(d, &e), 0);
	assert_int_equal(f.rises, 0);
	d->cls->free(d);
}

static void memory_that_is_not_there_is_refused(void **state)
{
	struct device *d = make(fixture_line(&f), 0xd0000000);
	struct err e = ERR_INIT;

	assert_int_equal(vmgenid_first(d, &e), -ERR_STRUCTURE);
	assert_int_equal(vmgenid_renew(d, &e), -ERR_STRUCTURE);
	assert_int_equal(f.rises, 0);
	assert_memory_equal(((const struct vmgenid_state *)d->st)->id, none, sizeof none);
	d->cls->free(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(making_it_writes_nothing),
	    TEST(the_first_is_told_to_nobody),
	    TEST(each_further_one_is_new_and_told_by_an_edge),
	    TEST(a_reset_leaves_the_same),
	    TEST(is_saved_whole),
	    TEST(without_a_line_nobody_is_told),
	    TEST(memory_that_is_not_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
