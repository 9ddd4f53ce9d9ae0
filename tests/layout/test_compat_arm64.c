/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule about aarch64 processors: a vCPU and a host that fit, one thing changed, and the one
 * finding it makes. */
#include "hosts.h"
#include "layout/compat.h"
#include "state/arm64_registers.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct host saved_host, host;
static struct arm64_vcpu vcpu;
static struct findings f;
static bool seen[RULE_COUNT];

static int setup(void **state)
{
	hosts_fill_arm64(&saved_host);
	hosts_fill_arm64(&host);
	state_defaults(&arm64_vcpu_desc, &vcpu);
	vcpu.features = ARM64_FEATURE_SVE | ARM64_FEATURE_PTRAUTH_ADDRESS |
			ARM64_FEATURE_PTRAUTH_GENERIC | ARM64_FEATURE_PMU;
	for (uint32_t i = 0; i < host.reg_n; i++)
		if (arm64_reg_bytes(host.reg[i].id) == 8 && !arm64_is_time(host.reg[i].id))
			vcpu.reg[vcpu.reg_n++] =
			    (struct arm64_reg){host.reg[i].id, host.reg[i].value};
	vcpu.reg[vcpu.reg_n++] = (struct arm64_reg){CCSIDR0, 0x701fe00a};
	vcpu.wide[0] = (struct arm64_wide){.id = Z0, .value_len = 256, .value = {1, 2, 3}};
	vcpu.wide[1] =
	    (struct arm64_wide){.id = ARM64_SVE_LENGTHS, .value_len = 64, .value = {0xb}};
	vcpu.wide_n = 2;
	vcpu.counter_hz = 62500000;
	vcpu.has_physical_counter = true;
	vcpu.pvtime = 0x1000;
	vcpu.serror_has_esr = true;
	return 0;
}

/* @wanted: "C012:ID_AA64PFR0_EL1.SVE C013:MIDR_EL1": rules and subjects in order. */
static void expect(const char *wanted)
{
	char text[1024] = "";

	memset(&f, 0, sizeof f);
	compat_arm64_vcpu(&vcpu, &saved_host, &host, &f);
	for (uint32_t i = 0; i < f.n; i++) {
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s:%s", i ? " " : "",
			 f.item[i].rule->id, f.item[i].subject);
		seen[f.item[i].rule - rules] = true;
	}
	if (strcmp(text, wanted)) {
		findings_text(&f, stderr);
		fail_msg("wanted '%s', found '%s'", wanted, text);
	}
	setup(NULL);
}

static uint64_t *saved(uint64_t id)
{
	for (uint32_t i = 0; i < vcpu.reg_n; i++)
		if (vcpu.reg[i].id == id)
			return &vcpu.reg[i].value;
	fail_msg("0x%llx is not in the fixture", (unsigned long long)id);
	return NULL;
}

static void forget(uint64_t id)
{
	hosts_reg(&host, id)->id = UINT64_C(0x603000000013ffff);
}

static void what_fits_is_identical(void **state)
{
	expect("");
	/* What a guest does changes no identity. */
	*saved(MPIDR) = 0x80000003;
	*saved(CSSELR) = 2;
	*saved(TTBR0) = 0x1234;
	*saved(X0) = 7;
	expect("");
	hosts_add_cap(&host, "SOMETHING_NEW");
	host.reg[host.reg_n++] = (struct host_reg){ARM64_SYSTEM(3, 0, 2, 0, 3), 5, 0};
	expect("");
	host.reg_n = 0;
	expect("C011:registers");
}

static void what_a_vcpu_is_made_with(void **state)
{
	for (uint32_t i = 0; i < host.cap_n; i++)
		host.cap[i].value = 0;
	expect("C012:SVE C012:pointer authentication C012:generic authentication "
	       "C012:performance monitors C012:stolen time H006:a pending SError");
	for (uint32_t i = 0; i < host.cap_n; i++)
		host.cap[i].value = 0;
	vcpu.features = 0;
	vcpu.pvtime = 0;
	vcpu.serror_has_esr = false;
	expect("");
}

