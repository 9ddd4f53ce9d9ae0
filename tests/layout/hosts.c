/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts.h"

#include "layout/compat.h"

#include <string.h>

static void put_cpuid(struct x86_cpuid *list, uint32_t *n, uint32_t function, uint32_t index,
		      uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	list[(*n)++] = (struct x86_cpuid){
	    .function = function, .index = index, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx};
}

void hosts_fill_cpuid(struct x86_cpuid *list, uint32_t *n)
{
	*n = 0;
	put_cpuid(list, n, 0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69); /* GenuineIntel */
	put_cpuid(list, n, 1, 0, 0x906ea, 0, 0x7ffafbff, 0xbfebfbff);
	put_cpuid(list, n, 7, 0, 0, 0x29c67af, 0, 0);
	put_cpuid(list, n, 0xd, 0, 0x207, 0xa88, 0xa88, 0);
	put_cpuid(list, n, 0xd, 2, 256, 576, 0, 0);
	put_cpuid(list, n, 0xd, 9, 8, 2688, 0, 0);
	put_cpuid(list, n, 0x80000001, 0, 0, 0, 0x21, 0x2c100800);
	put_cpuid(list, n, 0x40000001, 0, 0x100000b, 0, 0, 0);
}

void hosts_add_cap(struct host *h, const char *name)
{
	strcpy(h->cap[h->cap_n].name, name);
	h->cap[h->cap_n++].value = 1;
}

void hosts_fill(struct host *h)
{
	const char *name;

	state_defaults(&host_desc, h);
	strcpy(h->arch, "x86_64");
	h->page_bytes = 4096;
	h->phys_bits = 46;
	h->memslots = 509;
	h->vcpus = 1024;
	h->tsc_khz = 3000000;
	h->userfaultfd = true;
	for (size_t i = 0; (name = compat_needed_cap("x86_64", i)); i++)
		hosts_add_cap(h, name);
	hosts_add_cap(h, "DIRTY_LOG_RING");
	hosts_add_cap(h, "SREGS2");
	hosts_add_cap(h, "EXCEPTION_PAYLOAD");
	hosts_add_cap(h, "X86_TRIPLE_FAULT_EVENT");
	hosts_fill_cpuid(h->cpuid, &h->cpuid_n);
	h->msr[h->msr_n++].index = 0x174;
	h->msr[h->msr_n++].index = 0xda0;
}
