/* SPDX-License-Identifier: Apache-2.0 */
/* C rules for x86-64. Leaves and registers: Intel SDM 2A CPUID; KVM's are in kvm/x86/cpuid.rst. */
#include "layout/compat.h"
#include "layout/x86_cpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PPM_LIMIT	 250
#define XSAVE_LEAF	 0xd
#define XSAVE_BASIC	 (512 + 64) /* legacy region and header: SDM 1, 13.4 */
#define XSAVE_COMPONENTS 32
#define KVM_XSAVE_BYTES	 4096 /* struct kvm_xsave */

static uint32_t saved_reg(const struct x86_vcpu *v, uint32_t function, uint32_t index,
			  enum x86_reg reg)
{
	return x86_cpuid_reg(v->cpuid, v->cpuid_n, function, index, reg);
}

static uint32_t host_reg(const struct host *h, uint32_t function, uint32_t index, enum x86_reg reg)
{
	return x86_cpuid_reg(h->cpuid, h->cpuid_n, function, index, reg);
}

static void compare_features(const struct x86_vcpu *saved, const struct host *host,
			     struct findings *out)
{
	for (size_t i = 0; i < x86_features_n; i++) {
		const struct x86_feature_reg *r = &x86_features[i];
		x86_cpu_compare(r, saved_reg(saved, r->function, r->index, r->reg),
				host_reg(host, r->function, r->index, r->reg), out);
	}
}

static void compare_vendor(const struct x86_vcpu *saved, const struct host *host,
			   struct findings *out)
{
	char a[13], b[13];
	uint32_t model = saved_reg(saved, 1, 0, EAX), other = host_reg(host, 1, 0, EAX);

	x86_cpu_vendor(saved->cpuid, saved->cpuid_n, a);
	x86_cpu_vendor(host->cpuid, host->cpuid_n, b);
	if (strcmp(a, b) != 0) {
		findings_add(out, RULE_C008, "vendor", a, b);
	} else if (model != other) {
		char sa[16], sb[16];
		snprintf(sa, sizeof sa, "0x%" PRIx32, model);
		snprintf(sb, sizeof sb, "0x%" PRIx32, other);
		findings_add(out, RULE_C009, "family, model and stepping", sa, sb);
	}
}

static void compare_tsc(const struct x86_vcpu *saved, const struct host *host, struct findings *out)
{
	uint64_t a = saved->tsc_khz, b = host->tsc_khz, diff = a > b ? a - b : b - a;
	char sa[32], sb[32];

	snprintf(sa, sizeof sa, "%" PRIu64 " kHz", a);
	snprintf(sb, sizeof sb, "%" PRIu64 " kHz", b);
	if (!b)
		findings_add(out, RULE_C011, "TSC", sa, "not stated");
	else if (diff * 1000000 > b * PPM_LIMIT)
		findings_add(out, host->tsc_scaling ? RULE_C010 : RULE_C003, "TSC", sa, sb);
}

static bool host_has_msr(const struct host *host, uint32_t index)
{
	for (uint32_t i = 0; i < host->msr_n; i++)
		if (host->msr[i].index == index)
			return true;
	return false;
}

/* Zero is what all registers in question have after reset. */
static void compare_msrs(const struct x86_vcpu *saved, const struct host *host,
			 struct findings *out)
{
	if (!host->msr_n)
		findings_add(out, RULE_C011, "registers", "", "not stated");
	for (uint32_t i = 0; host->msr_n && i < saved->msr_n; i++) {
		char name[32], value[32];
		if (!saved->msr[i].value || host_has_msr(host, saved->msr[i].index))
			continue;
		snprintf(name, sizeof name, "MSR 0x%" PRIx32, saved->msr[i].index);
		snprintf(value, sizeof value, "0x%" PRIx64, saved->msr[i].value);
		findings_add(out, RULE_C004, name, value, "absent");
	}
	for (uint32_t i = 0; i < saved->unread_n; i++) {
		char name[32];
		snprintf(name, sizeof name, "MSR 0x%" PRIx32, saved->unread[i].index);
		findings_add(out, RULE_C005, name, "not saved", "");
	}
}

/* KVM takes and gives the area in the host's own standard form: components have fixed places that
 * differ between processors (SDM 1, 13.4.3). */
static void compare_xsave(const struct x86_vcpu *saved, const struct host *host,
			  struct findings *out)
{
	uint32_t ours = saved_reg(saved, XSAVE_LEAF, 0, EAX);
	uint32_t theirs = host_reg(host, XSAVE_LEAF, 0, EAX), need = XSAVE_BASIC;
	uint32_t room = host_reg(host, XSAVE_LEAF, 0, ECX);

	for (uint32_t i = 2; i < XSAVE_COMPONENTS; i++) {
		uint64_t size = saved_reg(saved, XSAVE_LEAF, i, EAX);
		uint64_t at = saved_reg(saved, XSAVE_LEAF, i, EBX);
		uint32_t host_size = host_reg(host, XSAVE_LEAF, i, EAX);
		uint32_t host_at = host_reg(host, XSAVE_LEAF, i, EBX);
		char name[32], a[64], b[64];
		if (!(ours >> i & 1))
			continue;
		if (at + size > need)
			need = at + size > UINT32_MAX ? UINT32_MAX : (uint32_t)(at + size);
		/* One that is absent was told as a feature. */
		if (!(theirs >> i & 1) || (size == host_size && at == host_at))
			continue;
		snprintf(name, sizeof name, "XSAVE component %u", i);
		snprintf(a, sizeof a, "%" PRIu64 " bytes at %" PRIu64, size, at);
		snprintf(b, sizeof b, "%u bytes at %u", host_size, host_at);
		findings_add(out, RULE_C007, name, a, b);
	}
	if (need > (room > KVM_XSAVE_BYTES ? room : KVM_XSAVE_BYTES))
		findings_add_u64(out, RULE_C006, "XSAVE area in bytes", need, room);
}

/* What only some states need. */
static void compare_caps(const struct x86_vcpu *saved, const struct host *host,
			 struct findings *out)
{
	const struct {
		bool needed;
		const char *name, *what;
	} caps[] = {
	    {saved->pdptrs_valid, "SREGS2", "page directory pointers of PAE paging"},
	    {saved->exception_has_payload, "EXCEPTION_PAYLOAD", "a pending exception"},
	    {saved->triple_fault_pending, "X86_TRIPLE_FAULT_EVENT", "a pending triple fault"},
	};

	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (caps[i].needed && !host_has(host, caps[i].name))
			findings_add(out, RULE_H006, caps[i].name, caps[i].what, "absent");
}

void compat_x86_vcpu(const struct x86_vcpu *saved, const struct host *host, struct findings *out)
{
	if (host->cpuid_n) {
		compare_vendor(saved, host, out);
		compare_features(saved, host, out);
		compare_xsave(saved, host, out);
	} else {
		findings_add(out, RULE_C011, "processor features", "", "not stated");
	}
	compare_tsc(saved, host, out);
	compare_msrs(saved, host, out);
	compare_caps(saved, host, out);
}
