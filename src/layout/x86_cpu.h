/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What software can find out about an x86-64 processor's features.
 *
 * Prefix: x86_cpu_. Pure; any thread. Leaves and bits: Intel SDM 2A CPUID, AMD APM 3
 * appendix E, Linux Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef LAYOUT_X86_CPU_H
#define LAYOUT_X86_CPU_H

#include "layout/finding.h"
#include "state/host.h"

enum x86_reg { EAX, EBX, ECX, EDX };

/* A register of CPUID in which each bit is a feature that software may be using. */
struct x86_feature_reg {
	uint32_t function, index;
	enum x86_reg reg;
	/* Bits that are no features, follow what the guest has enabled, repeat another register or
	 * are made by KVM: not compared and not part of policies. */
	uint32_t ignore;
	const char *text; /* "CPUID 7 EBX" */
	const char *name[32]; /* "avx2"; NULL for a bit without a name */
};

extern const struct x86_feature_reg x86_features[];
extern const size_t x86_features_n;

/** x86_cpuid_reg() - register @reg of leaf @function, @index; 0 when the list has no such leaf. */
uint32_t x86_cpuid_reg(const struct x86_cpuid *list, uint32_t n, uint32_t function, uint32_t index,
		       enum x86_reg reg);

/** x86_cpu_hide() - take away what a snapshot could not carry to another host. */
void x86_cpu_hide(struct x86_cpuid *list, uint32_t n);

/** x86_cpu_vendor() - "GenuineIntel": leaf 0 of @list. */
void x86_cpu_vendor(const struct x86_cpuid *list, uint32_t n, char out[static 13]);

/** x86_cpu_compare() - C002 if @has lacks features of @had. */
void x86_cpu_compare(const struct x86_feature_reg *r, uint32_t had, uint32_t has,
		     struct findings *out);

/** x86_cpu_names() - "avx2, bmi1 and 3 more" for @bits of @r; returns @buf. */
const char *x86_cpu_names(const struct x86_feature_reg *r, uint32_t bits, char *buf, size_t size);

#endif
