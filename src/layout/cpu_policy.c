/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/x86_cpu.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- policies that need no file ----------------------------------------------------------------
 */

/* The levels of the x86-64 psABI, 3.1.1, with what every 64-bit processor and every KVM has
 * (paging, NX, x2APIC, kvmclock): what an operating system needs to boot. */
struct builtin {
	uint32_t function, index;
	uint32_t eax, ebx, ecx, edx;
};

#define V2_1_ECX     0x00b82201		     /* SSE3, SSSE3, CX16, SSE4.1, SSE4.2, x2APIC, POPCNT */
#define V1_1_EDX     0x078bfbff		     /* FPU to SSE2 */
#define V2_EXT_ECX   0x00000001		     /* LAHF */
#define V1_EXT_EDX   0x20100800		     /* SYSCALL, NX, LM */
#define KVM_FEATURES 0x0100000b		     /* clocks, and no delays for I/O */
#define V3_1_ECX     (V2_1_ECX | 0x34401000) /* FMA, MOVBE, XSAVE, AVX, F16C */
#define V3_7_EBX     0x00000128		     /* BMI1, AVX2, BMI2 */
#define V3_EXT_ECX   (V2_EXT_ECX | 0x20)     /* LZCNT */
#define V3_XCR0	     0x7

static const struct builtin v2[] = {
    {1, 0, 0, 0, V2_1_ECX, V1_1_EDX},
    {0x80000001, 0, 0, 0, V2_EXT_ECX, V1_EXT_EDX},
    {0x40000001, 0, KVM_FEATURES, 0, 0, 0},
};

static const struct builtin v3[] = {
    {1, 0, 0, 0, V3_1_ECX, V1_1_EDX},
    {7, 0, 0, V3_7_EBX, 0, 0},
    {0xd, 0, V3_XCR0, 0, 0, 0},
    {0x80000001, 0, 0, 0, V3_EXT_ECX, V1_EXT_EDX},
    {0x40000001, 0, KVM_FEATURES, 0, 0, 0},
};

static void fill(struct cpu_policy *p, const char *name, const struct builtin *b, uint32_t n)
{
	state_defaults(&cpu_policy_desc, p);
	strcpy(p->name, name);
	strcpy(p->arch, "x86_64");
	for (uint32_t i = 0; i < n; i++)
		p->cpuid[i] =
		    (struct x86_cpuid){.function = b[i].function,
				       .index = b[i].index,
				       .indexed = b[i].function == 7 || b[i].function == 0xd,
				       .eax = b[i].eax,
				       .ebx = b[i].ebx,
				       .ecx = b[i].ecx,
				       .edx = b[i].edx};
	p->cpuid_n = n;
}

bool cpu_policy_find(const char *name, struct cpu_policy *out)
{
	if (!strcmp(name, "x86_64-v2"))
		fill(out, name, v2, ARRAY_LEN(v2));
	else if (!strcmp(name, "x86_64-v3"))
		fill(out, name, v3, ARRAY_LEN(v3));
	else
		return false;
	return true;
}

/* --- hosts and policies ------------------------------------------------------------------------
 */

static uint32_t bits_of(const struct cpu_policy *p, const struct x86_feature_reg *r)
{
	return x86_cpuid_reg(p->cpuid, p->cpuid_n, r->function, r->index, r->reg) & ~r->ignore;
}

static uint32_t *reg_of(struct x86_cpuid *c, enum x86_reg reg)
{
	return reg == EAX ? &c->eax : reg == EBX ? &c->ebx : reg == ECX ? &c->ecx : &c->edx;
}

/* CPUID 0: EBX, EDX, ECX */
static void vendor_of(const struct host *h, char out[static 13])
{
	static const enum x86_reg order[] = {EBX, EDX, ECX};

	for (int i = 0; i < 3; i++)
		num_put_le32((uint8_t *)out + 4 * i,
			     x86_cpuid_reg(h->cpuid, h->cpuid_n, 0, 0, order[i]));
	out[12] = '\0';
}

