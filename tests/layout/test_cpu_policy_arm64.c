/* SPDX-License-Identifier: Apache-2.0 */
/* What aarch64 hosts that differ can show alike. */
#include "hosts.h"
#include "layout/compat.h"
#include "layout/cpu_policy.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ATOMIC (UINT64_C(1) << 20) /* in ISAR0 */

static struct host old, new;
static struct cpu_policy p;
static struct findings f;
static struct err e;

static int setup(void **state)
{
	hosts_fill_arm64(&old);
	hosts_fill_arm64(&new);
	old.phys_bits = 44;
	new.phys_bits = 48;
	e = (struct err)ERR_INIT;
	return 0;
}

static int baseline(void)
{
	return cpu_policy_baseline((const struct host *const[]){&new, &old}, 2, "fleet", &p, &e);
}

static void carried(void)
{
	if (baseline())
		fail_msg("%s", e.msg);
	memset(&f, 0, sizeof f);
	cpu_policy_check(&p, &old, &f);
	cpu_policy_check(&p, &new, &f);
	for (uint32_t i = 0; i < f.n; i++)
		assert_true(f.item[i].rule->severity == FINDING_NOTE);
}

static void refused(const char *rule)
{
	assert_int_equal(baseline(), -ERR_INCOMPATIBLE);
	if (!strstr(e.msg, rule))
		fail_msg("wanted %s: %s", rule, e.msg);
	setup(NULL);
}

static uint64_t value(uint64_t id)
{
	for (uint32_t i = 0; i < p.reg_n; i++)
		if (p.reg[i].id == id)
			return p.reg[i].value;
	fail_msg("0x%llx is not in the policy", (unsigned long long)id);
	return 0;
}

static void of_one_host(void **state)
{
	assert_int_equal(cpu_policy_baseline((const struct host *const[]){&old}, 1, "host", &p, &e),
			 0);
	assert_string_equal(p.arch, "aarch64");
	assert_int_equal(p.phys_bits, 44);
	assert_int_equal(p.features, ARM64_FEATURE_SVE | ARM64_FEATURE_PTRAUTH_ADDRESS |
					 ARM64_FEATURE_PTRAUTH_GENERIC | ARM64_FEATURE_PMU);
	assert_true(p.stolen_time);
	assert_int_equal(value(PFR0), hosts_reg(&old, PFR0)->value);
	/* Only what tells of the processor. */
	for (uint32_t i = 0; i < p.reg_n; i++)
		assert_true(p.reg[i].id != TTBR0 && p.reg[i].id != MPIDR && p.reg[i].id != X0);
}

static void the_lower_field_of_each(void **state)
{
	/* The old host has less, and the new one can hide what it has more. */
	hosts_reg(&new, ISAR0)->writable = UINT64_MAX;
	hosts_reg(&old, ISAR0)->value -= ATOMIC;
	hosts_reg(&old, MMFR1)->value ^= UINT64_C(0xf00); /* a hypervisor's */
	carried();
	assert_int_equal(p.phys_bits, 44);
	assert_int_equal(value(ISAR0), hosts_reg(&old, ISAR0)->value);
	hosts_reg(&new, ISAR0)->writable = 0;
	refused("C012");
}

static void a_register_that_one_does_not_have(void **state)
{
	hosts_reg(&old, CCSIDR0)->id++;
	carried();
	for (uint32_t i = 0; i < p.reg_n; i++)
		assert_true(p.reg[i].id != CCSIDR0);
}

static void identities(void **state)
{
	/* The one that can be told another is. */
	hosts_reg(&new, CLIDR)->value = 0x02000021;
	hosts_reg(&new, CLIDR)->writable = 0x7fffffff;
	carried();
	assert_int_equal(value(CLIDR), 0x02000023);
	setup(NULL);
	hosts_reg(&old, CLIDR)->value = 0x02000021;
	hosts_reg(&old, CLIDR)->writable = 0x7fffffff;
	carried();
	assert_int_equal(value(CLIDR), 0x02000023);
	hosts_reg(&new, MIDR)->value++;
	refused("C013");
}

