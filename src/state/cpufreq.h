/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual cpufreq: the performance that each vCPU asked for. */
#ifndef STATE_CPUFREQ_H
#define STATE_CPUFREQ_H

#include "state/state.h"

#define CPUFREQ_VCPUS_MAX 16

/* Performance is capacity as Linux's scheduler has it: SCHED_CAPACITY_SCALE, a whole processor. */
#define CPUFREQ_PERF_MAX 1024

/* clang-format off */
#define CPUFREQ_VCPU_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, perf, 1, CPUFREQ_PERF_MAX, dec, "Performance last asked for, 1 to 1024") \
	FIELD(T, 2, u32, selected, 1, 0, dec, "Entry of the performance table that is read")

STATE_DECLARE(cpufreq_vcpu, CPUFREQ_VCPU_STATE);

#define CPUFREQ_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	LIST(T, 1, cpufreq_vcpu, vcpu, CPUFREQ_VCPUS_MAX, 1, "One for each vCPU")

STATE_DECLARE(cpufreq_state, CPUFREQ_STATE);
/* clang-format on */

#endif
