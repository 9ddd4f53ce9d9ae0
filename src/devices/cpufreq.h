/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual cpufreq: guests say how much performance each vCPU needs, and the host's scheduler and
 * frequency governor hear of it. A hint: what a vCPU gets is the host's affair.
 *
 * The device of Linux's drivers/cpufreq/virtual-cpufreq.c. Prefix: cpufreq_.
 */
#ifndef DEVICES_CPUFREQ_H
#define DEVICES_CPUFREQ_H

#include "devices/device.h"

extern const struct bus_ops cpufreq_ops; /* 4 KiB for each vCPU */

/* vCPU @vcpu is to run as if it used at least @perf (1 to 1024) of a processor. Called in the
 * thread of a vCPU, with the device's lock held. That need not be @vcpu's: a device does not know
 * who writes to it. Whoever implements this does, and leaves other threads as they are. */
typedef void cpufreq_clamp_fn(uint32_t vcpu, uint32_t perf);

/** cpufreq_new() - all vCPUs at the most. Returns NULL with @e filled: ERR_NOMEM, ERR_LIMIT (too
 * many vCPUs). */
struct device *cpufreq_new(const char *id, uint32_t vcpus, cpufreq_clamp_fn *clamp, struct err *e);

#endif