static void fields_of_features(void **state)
{
	hosts_reg(&host, ISAR0)->value -= UINT64_C(1) << 20; /* atomic instructions: 2 to 1 */
	expect("C012:ID_AA64ISAR0_EL1.Atomic");
	assert_string_equal(f.item[0].saved, "0x2");
	assert_string_equal(f.item[0].found, "0x1");
	/* More of it is no better, unless KVM can hide it. */
	hosts_reg(&host, ISAR0)->value += UINT64_C(1) << 20;
	expect("C012:ID_AA64ISAR0_EL1.Atomic");
	assert_non_null(strstr(f.item[0].found, "cannot hide"));
	hosts_reg(&host, ISAR0)->value += UINT64_C(1) << 20;
	hosts_reg(&host, ISAR0)->writable = UINT64_C(0xf) << 20;
	expect("");
	/* Writable or not, what is not there cannot be shown. */
	hosts_reg(&host, ISAR0)->value -= UINT64_C(1) << 20;
	hosts_reg(&host, ISAR0)->writable = UINT64_MAX;
	expect("C012:ID_AA64ISAR0_EL1.Atomic");
	*saved(PFR0) -= UINT64_C(1) << 56; /* CSV2 may be less in the fixture */
	expect("");
	*saved(PFR0) += UINT64_C(1) << 56;
	expect("C012:ID_AA64PFR0_EL1.CSV2");

	/* 15 says that floating point is not there. */
	*saved(PFR0) |= 0xff << 16;
	hosts_reg(&host, PFR0)->writable = UINT64_MAX;
	expect("");
	hosts_reg(&host, PFR0)->value |= 0xff << 16;
	hosts_reg(&host, PFR0)->writable = UINT64_MAX;
	expect("C012:ID_AA64PFR0_EL1.FP C012:ID_AA64PFR0_EL1.AdvSIMD");
	/* The field without a name. */
	*saved(ISAR0) ^= 1;
	expect("C012:ID_AA64ISAR0_EL1 bits 3 to 0");
}

static void fields_that_do_not_matter(void **state)
{
	/* A hypervisor's: nested paging, HCRX_EL2. */
	hosts_reg(&host, MMFR1)->value ^= UINT64_C(0xf00) | UINT64_C(0xf) << 40;
	hosts_reg(&host, MMFR0)->value ^= UINT64_C(0xfff) << 32;
	expect("");
	/* Of features that the vCPU was made without. */
	hosts_reg(&host, PFR0)->value ^= UINT64_C(0xf) << 32;
	hosts_reg(&host, ISAR1)->value ^= 0xff000ff0;
	expect("C012:ID_AA64PFR0_EL1.SVE C012:ID_AA64ISAR1_EL1.APA C012:ID_AA64ISAR1_EL1.API "
	       "C012:ID_AA64ISAR1_EL1.GPA C012:ID_AA64ISAR1_EL1.GPI");
	vcpu.features = ARM64_FEATURE_PMU;
	vcpu.wide_n = 0;
	hosts_reg(&host, PFR0)->value ^= UINT64_C(0xf) << 32;
	hosts_reg(&host, ISAR1)->value ^= 0xff000ff0;
	expect("");
}

static void identity(void **state)
{
	hosts_reg(&host, MIDR)->value++;
	hosts_reg(&host, CLIDR)->value ^= 2;
	*saved(CCSIDR0) ^= 1u << 13;
	expect("C013:MIDR_EL1 C013:CLIDR_EL1 C013:CCSIDR_EL1 of cache 0");
	hosts_reg(&host, CLIDR)->value ^= 2;
	hosts_reg(&host, CLIDR)->writable = 0x7fffffff;
	*saved(CCSIDR0) ^= 1u << 13;
	hosts_reg(&host, CCSIDR0)->writable = UINT32_MAX;
	expect("");
}

static void registers_that_are_not_there(void **state)
{
	/* With the value after reset nobody misses it, whatever that is. */
	forget(PIR);
	expect("");
	forget(PIR);
	*saved(PIR) = 0;
	expect("C014:PIR_EL1");
	assert_string_equal(f.item[0].saved, "0x0");
	/* The saving host does not say. */
	forget(PIR);
	hosts_reg(&saved_host, PIR)->id++;
	expect("C014:PIR_EL1");
	/* Whether the timer's time has come follows its counter. */
	forget(ARM64_PTIMER_CTL);
	*saved(ARM64_PTIMER_CTL) = 0;
	expect("");
	forget(ARM64_PTIMER_CTL);
	*saved(ARM64_PTIMER_CTL) = 5;
	expect("C014:CNTP_CTL_EL0");
	/* Core registers are always there: vectors have other numbers on a host with SVE. */
	forget(X0);
	vcpu.wide[0].id = V0;
	expect("");
	vcpu.wide[0].id = UINT64_C(0x6080000000120000);
	expect("C014:register 0x6080000000120000");
	vcpu.unread[vcpu.unread_n++].id = TTBR0;
	expect("C005:TTBR0_EL1");
}

