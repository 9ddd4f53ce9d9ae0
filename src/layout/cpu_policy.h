/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU policies: which processor features guests get. A policy names what every guest under it has:
 * bits of CPUID on x86-64, contents of the registers that tell of the processor on aarch64. A host
 * that cannot show that cannot carry the guest.
 *
 * Prefix: cpu_policy_. Pure; any thread.
 */
#ifndef LAYOUT_CPU_POLICY_H
#define LAYOUT_CPU_POLICY_H

#include "layout/finding.h"
#include "state/cpu_policy.h"
#include "state/host.h"

/** cpu_policy_find() - "x86_64-v2" or "x86_64-v3" into @out; false for another name. */
bool cpu_policy_find(const char *name, struct cpu_policy *out);

/** cpu_policy_coherent() - is it about what policies are about, and nothing else? -ERR_RANGE.
 * Trust: @p may come from a file; below it has passed this. */
int cpu_policy_coherent(const struct cpu_policy *p, struct err *e) MUST_CHECK;

/** cpu_policy_check() - the C rules that a guest under @p would be refused by on @host; H001,
 * H002. */
void cpu_policy_check(const struct cpu_policy *p, const struct host *host, struct findings *out);

/** cpu_policy_apply() - leave only the features of @p in @list. */
void cpu_policy_apply(const struct cpu_policy *p, struct x86_cpuid *list, uint32_t n);

/** cpu_policy_baseline() - the widest policy that all @hosts carry. -ERR_INCOMPATIBLE: there is
 * none; -ERR_USAGE: no hosts. */
int cpu_policy_baseline(const struct host *const *hosts, size_t n, const char *name,
			struct cpu_policy *out, struct err *e) MUST_CHECK;

/* Private to src/layout/: the parts for aarch64. A new @out has nothing but its name. */
void cpu_policy_check_arm64_(const struct cpu_policy *p, const struct host *host,
			     struct findings *out);
int cpu_policy_baseline_arm64_(const struct host *const *hosts, size_t n, struct cpu_policy *out,
			       struct err *e) MUST_CHECK;

#endif
