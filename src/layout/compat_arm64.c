/* SPDX-License-Identifier: Apache-2.0 */
/* C rules for aarch64: registers of a vCPU against those that a host's KVM has. */
#include "state/arm64_registers.h"
#include "layout/compat.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME_BYTES	64
#define CTL_ISTATUS	4   /* follows the counter (DDI 0487, CNTP_CTL_EL0) */
#define WORKAROUND_MASK 0xf /* the rest are flags of the guest's (api.rst, 8.1 of psci.rst) */
#define SVE_STEP_BITS	128

static const struct host_reg *host_reg(const struct host *h, uint64_t id)
{
	for (uint32_t i = 0; i < h->reg_n; i++)
		if (h->reg[i].id == id)
			return &h->reg[i];
	return NULL;
}

static void add(struct findings *out, enum rule_id rule, const char *subject, uint64_t saved,
		uint64_t found, const char *more)
{
	char a[32], b[96];

	snprintf(a, sizeof a, "0x%" PRIx64, saved);
	snprintf(b, sizeof b, "0x%" PRIx64 "%s", found, more);
	findings_add(out, rule, subject, a, b);
}

/* --- features -------------------------------------------------------------------------------- */

/* What a vCPU is made with or its state needs, by the capability that a host has then. */
static void compare_caps(const struct arm64_vcpu *saved, const struct host *host,
			 struct findings *out)
{
	const struct {
		bool needed;
		enum rule_id rule;
		const char *cap, *what;
	} caps[] = {
	    {saved->features & ARM64_FEATURE_SVE, RULE_C012, "ARM_SVE", "SVE"},
	    {saved->features & ARM64_FEATURE_PTRAUTH_ADDRESS, RULE_C012, "ARM_PTRAUTH_ADDRESS",
	     "pointer authentication"},
	    {saved->features & ARM64_FEATURE_PTRAUTH_GENERIC, RULE_C012, "ARM_PTRAUTH_GENERIC",
	     "generic authentication"},
	    {saved->features & ARM64_FEATURE_PMU, RULE_C012, "ARM_PMU_V3", "performance monitors"},
	    {saved->pvtime, RULE_C012, "STEAL_TIME", "stolen time"},
	    {saved->serror_has_esr, RULE_H006, "ARM_INJECT_SERROR_ESR", "a pending SError"},
	};

	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (caps[i].needed && !host_has(host, caps[i].cap))
			findings_add(out, caps[i].rule, caps[i].what, "there", "absent");
}

/* A host that has more can hide it only where its KVM lets the field be written. */
static void compare_id(const struct arm64_vcpu *saved, const struct arm64_reg *reg,
		       const struct host_reg *host, struct findings *out)
{
	uint64_t unseen = arm64_id_unseen(reg->id, saved->features);
	char name[NAME_BYTES];

	for (unsigned shift = 0; shift < 64; shift += 4) {
		uint64_t field = UINT64_C(15) << shift;
		bool writable = (host->writable & field) == field;
		if (unseen & field || !((reg->value ^ host->value) & field))
			continue;
		bool carries = arm64_id_carries(reg->id, shift, reg->value, host->value);
		if (writable && carries)
			continue;
		add(out, RULE_C012, arm64_field_name(reg->id, shift, name, sizeof name),
		    (reg->value & field) >> shift, (host->value & field) >> shift,
		    carries ? ", and this KVM cannot hide it" : "");
	}
}

/* --- other registers ------------------------------------------------------------------------- */

static void compare_identity(const struct arm64_reg *reg, const struct host_reg *host,
			     struct findings *out)
{
	char name[NAME_BYTES];

	if ((reg->value ^ host->value) & ~host->writable)
		add(out, RULE_C013, arm64_reg_name(reg->id, name, sizeof name), reg->value,
		    host->value, "");
}

static void compare_firmware(const struct arm64_reg *reg, const struct host_reg *host,
			     struct findings *out)
{
	char name[NAME_BYTES];
	bool lacks = reg->value > host->value;

	if (arm64_kind(reg->id) == ARM64_KIND_HYPERCALLS)
		lacks = reg->value & ~host->value;
	else if (reg->id != ARM64_PSCI_VERSION)
		lacks = (reg->value & WORKAROUND_MASK) > (host->value & WORKAROUND_MASK);
	if (lacks)
		add(out, RULE_C015, arm64_reg_name(reg->id, name, sizeof name), reg->value,
		    host->value, "");
}

static bool is_zero(const struct arm64_wide *w)
{
	for (uint32_t i = 0; i < w->value_len; i++)
		if (w->value[i])
			return false;
	return true;
}

static void lost(uint64_t id, const char *value, struct findings *out)
{
	char name[NAME_BYTES];

	findings_add(out, RULE_C014, arm64_reg_name(id, name, sizeof name), value, "absent");
}

