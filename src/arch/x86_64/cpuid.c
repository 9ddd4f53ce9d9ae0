/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guests see of the processor: KVM's supported CPUID less what a snapshot could not carry, and
 * less what the CPU policy leaves out.
 * Leaf and bit numbers: Intel SDM 2A CPUID, AMD APM 3 appendix E, KVM's cpuid.rst.
 */
#include "arch/x86_64/kvm.h"
#include "layout/cpu_policy.h"
#include "layout/x86_cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define BIT(n) (1u << (n))

int cpuid_supported_(int kvm_fd, struct x86_cpuid out[static X86_CPUID_MAX], uint32_t *n,
		     struct err *e)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof *c + X86_CPUID_MAX * sizeof c->entries[0]);

	if (!c)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->nent = X86_CPUID_MAX;
	int r = kvm_do(kvm_fd, KVM_GET_SUPPORTED_CPUID, c, e);
	for (uint32_t i = 0; r >= 0 && i < c->nent; i++)
		out[i] = (struct x86_cpuid){
			.function = c->entries[i].function,
			.index = c->entries[i].index,
			.indexed = c->entries[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = c->entries[i].eax,
			.ebx = c->entries[i].ebx,
			.ecx = c->entries[i].ecx,
			.edx = c->entries[i].edx,
		};
	if (r >= 0)
		*n = c->nent;
	free(c);
	return r < 0 ? r : 0;
}

/* One socket of single-threaded cores whose APIC ids are their numbers. */
static void set_topology(struct x86_cpuid *c, const struct layout_params *p, uint32_t vcpu)
{
	uint32_t bits = 0;

	while ((1u << bits) < p->vcpus)
		bits++;
	switch (c->function) {
	case 1:
		c->ebx = (c->ebx & 0xffff) | p->vcpus << 16 | vcpu << 24;
		c->edx = p->vcpus > 1 ? c->edx | BIT(28) : c->edx & ~BIT(28); /* HTT */
		break;
	case 4: /* caches: cores in the package in 31-26; none shared */
		if (c->eax & 0x1f)
			c->eax = (c->eax & 0x3fff) | ((1u << bits) - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		c->ecx = c->index;
		c->edx = vcpu;
		c->eax = c->ebx = 0;
		if (c->index == 0) { /* threads of a core */
			c->ebx = 1;
			c->ecx |= 1 << 8;
		} else if (c->index == 1) { /* cores of the package */
			c->eax = bits;
			c->ebx = p->vcpus;
			c->ecx |= 2 << 8;
		}
		break;
	case 0x80000008:
		c->eax = (c->eax & ~0xffu) | p->phys_bits;
		c->ecx = (c->ecx & ~0xf0ffu) | bits << 12 | (p->vcpus - 1);
		break;
	case 0x8000001d: /* caches, AMD: logical processors that share one in 25-14 */
		c->eax &= ~(0xfffu << 14);
		break;
	case 0x8000001e:
		c->eax = vcpu;
		c->ebx = (c->ebx & ~0xffffu) | vcpu;
		break;
	}
}

/* State components of XSAVE and the feature each belongs to (SDM 1, 13.1). KVM lists components
 * whose feature it does not offer, and Linux complains about that. */
static const struct {
	unsigned component;
	uint32_t function, ecx, ebx; /* the bit that must be there, in one or the other */
} components[] = {
	{2, 1, BIT(28), 0},  /* AVX */
	{5, 7, 0, BIT(16)},  /* AVX-512: three components */
	{6, 7, 0, BIT(16)},
	{7, 7, 0, BIT(16)},
	{9, 7, BIT(3), 0},   /* protection keys */
};

static struct x86_cpuid *leaf(struct x86_cpuid *c, uint32_t n, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < n; i++)
		if (c[i].function == function && c[i].index == index)
			return &c[i];
	return NULL;
}

static void fit_xsave(struct x86_cpuid *c, uint32_t n)
{
	struct x86_cpuid *d = leaf(c, n, 0xd, 0);

	if (!d)
		return;
	for (size_t i = 0; i < ARRAY_LEN(components); i++) {
		const struct x86_cpuid *f = leaf(c, n, components[i].function, 0);
		if (!f || !((f->ecx & components[i].ecx) | (f->ebx & components[i].ebx)))
			d->eax &= ~BIT(components[i].component);
	}
	d->ecx = 512 + 64; /* legacy region and header */
	for (uint32_t i = 0; i < n; i++) {
		if (c[i].function != 0xd || c[i].index < 2 || c[i].index > 31)
			continue;
		if (!(d->eax & BIT(c[i].index)))
			c[i].eax = c[i].ebx = c[i].ecx = c[i].edx = 0;
		else if (c[i].ebx + c[i].eax > d->ecx)
			d->ecx = c[i].ebx + c[i].eax;
	}
}

int cpuid_policy_(int kvm_fd, const struct layout_params *p, const struct cpu_policy *policy,
		  uint32_t vcpu, struct x86_cpuid out[static X86_CPUID_MAX], uint32_t *n, struct err *e)
{
	int r = cpuid_supported_(kvm_fd, out, n, e);
	bool deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;

	if (r)
		return r;
	x86_cpu_hide(out, *n);
	if (policy)
		cpu_policy_apply(policy, out, *n);
	for (uint32_t i = 0; i < *n; i++) {
		set_topology(&out[i], p, vcpu);
		/* KVM has it but does not list it, as it depends on the in-kernel LAPIC; and
		 * the bit that says "in a virtual machine". */
		if (out[i].function == 1)
			out[i].ecx |= (deadline ? BIT(24) : 0) | BIT(31);
		/* Bits 27 and 18 of leaf 1 mirror what CR4 enables: KVM keeps them up to date. */
	}
	fit_xsave(out, *n);
	/* The topology leaf needs its second level, which KVM may not list. */
	if (leaf(out, *n, 0xb, 0) && !leaf(out, *n, 0xb, 1) && *n < X86_CPUID_MAX) {
		struct x86_cpuid *c = &out[(*n)++];
		*c = (struct x86_cpuid){.function = 0xb, .index = 1, .indexed = true};
		set_topology(c, p, vcpu);
	}
	return 0;
}

int cpuid_apply_(struct arch_vcpu *c, const struct x86_cpuid *list, uint32_t n, struct err *e)
{
	struct kvm_cpuid2 *set = calloc(1, sizeof *set + n * sizeof set->entries[0]);

	c->cpuid = calloc(n, sizeof *list);
	if (!set || !c->cpuid) {
		free(set);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	memcpy(c->cpuid, list, n * sizeof *list);
	c->cpuid_n = n;
	set->nent = n;
	for (uint32_t i = 0; i < n; i++)
		set->entries[i] = (struct kvm_cpuid_entry2){
			.function = list[i].function,
			.index = list[i].index,
			.flags = list[i].indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = list[i].eax,
			.ebx = list[i].ebx,
			.ecx = list[i].ecx,
			.edx = list[i].edx,
		};
	int r = kvm_do(c->fd, KVM_SET_CPUID2, set, e);
	free(set);
	return r < 0 ? r : 0;
}
