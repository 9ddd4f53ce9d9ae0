/* SPDX-License-Identifier: Apache-2.0 */
/* What several aarch64 hosts can show alike: each field of an identification register as low as on
 * the lowest, where the others can hide what they have more. */
#include "layout/compat.h"
#include "layout/cpu_policy.h"
#include "state/arm64_registers.h"

#include <stdlib.h>
#include <string.h>

static uint32_t features_of(const struct host *h)
{
	return (host_has(h, "ARM_SVE") ? ARM64_FEATURE_SVE : 0) |
	       (host_has(h, "ARM_PTRAUTH_ADDRESS") ? ARM64_FEATURE_PTRAUTH_ADDRESS : 0) |
	       (host_has(h, "ARM_PTRAUTH_GENERIC") ? ARM64_FEATURE_PTRAUTH_GENERIC : 0) |
	       (host_has(h, "ARM_PMU_V3") ? ARM64_FEATURE_PMU : 0);
}

int cpu_policy_coherent(const struct cpu_policy *p, struct err *e)
{
	const uint32_t known = ARM64_FEATURE_PMU | ARM64_FEATURE_SVE |
			       ARM64_FEATURE_PTRAUTH_ADDRESS | ARM64_FEATURE_PTRAUTH_GENERIC;
	char name[40];

	if (p->features & ~known)
		return err_set(e, ERR_RANGE, "features of vCPUs that are not known: 0x%x",
			       p->features & ~known);
	for (uint32_t i = 0; i < p->reg_n; i++) {
		uint64_t id = p->reg[i].id;
		if (!arm64_tells_of_processor(id) || arm64_reg_bytes(id) > sizeof p->reg[i].value)
			return err_set(e, ERR_RANGE, "register %s tells nothing of the processor",
				       arm64_reg_name(id, name, sizeof name));
	}
	return 0;
}

static uint64_t lower_fields(uint64_t id, uint64_t a, uint64_t b)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 4)
		v |= (arm64_id_carries(id, shift, a, b) ? a : b) & UINT64_C(15) << shift;
	return v;
}

/* What both can show, if anything: whether they really can is asked of each host in the end. */
static uint64_t merge(const struct host_reg *h, uint64_t v)
{
	if (arm64_is_id(h->id))
		return lower_fields(h->id, h->value, v);
	if (arm64_kind(h->id) == ARM64_KIND_HYPERCALLS)
		return h->value & v;
	if (arm64_kind(h->id) == ARM64_KIND_FIRMWARE)
		return h->value < v ? h->value : v;
	/* An identity: that of the host that cannot be told another. */
	return (v & h->writable) | (h->value & ~h->writable);
}

/* A register that some host does not have is no part of it: there it cannot be told. */
static void take_registers(const struct host *h, struct cpu_policy *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < out->reg_n; i++)
		for (uint32_t j = 0; j < h->reg_n; j++)
			if (h->reg[j].id == out->reg[i].id) {
				out->reg[n].id = h->reg[j].id;
				out->reg[n++].value = merge(&h->reg[j], out->reg[i].value);
				break;
			}
	out->reg_n = n;
}

/* A guest gets all lengths up to its longest: as far as both sets agree. */
static void take_lengths(const struct host *h, struct cpu_policy *out)
{
	for (unsigned w = 0; w < HOST_SVE_WORDS; w++) {
		uint64_t other = h->sve_lengths[w] ^ out->sve_lengths[w];
		if (!other)
			continue;
		out->sve_lengths[w] &= (other & -other) - 1;
		memset(&out->sve_lengths[w + 1], 0, (HOST_SVE_WORDS - 1 - w) * sizeof(uint64_t));
	}
}

static int begin(const struct host *h, struct cpu_policy *out, struct err *e)
{
	strcpy(out->arch, h->arch);
	out->phys_bits = h->phys_bits;
	out->features = features_of(h);
	out->stolen_time = host_has(h, "STEAL_TIME");
	memcpy(out->sve_lengths, h->sve_lengths, sizeof out->sve_lengths);
	for (uint32_t i = 0; i < h->reg_n; i++) {
		if (!arm64_tells_of_processor(h->reg[i].id))
			continue;
		if (out->reg_n == CPU_POLICY_ARM64_MAX)
			return err_set(e, ERR_LIMIT, "too many registers that tell of a processor");
		out->reg[out->reg_n++] = (struct arm64_reg){h->reg[i].id, h->reg[i].value};
	}
	return 0;
}

static int take_host(const struct host *h, struct cpu_policy *out, struct err *e)
{
	if (strcmp(h->arch, out->arch))
		return err_set(e, ERR_INCOMPATIBLE, "hosts of %s and %s", out->arch, h->arch);
	if (h->phys_bits < out->phys_bits)
		out->phys_bits = h->phys_bits;
	out->features &= features_of(h);
	out->stolen_time &= host_has(h, "STEAL_TIME");
	take_lengths(h, out);
	take_registers(h, out);
	return 0;
}

void cpu_policy_check_arm64_(const struct cpu_policy *p, const struct host *host,
			     struct findings *out)
{
	/* As a vCPU under the policy would be, but for what is its own. */
	struct arm64_vcpu guest = {
	    .features = p->features,
	    .pvtime = p->stolen_time,
	    .counter_hz = host->counter_hz,
	    .has_physical_counter = true,
	    .reg_n = p->reg_n,
	    .wide = {{.id = ARM64_SVE_LENGTHS, .value_len = sizeof p->sve_lengths}},
	    .wide_n = p->features & ARM64_FEATURE_SVE ? 1 : 0,
	};

	memcpy(guest.reg, p->reg, p->reg_n * sizeof p->reg[0]);
	for (unsigned w = 0; w < HOST_SVE_WORDS; w++)
		num_put_le64(guest.wide[0].value + 8 * w, p->sve_lengths[w]);
	compat_arm64_vcpu(&guest, host, host, out);
}

int cpu_policy_baseline_arm64_(const struct host *const *hosts, size_t n, struct cpu_policy *out,
			       struct err *e)
{
	struct findings *f = calloc(1, sizeof *f);
	int r = f ? begin(hosts[0], out, e) : err_set(e, ERR_NOMEM, "out of memory");

	for (size_t i = 1; !r && i < n; i++)
		r = take_host(hosts[i], out, e);
	for (size_t i = 0; !r && i < n; i++) {
		cpu_policy_check_arm64_(out, hosts[i], f);
		r = findings_error(f, e);
	}
	free(f);
	return r;
}
