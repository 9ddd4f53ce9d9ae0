/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts.h"

#include "layout/compat.h"

#include <stdlib.h>
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

/* What a vCPU of the fixture has, and KVM allows to be otherwise. */
static const struct host_reg registers[] = {
    {X0, 0, 0},
    {PFR0, 0x1101000110111112, UINT64_C(0xff) << 56},
    {ISAR0, 0x0221100110212120, 0},
    {ISAR1, 0x0010111110211402, 0},
    {MMFR0, 0x0000022200101126, 0},
    {MMFR1, 0x0000011010211122, 0},
    {MIDR, 0x410fd0c1, 0},
    {MPIDR, 0x80000000, 0},
    {CLIDR, 0x02000023, 0},
    {CSSELR, 0, 0},
    {CCSIDR0, 0x701fe00a, 0},
    {TTBR0, 0x1de7ec7edbadc0de, 0},
    {PIR, 0x1de7ec7edbadc0de, 0},
    {ARM64_PTIMER_CTL, 4, 0},
    {ARM64_PTIMER_CNT, 0, 0},
    {ARM64_PSCI_VERSION, 0x10001, 0},
    {ARM64_PSCI_VERSION + 2, 2, 0},
    {BITMAP, 3, 0},
    {Z0, 0, 0},
    {ARM64_SVE_LENGTHS, 0, 0},
};

void hosts_fill_arm64(struct host *h)
{
	static const char *const caps[] = {
	    "ARM_SVE",	  "ARM_PTRAUTH_ADDRESS", "ARM_PTRAUTH_GENERIC",
	    "ARM_PMU_V3", "STEAL_TIME",		 "ARM_INJECT_SERROR_ESR"};

	state_defaults(&host_desc, h);
	strcpy(h->arch, "aarch64");
	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		hosts_add_cap(h, caps[i]);
	memcpy(h->reg, registers, sizeof registers);
	h->reg_n = ARRAY_LEN(registers);
	h->counter_hz = 62500000;
	h->sve_lengths[0] = 0xb; /* 128, 256 and 512 bits */
}

struct host_reg *hosts_reg(struct host *h, uint64_t id)
{
	for (uint32_t i = 0; i < h->reg_n; i++)
		if (h->reg[i].id == id)
			return &h->reg[i];
	abort(); /* the fixture has no such register */
}
