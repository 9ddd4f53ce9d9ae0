/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/cpu_policy.h"
#include "layout/x86_cpu.h"

#include <string.h>

/* --- policies that need no file ----------------------------------------------------------------
 */

/* The levels of the x86-64 psABI, 3.1.1, with what every 64-bit processor and every KVM has
 * (paging, NX, x2APIC, kvmclock): what an operating system needs to boot. */
struct builtin {
	uint32_t function, index;
	uint32_t eax, ebx, ecx, edx;
};

#define V2_1_ECX 0x00b82201 /* SSE3, SSSE3, CX16, SSE4.1, SSE4.2, x2APIC, POPCNT */
/* FPU to SSE2, without VME: not every processor has it. */
#define V1_1_EDX     0x078bfbfd
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

/* What guests may get of a register of features. */
static uint32_t host_bits(const struct host *h, const struct x86_feature_reg *r)
{
	struct x86_cpuid leaf = {.function = r->function, .index = r->index};

	*reg_of(&leaf, r->reg) = x86_cpuid_reg(h->cpuid, h->cpuid_n, r->function, r->index, r->reg);
	x86_cpu_hide(&leaf, 1);
	return *reg_of(&leaf, r->reg) & ~r->ignore;
}

static void check_x86(const struct cpu_policy *p, const struct host *host, struct findings *out)
{
	char vendor[13];

	x86_cpu_vendor(host->cpuid, host->cpuid_n, vendor);
	if (p->vendor[0] && strcmp(p->vendor, vendor) != 0)
		findings_add(out, RULE_C008, "vendor", p->vendor, vendor);
	for (size_t i = 0; i < x86_features_n; i++)
		x86_cpu_compare(&x86_features[i], bits_of(p, &x86_features[i]),
				host_bits(host, &x86_features[i]), out);
}

void cpu_policy_check(const struct cpu_policy *p, const struct host *host, struct findings *out)
{
	if (strcmp(p->arch, host->arch)) {
		findings_add(out, RULE_H001, "architecture", p->arch, host->arch);
		return;
	}
	if (p->phys_bits > host->phys_bits)
		findings_add_u64(out, RULE_H002, "physical address bits", p->phys_bits,
				 host->phys_bits);
	(strcmp(p->arch, "x86_64") ? cpu_policy_check_arm64_ : check_x86)(p, host, out);
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

static void take_features(const struct host *h, bool first, struct cpu_policy *out)
{
	for (size_t i = 0; i < x86_features_n; i++) {
		const struct x86_feature_reg *r = &x86_features[i];
		uint32_t *to = reg_of(entry(out, r->function, r->index), r->reg);
		*to = first ? host_bits(h, r) : *to & host_bits(h, r);
	}
}

static int take_host(const struct host *h, bool first, struct cpu_policy *out, struct err *e)
{
	char vendor[13];

	x86_cpu_vendor(h->cpuid, h->cpuid_n, vendor);
	if (first) {
		strcpy(out->arch, h->arch);
		strcpy(out->vendor, vendor);
		out->phys_bits = h->phys_bits;
	}
	if (strcmp(out->arch, h->arch))
		return err_set(e, ERR_INCOMPATIBLE, "hosts of %s and %s", out->arch, h->arch);
	if (strcmp(out->vendor, vendor))
		return err_set(e, ERR_INCOMPATIBLE, "processors of %s and %s", out->vendor, vendor);
	if (h->phys_bits < out->phys_bits)
		out->phys_bits = h->phys_bits;
	take_features(h, first, out);
	return 0;
}

int cpu_policy_baseline(const struct host *const *hosts, size_t n, const char *name,
			struct cpu_policy *out, struct err *e)
{
	int r = 0;

	if (!n)
		return err_set(e, ERR_USAGE, "no host profile");
	state_defaults(&cpu_policy_desc, out);
	if (strlen(name) >= sizeof out->name)
		return err_set(e, ERR_USAGE, "name of more than %zu characters",
			       sizeof out->name - 1);
	strcpy(out->name, name);
	if (!strcmp(hosts[0]->arch, "aarch64"))
		return cpu_policy_baseline_arm64_(hosts, n, out, e);
	for (size_t i = 0; !r && i < n; i++)
		r = take_host(hosts[i], !i, out, e);
	return r;
}