static void firmware(void **state)
{
	*saved(ARM64_PSCI_VERSION) = 0x10000;
	*saved(ARM64_PSCI_VERSION + 2) = 1;
	*saved(BITMAP) = 1;
	expect("");
	*saved(ARM64_PSCI_VERSION) = 0x10002;
	*saved(ARM64_PSCI_VERSION + 2) = 3;
	*saved(BITMAP) = 4;
	expect("C015:PSCI version C015:SMCCC_ARCH_WORKAROUND_2 C015:hypercalls 0");
	*saved(ARM64_PSCI_VERSION + 2) = 0x12; /* a flag that the guest sets */
	expect("");
}

static void vector_lengths(void **state)
{
	/* A longer one on the host is none of the guest's business. */
	host.sve_lengths[0] = 0x8b;
	host.sve_lengths[7] = 1;
	expect("");
	host.sve_lengths[0] = 0xf;
	expect("C016:SVE vectors of 384 bits");
	assert_string_equal(f.item[0].found, "there");
	host.sve_lengths[0] = 3;
	expect("C016:SVE vectors of 512 bits");
	assert_string_equal(f.item[0].found, "absent");
}

static void counters(void **state)
{
	host.counter_hz = 24000000;
	expect("C017:counters");
	assert_string_equal(f.item[0].found, "24000000 Hz");
	forget(ARM64_PTIMER_CNT);
	expect("C018:physical counter");
	vcpu.has_physical_counter = false;
	expect("C018:physical timer and counter");
}

static void names(void **state)
{
	static const struct {
		uint64_t id;
		const char *name;
	} wanted[] = {
	    {X0, "x0"},
	    {X0 + 60, "x30"},
	    {X0 + 0x3e, "sp"},
	    {X0 + 0x40, "pc"},
	    {V0, "v0"},
	    {V0 + 31 * 4, "v31"},
	    {UINT64_C(0x60200000001000d5), "FPCR"},
	    {Z0 + (31 << 5), "z31"},
	    {UINT64_C(0x60500000001505e0), "p15"},
	    {UINT64_C(0x6050000000150600), "FFR"},
	    {ARM64_SVE_LENGTHS, "SVE vector lengths"},
	    {ARM64_TIMER_CNT, "CNTVCT_EL0"},
	    {ARM64_SYSTEM(2, 0, 0, 2, 2), "MDSCR_EL1"},
	    {ARM64_SYSTEM(2, 0, 0, 15, 6), "DBGWVR15_EL1"},
	    {ARM64_SYSTEM(3, 3, 14, 8, 2), "S3_3_C14_C8_2"},
	};
	char buf[64];

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_string_equal(arm64_reg_name(wanted[i].id, buf, sizeof buf), wanted[i].name);
	assert_string_equal(arm64_field_name(PFR0, 32, buf, sizeof buf), "ID_AA64PFR0_EL1.SVE");
}

static void every_rule_was_seen(void **state)
{
	static const enum rule_id ours[] = {RULE_C005, RULE_C011, RULE_C012, RULE_C013, RULE_C014,
					    RULE_C015, RULE_C016, RULE_C017, RULE_C018, RULE_H006};

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (!seen[ours[i]])
			fail_msg("%s was not seen", rules[ours[i]].id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(what_fits_is_identical, setup),
	    cmocka_unit_test_setup(what_a_vcpu_is_made_with, setup),
	    cmocka_unit_test_setup(fields_of_features, setup),
	    cmocka_unit_test_setup(fields_that_do_not_matter, setup),
	    cmocka_unit_test_setup(identity, setup),
	    cmocka_unit_test_setup(registers_that_are_not_there, setup),
	    cmocka_unit_test_setup(firmware, setup),
	    cmocka_unit_test_setup(vector_lengths, setup),
	    cmocka_unit_test_setup(counters, setup),
	    cmocka_unit_test(names),
	    cmocka_unit_test(every_rule_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
