/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would a saved machine run here? Pure comparisons of records: what was saved against what this
 * build and a host can carry. Each rule has an id that never changes its meaning (layout/rules.h).
 *
 * Prefixes: compat_, layout_, host_. Trust: records may come from a file; layouts have passed
 * layout_coherent(). Any thread.
 */
#ifndef LAYOUT_COMPAT_H
#define LAYOUT_COMPAT_H

#include "layout/finding.h"
#include "layout/layout.h"
#include "state/arm64_vcpu.h"
#include "state/host.h"
#include "state/machine.h"
#include "state/x86_vcpu.h"

/** layout_coherent() - can it be read at all: parents precede their children, the address limit is
 * a number? What has not even that is no layout: -ERR_STRUCTURE. */
int layout_coherent(const struct layout *l, struct err *e) MUST_CHECK;

/** layout_violations() - L01x: the invariants of any layout; see layout_check(). */
void layout_violations(const struct layout *l, struct findings *out);

/** layout_compare() - L03x: would a guest that runs in @saved run in @wanted? */
void layout_compare(const struct layout *saved, const struct layout *wanted, struct findings *out);

/** compat_layout() - L rules: is it sound, and is this build's definition of that id still the one
 * that was saved? */
void compat_layout(const struct layout *saved, struct findings *out);

/** compat_machine() - D rules: does this build have these devices, in these versions, and does the
 * layout have their places? */
void compat_machine(const struct layout *l, const struct machine *saved, struct findings *out);

/** compat_places() - the part of compat_machine() about places: D005, D010 to D013. */
void compat_places(const struct layout *l, const struct machine *m, struct findings *out);

/** compat_host() - H rules: address bits, vCPUs, memory slots, pages, KVM capabilities. Returns
 * false when the architecture differs: nothing else was compared then. */
bool compat_host(const struct layout *saved, const struct host *saved_host, const struct host *host,
		 struct findings *out);

/** host_has() - has @h the KVM capability @name (without KVM_CAP_)? Not when its profile does not
 * list it. */
bool host_has(const struct host *h, const char *name);

/** compat_needed_cap() - KVM capabilities (names without KVM_CAP_) without which no machine of
 * @arch can be built; NULL after the last. */
const char *compat_needed_cap(const char *arch, size_t i);

/** compat_x86_vcpu() - C rules and H006: CPUID features, TSC, registers, XSAVE. All vCPUs of a
 * machine have the same features: one is enough. */
void compat_x86_vcpu(const struct x86_vcpu *saved, const struct host *host, struct findings *out);

/** compat_arm64_vcpu() - C rules: features, identity and registers of the processor, what KVM's firmware
 * offers, vector lengths, counters. One vCPU is enough here too.
 * @saved_host: says what registers hold after reset */
void compat_arm64_vcpu(const struct arm64_vcpu *saved, const struct host *saved_host,
		       const struct host *host, struct findings *out);

#endif