void cpu_policy_check(const struct cpu_policy *p, const struct host *host, struct findings *out)
{
	struct x86_cpuid *list = malloc(sizeof host->cpuid);
	char vendor[13], a[160], b[64];

	if (strcmp(p->arch, host->arch)) {
		findings_add(out, RULE_H001, "architecture", p->arch, host->arch);
		free(list);
		return;
	}
	vendor_of(host, vendor);
	if (p->vendor[0] && strcmp(p->vendor, vendor) != 0)
		findings_add(out, RULE_C008, "vendor", p->vendor, vendor);
	if (p->phys_bits > host->phys_bits)
		findings_add_u64(out, RULE_H002, "physical address bits", p->phys_bits,
				 host->phys_bits);
	if (!list) {
		findings_add(out, RULE_C011, "processor features", p->name, "out of memory");
		return;
	}
	memcpy(list, host->cpuid, sizeof host->cpuid);
	x86_cpu_hide(list, host->cpuid_n);
	for (size_t i = 0; i < x86_features_n; i++) {
		const struct x86_feature_reg *r = &x86_features[i];
		uint32_t has = x86_cpuid_reg(list, host->cpuid_n, r->function, r->index, r->reg);
		uint32_t lost = bits_of(p, r) & ~has;
		if (!lost)
			continue;
		snprintf(b, sizeof b, "absent (register has 0x%08" PRIx32 ")", has);
		findings_add(out, RULE_C002, r->text, x86_cpu_names(r, lost, a, sizeof a), b);
	}
	free(list);
}

void cpu_policy_apply(const struct cpu_policy *p, struct x86_cpuid *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (size_t f = 0; f < x86_features_n; f++) {
			const struct x86_feature_reg *r = &x86_features[f];
			if (list[i].function == r->function && list[i].index == r->index)
				*reg_of(&list[i], r->reg) &= bits_of(p, r) | r->ignore;
		}
}

static struct x86_cpuid *entry(struct cpu_policy *p, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < p->cpuid_n; i++)
		if (p->cpuid[i].function == function && p->cpuid[i].index == index)
			return &p->cpuid[i];
	/* There are fewer registers of features than room for leaves. */
	struct x86_cpuid *c = &p->cpuid[p->cpuid_n++];
	*c = (struct x86_cpuid){.function = function, .index = index};
	c->indexed = function == 7 || function == 0xd;
	return c;
}

static void take_features(const struct host *h, bool first, struct cpu_policy *out,
			  struct x86_cpuid *list)
{
	memcpy(list, h->cpuid, sizeof h->cpuid);
	x86_cpu_hide(list, h->cpuid_n);
	for (size_t i = 0; i < x86_features_n; i++) {
		const struct x86_feature_reg *r = &x86_features[i];
		uint32_t has = x86_cpuid_reg(list, h->cpuid_n, r->function, r->index, r->reg);
		uint32_t *to = reg_of(entry(out, r->function, r->index), r->reg);
		*to = first ? has & ~r->ignore : *to & has;
	}
}

int cpu_policy_baseline(const struct host *const *hosts, size_t n, const char *name,
			struct cpu_policy *out, struct err *e)
{
	char vendor[13];

	if (!n)
		return err_set(e, ERR_USAGE, "no host profile");
	state_defaults(&cpu_policy_desc, out);
	if (strlen(name) >= sizeof out->name)
		return err_set(e, ERR_USAGE, "name of more than %zu characters",
			       sizeof out->name - 1);
	strcpy(out->name, name);
	strcpy(out->arch, hosts[0]->arch);
	if (strcmp(out->arch, "x86_64"))
		return err_set(e, ERR_FEATURE, "CPU policies are for x86_64, the host is %s",
			       out->arch);
	vendor_of(hosts[0], out->vendor);
	out->phys_bits = hosts[0]->phys_bits;
	struct x86_cpuid *list = malloc(sizeof hosts[0]->cpuid);
	if (!list)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = 0;
	for (size_t i = 0; !r && i < n; i++) {
		vendor_of(hosts[i], vendor);
		if (strcmp(out->arch, hosts[i]->arch))
			r = err_set(e, ERR_INCOMPATIBLE, "hosts of %s and %s", out->arch,
				    hosts[i]->arch);
		else if (strcmp(out->vendor, vendor))
			r = err_set(e, ERR_INCOMPATIBLE, "processors of %s and %s", out->vendor,
				    vendor);
		if (hosts[i]->phys_bits < out->phys_bits)
			out->phys_bits = hosts[i]->phys_bits;
		take_features(hosts[i], !i, out, list);
	}
	free(list);
	return r;
}
