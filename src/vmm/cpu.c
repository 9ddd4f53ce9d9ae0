/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cpu.h"

#include <string.h>

bool cpu_is_host(const char *name)
{
	return !strcmp(name, "host");
}

int cpu_load(const char *name, struct cpu_policy *out, struct err *e)
{
	if (cpu_policy_find(name, out))
		return 0;
	if (!strpbrk(name, "./"))
		return err_set(e, ERR_USAGE,
			       "no CPU policy %s: host, x86_64-v2, x86_64-v3 or a file (./%s)",
			       name, name);
	int r = state_read_file(&cpu_policy_desc, name, out, e);
	if (r)
		return r;
	r = cpu_policy_coherent(out, e);
	if (r)
		err_file(e, name);
	return r;
}
