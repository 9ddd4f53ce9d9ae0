/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/cpufreq.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/cpufreq.h"

#include <setjmp.h>
#include <cmocka.h>

#define BLOCK 0x1000

enum {
	CUR_PERF = 0x0,
	SET_PERF = 0x4,
	PERFTBL_LEN = 0x8,
	PERFTBL_SEL = 0xc,
	PERFTBL_RD = 0x10,
	PERF_DOMAIN = 0x14,
};

static struct device *dev;
static unsigned clamp_n;
static uint32_t clamp_vcpu, clamp_perf;

static void on_clamp(uint32_t vcpu, uint32_t perf)
{
	clamp_n++;
	clamp_vcpu = vcpu;
	clamp_perf = perf;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	clamp_n = 0;
	dev = cpufreq_new("cpufreq", VCPUS, on_clamp, &e);
	return !dev;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	return 0;
}

static uint32_t in(uint32_t vcpu, uint64_t reg)
{
	return (uint32_t)cpufreq_ops.read(dev, vcpu * BLOCK + reg, 4);
}

static void out(uint32_t vcpu, uint64_t reg, uint32_t v)
{
	cpufreq_ops.write(dev, vcpu * BLOCK + reg, 4, v);
}

/* drivers/cpufreq/virtual-cpufreq.c: probe, get_freq_info, get_sharing_cpus. */
static void linux_finds_no_table(void **state)
{
	for (uint32_t i = 0; i < VCPUS; i++) {
		assert_int_equal(in(i, PERFTBL_LEN), 1);
		out(i, PERFTBL_SEL, 0);
		assert_int_equal(in(i, PERFTBL_RD), 1024);
		assert_int_equal(in(i, PERF_DOMAIN), i);
		assert_int_equal(in(i, CUR_PERF), 1024);
	}
	out(1, PERFTBL_SEL, 1);
	assert_int_equal(in(1, PERFTBL_SEL), 1);
	assert_int_equal(in(1, PERFTBL_RD), 0);
	assert_int_equal(in(0, PERFTBL_RD), 1024);
	assert_int_equal(clamp_n, 0);
}

static void a_wish_is_clamped_noted_and_handed_on(void **state)
{
	static const struct {
		uint32_t asked, perf;
	} cases[] = {{512, 512}, {1, 1}, {0, 1}, {1024, 1024}, {1025, 1024}, {0xffffffff, 1024}};

	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		out(i % VCPUS, SET_PERF, cases[i].asked);
		assert_int_equal(in(i % VCPUS, CUR_PERF), cases[i].perf);
		assert_int_equal(in(i % VCPUS, SET_PERF), 0);
		assert_int_equal(clamp_n, i + 1);
		assert_int_equal(clamp_vcpu, i % VCPUS);
		assert_int_equal(clamp_perf, cases[i].perf);
	}
	out(1, CUR_PERF, 3);
	out(1, PERFTBL_LEN, 3);
	out(1, PERF_DOMAIN, 0);
	assert_int_equal(in(1, CUR_PERF), 1024);
	assert_int_equal(in(1, PERFTBL_LEN), 1);
	assert_int_equal(in(1, PERF_DOMAIN), 1);
	/* A vCPU that is not there, and half a register. */
	out(VCPUS, SET_PERF, 3);
	cpufreq_ops.write(dev, SET_PERF, 2, 3);
	assert_int_equal(in(VCPUS, CUR_PERF), 0);
	assert_int_equal(in(VCPUS, PERFTBL_LEN), 0);
	assert_int_equal(clamp_n, ARRAY_LEN(cases));
}

static void modify(struct device *d)
{
	for (uint32_t i = 0; i < VCPUS; i++) {
		out(i, SET_PERF, 100 + i);
		out(i, PERFTBL_SEL, 0xfffffff0 + i);
	}
}

static void is_saved_whole(void **state)
{
	roundtrip(dev, modify);
	assert_int_equal(clamp_n, VCPUS); /* loading clamps nobody */
	assert_int_equal(in(2, CUR_PERF), 102);
	assert_int_equal(in(2, PERFTBL_SEL), 0xfffffff2);
	dev->cls->reset(dev);
	assert_int_equal(in(2, CUR_PERF), 1024);
	assert_int_equal(in(2, PERFTBL_SEL), 0);
	assert_int_equal(clamp_n, VCPUS);
}

static void impossible_states_are_refused(void **state)
{
	const struct cpufreq_state good = *(struct cpufreq_state *)dev->st;
	struct cpufreq_state st;
	struct err e = ERR_INIT;

	assert_int_equal(dev->cls->check(dev, &good, &e), 0);
	st = good, st.vcpu_n--;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.vcpu[2].perf = 0;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.vcpu[0].perf = 1025;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	assert_null(cpufreq_new("cpufreq", CPUFREQ_VCPUS_MAX + 1, on_clamp, &e));
	assert_int_equal(e.code, ERR_LIMIT);
}

static void any_access_leaves_a_sane_device(void **state)
{
	for (uint64_t seed = 0; seed < 100; seed++)
		fixture_fuzz(dev, &cpufreq_ops, seed & 1 ? 0x18 : 16 * BLOCK, 500, seed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(linux_finds_no_table),
	    TEST(a_wish_is_clamped_noted_and_handed_on),
	    TEST(is_saved_whole),
	    TEST(impossible_states_are_refused),
	    TEST(any_access_leaves_a_sane_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
