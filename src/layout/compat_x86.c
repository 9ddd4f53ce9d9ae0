/* SPDX-License-Identifier: Apache-2.0 */
/* C rules for x86-64. Leaves and registers: Intel SDM 2A CPUID; KVM's are in kvm/x86/cpuid.rst. */
#include "layout/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PPM_LIMIT 250

enum reg { EAX, EBX, ECX, EDX };

/* Registers of CPUID in which each bit is a feature that software may be using. */
static const struct {
	uint32_t function, index;
	enum reg reg;
	uint32_t ignore; /* bits that are no features, or follow what the guest has enabled */
	const char *name;
} features[] = {
	/* 1 ECX: 27 OSXSAVE follows CR4; 31 is "virtual machine", 24 TSC deadline: made by KVM's LAPIC */
	{1, 0, ECX, 1u << 27 | 1u << 31 | 1u << 24, "CPUID 1 ECX"},
	/* 1 EDX: 28 HTT says how many processors there are */
	{1, 0, EDX, 1u << 28, "CPUID 1 EDX"},
	{7, 0, EBX, 0, "CPUID 7 EBX"},
	/* 7 ECX: 4 OSPKE follows CR4 */
	{7, 0, ECX, 1u << 4, "CPUID 7 ECX"},
	{7, 0, EDX, 0, "CPUID 7 EDX"},
	{7, 1, EAX, 0, "CPUID 7.1 EAX"},
	{0xd, 0, EAX, 0, "CPUID 0xd EAX (XCR0)"},
	{0xd, 1, EAX, 0, "CPUID 0xd.1 EAX"},
	{0x80000001, 0, ECX, 0, "CPUID 0x80000001 ECX"},
	{0x80000001, 0, EDX, 0, "CPUID 0x80000001 EDX"},
	{0x80000008, 0, EBX, 0, "CPUID 0x80000008 EBX"},
	{0x40000001, 0, EAX, 0, "KVM features"},
};

static uint32_t get(const struct x86_cpuid *list, uint32_t n, uint32_t function, uint32_t index,
		    enum reg reg)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i].function == function && list[i].index == index)
			return reg == EAX   ? list[i].eax
			       : reg == EBX ? list[i].ebx
			       : reg == ECX ? list[i].ecx
					    : list[i].edx;
	return 0;
}

static void compare_features(const struct x86_vcpu *saved, const struct host *host,
			     struct findings *out)
{
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		uint32_t had = get(saved->cpuid, saved->cpuid_n, features[i].function,
				   features[i].index, features[i].reg);
		uint32_t has = get(host->cpuid, host->cpuid_n, features[i].function,
				   features[i].index, features[i].reg);
		uint32_t lost = had & ~has & ~features[i].ignore;
		char a[96], b[96];
		if (!lost)
			continue;
		int at = snprintf(a, sizeof a, "bits");
		for (int bit = 0; bit < 32; bit++)
			if (lost & 1u << bit && at < (int)sizeof a - 4)
				at += snprintf(a + at, sizeof a - (size_t)at, " %d", bit);
		snprintf(b, sizeof b, "0x%08x", has);
		findings_add(out, "C002", FINDING_REFUSAL, features[i].name, a, b,
			     "the guest may be using features that this host lacks",
			     "restore on a host that has them");
	}
}

static void compare_tsc(const struct x86_vcpu *saved, const struct host *host,
			struct findings *out)
{
	uint64_t a = saved->tsc_khz, b = host->tsc_khz, diff = a > b ? a - b : b - a;
	char sa[32], sb[32];

	if (!b || diff * 1000000 <= b * PPM_LIMIT)
		return;
	snprintf(sa, sizeof sa, "%" PRIu64 " kHz", a);
	snprintf(sb, sizeof sb, "%" PRIu64 " kHz", b);
	findings_add(out, "C003", host->tsc_scaling ? FINDING_NOTE : FINDING_REFUSAL, "TSC", sa, sb,
		     host->tsc_scaling ? "this host scales its counter to the guest's frequency"
				       : "the guest's clocks would run at the wrong speed",
		     host->tsc_scaling ? "" : "restore on a host with TSC scaling or that frequency");
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
	for (uint32_t i = 0; i < saved->msr_n; i++) {
		char name[32], value[32];
		if (!saved->msr[i].value || host_has_msr(host, saved->msr[i].index))
			continue;
		snprintf(name, sizeof name, "MSR 0x%x", saved->msr[i].index);
		snprintf(value, sizeof value, "0x%" PRIx64, saved->msr[i].value);
		findings_add(out, "C004", FINDING_REFUSAL, name, value, "absent",
			     "this host's KVM cannot load the register",
			     "restore on a host whose KVM has it");
	}
}

void compat_x86_vcpu(const struct x86_vcpu *saved, const struct host *host, struct findings *out)
{
	compare_features(saved, host, out);
	compare_tsc(saved, host, out);
	compare_msrs(saved, host, out);
	for (uint32_t i = 0; i < saved->unread_n; i++) {
		char name[32];
		snprintf(name, sizeof name, "MSR 0x%x", saved->unread[i].index);
		findings_add(out, "C005", FINDING_NOTE, name, "not saved", "",
			     "KVM did not let it be read when the snapshot was taken", "");
	}
}
