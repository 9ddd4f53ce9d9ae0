/* SPDX-License-Identifier: Apache-2.0 */
/* Which features guests get, so that hosts that differ can share them. */
#include "hosts.h"
#include "layout/compat.h"
#include "layout/cpu_policy.h"
#include "layout/x86_cpu.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static struct host host;
static struct x86_vcpu vcpu;
static struct findings f;

static int setup(void **state)
{
	hosts_fill(&host);
	state_defaults(&x86_vcpu_desc, &vcpu);
	hosts_fill_cpuid(vcpu.cpuid, &vcpu.cpuid_n);
	vcpu.tsc_khz = host.tsc_khz;
	memset(&f, 0, sizeof f);
	return 0;
}

static void policies(void **state)
{
	struct cpu_policy p;
	struct err e = ERR_INIT;
	struct host narrow = host;

	assert_false(cpu_policy_find("x86_64-v9", &p));
	assert_true(cpu_policy_find("x86_64-v3", &p));
	memset(&f, 0, sizeof f);
	cpu_policy_check(&p, &host, &f);
	assert_int_equal(f.n, 0);
	narrow.cpuid[2].ebx &= ~(1u << 5);
	narrow.phys_bits = 39;
	cpu_policy_check(&p, &narrow, &f);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.item[0].rule->id, "C002");
	assert_string_equal(f.item[0].saved, "avx2");

	/* A guest under the baseline of both runs on both; one without does not. */
	const struct host *const both[] = {&host, &narrow};
	assert_int_equal(cpu_policy_baseline(both, 2, "fleet", &p, &e), 0);
	assert_string_equal(p.vendor, "GenuineIntel");
	assert_int_equal(p.phys_bits, 39);
	memset(&f, 0, sizeof f);
	cpu_policy_check(&p, &host, &f);
	cpu_policy_check(&p, &narrow, &f);
	assert_int_equal(f.n, 0);
	cpu_policy_apply(&p, vcpu.cpuid, vcpu.cpuid_n);
	compat_x86_vcpu(&vcpu, &narrow, &f);
	compat_x86_vcpu(&vcpu, &host, &f);
	assert_int_equal(f.n, 0);
	hosts_fill_cpuid(vcpu.cpuid, &vcpu.cpuid_n);
	compat_x86_vcpu(&vcpu, &narrow, &f);
	assert_int_equal(f.n, 1);

	/* It is the widest: what it lacks, one of them lacks. */
	for (size_t i = 0; i < x86_features_n; i++) {
		const struct x86_feature_reg *r = &x86_features[i];
		uint32_t a = x86_cpuid_reg(host.cpuid, host.cpuid_n, r->function, r->index, r->reg);
		uint32_t b =
		    x86_cpuid_reg(narrow.cpuid, narrow.cpuid_n, r->function, r->index, r->reg);
		uint32_t got = x86_cpuid_reg(p.cpuid, p.cpuid_n, r->function, r->index, r->reg);
		uint32_t hidden = r->function == 1 && r->reg == ECX   ? 1u << 5
				  : r->function == 7 && r->reg == EBX ? 1u << 2
								      : 0;
		assert_int_equal(got & ~r->ignore, a & b & ~r->ignore & ~hidden);
	}

	narrow.cpuid[0].ebx = 0x68747541;
	assert_int_equal(cpu_policy_baseline(both, 2, "fleet", &p, &e), -ERR_INCOMPATIBLE);
	assert_int_equal(cpu_policy_baseline(both, 0, "fleet", &p, &e), -ERR_USAGE);
	strcpy(narrow.arch, "aarch64");
	assert_int_equal(cpu_policy_baseline(both, 2, "fleet", &p, &e), -ERR_INCOMPATIBLE);
	memset(&f, 0, sizeof f);
	assert_true(cpu_policy_find("x86_64-v2", &p));
	cpu_policy_check(&p, &narrow, &f);
	assert_string_equal(f.item[0].rule->id, "H001");
}

static void names_are_cut_and_counted(void **state)
{
	char buf[80];

	assert_string_equal(x86_cpu_names(&x86_features[0], 0, buf, sizeof buf), "");
	assert_string_equal(x86_cpu_names(&x86_features[0], 1u << 12 | 1, buf, sizeof buf),
			    "sse3, fma");
	x86_cpu_names(&x86_features[0], UINT32_MAX, buf, sizeof buf);
	assert_non_null(strstr(buf, " more"));
	assert_true(strlen(buf) < sizeof buf - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(policies, setup),
	    cmocka_unit_test_setup(names_are_cut_and_counted, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
