/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would a saved machine run here? Pure comparisons of records: what was saved against what this build
 * and a host can carry. Each rule has an id that never changes its meaning.
 *
 * Prefix: compat_. Trust: records may come from a file. Any thread.
 */
#ifndef LAYOUT_COMPAT_H
#define LAYOUT_COMPAT_H

#include "layout/finding.h"
#include "layout/layout.h"
#include "state/host.h"
#include "state/machine.h"
#include "state/x86_vcpu.h"

/** compat_layout() - L rules: is this build's definition of that id still the one that was saved? */
void compat_layout(const struct layout *saved, struct findings *out);

/** compat_machine() - D rules: does this build have these devices, in these versions? */
void compat_machine(const struct machine *saved, struct findings *out);

/** compat_host() - H rules: address bits, vCPUs, memory slots, pages, KVM capabilities. */
void compat_host(const struct layout *saved, const struct host *saved_host,
		 const struct host *host, struct findings *out);

/** compat_x86_vcpu() - C rules: CPUID features, TSC, registers, XSAVE. All vCPUs of a machine have the
 * same features: one is enough. */
void compat_x86_vcpu(const struct x86_vcpu *saved, const struct host *host, struct findings *out);

#endif
