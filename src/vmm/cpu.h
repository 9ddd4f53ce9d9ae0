/* SPDX-License-Identifier: Apache-2.0 */
/* CPU policies as people name them: host, a level of x86-64, or a file. Prefix: cpu_. */
#ifndef VMM_CPU_H
#define VMM_CPU_H

#include "layout/cpu_policy.h"

/** cpu_is_host() - all that the host can give: there is no policy to look up. */
bool cpu_is_host(const char *name);

/** cpu_load() - @name: x86_64-v2, x86_64-v3, or a file that `vmm cpu baseline` wrote; anything with
 * a slash or a dot is a file. -ERR_USAGE for a name that is none of these, or what
 * state_read_file() returns. */
int cpu_load(const char *name, struct cpu_policy *out, struct err *e) MUST_CHECK;

#endif