static void features_and_firmware(void **state)
{
	old.cap[0].value = 0; /* SVE */
	old.cap[4].value = 0; /* stolen time */
	hosts_reg(&old, PFR0)->value &= ~(UINT64_C(15) << 32);
	memset(old.sve_lengths, 0, sizeof old.sve_lengths);
	hosts_reg(&old, ARM64_PSCI_VERSION)->value = 0x10000;
	hosts_reg(&new, BITMAP)->value = 0xc;
	carried();
	assert_false(p.features & ARM64_FEATURE_SVE);
	assert_false(p.stolen_time);
	assert_int_equal(value(ARM64_PSCI_VERSION), 0x10000);
	assert_int_equal(value(BITMAP), 0);
}

static void lengths_as_far_as_both_agree(void **state)
{
	old.sve_lengths[0] = 0xb;
	new.sve_lengths[0] = 0x8f;
	new.sve_lengths[3] = 1;
	carried();
	assert_int_equal(p.sve_lengths[0], 3);
	assert_int_equal(p.sve_lengths[3], 0);
	setup(NULL);
	old.sve_lengths[1] = new.sve_lengths[1] = 5;
	old.sve_lengths[2] = 1;
	carried();
	assert_int_equal(p.sve_lengths[0], 0xb);
	assert_int_equal(p.sve_lengths[1], 5);
	assert_int_equal(p.sve_lengths[2], 0);
}

/* KVM is asked for as many bytes as the number of a register says. */
static void nothing_else(void **state)
{
	const uint64_t bad[] = {
	    0x6040000000100054, /* v0, of 16 bytes */
	    0x6080000000150000, /* z0, of 256 */
	    0x6030000000100000, /* x0 */
	    0x6040000000140000, /* firmware's, but of 16 */
	    ARM64_TIMER_CNT,	ARM64_SVE_LENGTHS, 0, UINT64_MAX,
	};

	if (baseline())
		fail_msg("%s", e.msg);
	assert_int_equal(cpu_policy_coherent(&p, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cpu_policy other = p;
		other.reg[other.reg_n - 1].id = bad[i];
		if (cpu_policy_coherent(&other, &e) != -ERR_RANGE)
			fail_msg("0x%llx", (unsigned long long)bad[i]);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		struct cpu_policy other = p;
		other.features = 1u << bit;
		assert_int_equal(cpu_policy_coherent(&other, &e),
				 bit >= 3 && bit <= 6 ? 0 : -ERR_RANGE);
	}
}

static void other_machines(void **state)
{
	struct host pc;

	hosts_fill(&pc);
	const struct host *const both[] = {&old, &pc}, *const turned[] = {&pc, &old};
	assert_int_equal(cpu_policy_baseline(both, 2, "fleet", &p, &e), -ERR_INCOMPATIBLE);
	assert_int_equal(cpu_policy_baseline(turned, 2, "fleet", &p, &e), -ERR_INCOMPATIBLE);
	/* A policy of one architecture on a host of the other. */
	carried();
	memset(&f, 0, sizeof f);
	cpu_policy_check(&p, &pc, &f);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.item[0].rule->id, "H001");
	/* A profile that does not say what registers there are. */
	new.reg_n = 0;
	memset(&f, 0, sizeof f);
	cpu_policy_check(&p, &new, &f);
	assert_string_equal(f.item[0].rule->id, "C011");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(of_one_host, setup),
	    cmocka_unit_test_setup(the_lower_field_of_each, setup),
	    cmocka_unit_test_setup(a_register_that_one_does_not_have, setup),
	    cmocka_unit_test_setup(identities, setup),
	    cmocka_unit_test_setup(features_and_firmware, setup),
	    cmocka_unit_test_setup(lengths_as_far_as_both_agree, setup),
	    cmocka_unit_test_setup(nothing_else, setup),
	    cmocka_unit_test_setup(other_machines, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