/* Contents after reset are what the host it was saved on said. */
static void compare_absent(const struct arm64_reg *reg, const struct host *saved_host,
			   struct findings *out)
{
	const struct host_reg *was = host_reg(saved_host, reg->id);
	uint64_t ignore = reg->id == ARM64_PTIMER_CTL ? CTL_ISTATUS : 0;
	char value[32];

	if (was && !((was->value ^ reg->value) & ~ignore))
		return;
	snprintf(value, sizeof value, "0x%" PRIx64, reg->value);
	lost(reg->id, value, out);
}

/* Core registers are always there: with SVE the vectors are listed under other numbers. */
static void compare_registers(const struct arm64_vcpu *saved, const struct host *saved_host,
			      const struct host *host, struct findings *out)
{
	for (uint32_t i = 0; i < saved->reg_n; i++) {
		const struct arm64_reg *reg = &saved->reg[i];
		const struct host_reg *there = host_reg(host, reg->id);
		enum arm64_kind kind = arm64_kind(reg->id);
		if (kind == ARM64_KIND_CORE)
			continue;
		if (!there)
			compare_absent(reg, saved_host, out);
		else if (arm64_is_id(reg->id))
			compare_id(saved, reg, there, out);
		else if (arm64_is_identity(reg->id))
			compare_identity(reg, there, out);
		else if (kind == ARM64_KIND_FIRMWARE || kind == ARM64_KIND_HYPERCALLS)
			compare_firmware(reg, there, out);
	}
	for (uint32_t i = 0; i < saved->wide_n; i++) {
		const struct arm64_wide *w = &saved->wide[i];
		/* A host without SVE was told as such. */
		if (arm64_kind(w->id) != ARM64_KIND_CORE && arm64_kind(w->id) != ARM64_KIND_SVE &&
		    !host_reg(host, w->id) && !is_zero(w))
			lost(w->id, "not zero", out);
	}
	for (uint32_t i = 0; i < saved->unread_n; i++) {
		char name[NAME_BYTES];
		findings_add(out, RULE_C005, arm64_reg_name(saved->unread[i].id, name, sizeof name),
			     "not saved", "");
	}
}

/* --- vector lengths -------------------------------------------------------------------------- */

static bool has_length(const uint64_t *words, unsigned n)
{
	return words[n / 64] >> n % 64 & 1;
}

/* The guest picks any length up to the longest, and gets the next shorter one that there is: up to
 * there both sets have to be the same. */
static void compare_lengths(const struct arm64_vcpu *saved, const struct host *host,
			    struct findings *out)
{
	uint64_t had[HOST_SVE_WORDS] = {0};
	unsigned longest = 0;

	for (uint32_t i = 0; i < saved->wide_n; i++)
		if (saved->wide[i].id == ARM64_SVE_LENGTHS)
			for (unsigned w = 0; w < HOST_SVE_WORDS; w++)
				had[w] = num_le64(saved->wide[i].value + 8 * w);
	for (unsigned n = 0; n < 64 * HOST_SVE_WORDS; n++)
		if (has_length(had, n))
			longest = n + 1;
	for (unsigned n = 0; n < longest; n++) {
		char name[NAME_BYTES];
		if (has_length(had, n) == has_length(host->sve_lengths, n))
			continue;
		snprintf(name, sizeof name, "SVE vectors of %u bits", (n + 1) * SVE_STEP_BITS);
		findings_add(out, RULE_C016, name, has_length(had, n) ? "there" : "absent",
			     has_length(host->sve_lengths, n) ? "there" : "absent");
	}
}

static void compare_counters(const struct arm64_vcpu *saved, const struct host *host,
			     struct findings *out)
{
	char a[32], b[32];

	snprintf(a, sizeof a, "%u Hz", saved->counter_hz);
	snprintf(b, sizeof b, "%u Hz", host->counter_hz);
	if (saved->counter_hz != host->counter_hz)
		findings_add(out, RULE_C017, "counters", a, b);
	if (!saved->has_physical_counter)
		findings_add(out, RULE_C018, "physical timer and counter", "not saved", "");
	else if (!host_reg(host, ARM64_PTIMER_CNT))
		findings_add(out, RULE_C018, "physical counter", "saved", "this KVM cannot set it");
}

void compat_arm64_vcpu(const struct arm64_vcpu *saved, const struct host *saved_host,
		       const struct host *host, struct findings *out)
{
	if (!host->reg_n) {
		findings_add(out, RULE_C011, "registers", "", "not stated");
		return;
	}
	compare_caps(saved, host, out);
	compare_registers(saved, saved_host, host, out);
	/* All of them are missing from a host without SVE, which was told. */
	if (has_length(host->sve_lengths, 0))
		compare_lengths(saved, host, out);
	compare_counters(saved, host, out);
}
