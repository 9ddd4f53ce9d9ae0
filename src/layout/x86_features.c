/* SPDX-License-Identifier: Apache-2.0 */
/* Names are those of /proc/cpuinfo where it has one. */
#include "layout/x86_cpu.h"

#include <inttypes.h>
#include <stdio.h>

/* clang-format off */
const struct x86_feature_reg x86_features[] = {
	/* 27 OSXSAVE follows CR4; 31 is "virtual machine", 24 TSC deadline: made by KVM's LAPIC */
	{1, 0, ECX, 1u << 27 | 1u << 31 | 1u << 24, "CPUID 1 ECX", {
		 [0] = "sse3", [1] = "pclmulqdq", [2] = "dtes64", [3] = "monitor", [4] = "ds_cpl",
		 [5] = "vmx", [6] = "smx", [7] = "est", [8] = "tm2", [9] = "ssse3", [10] = "cid",
		 [11] = "sdbg", [12] = "fma", [13] = "cx16", [14] = "xtpr", [15] = "pdcm", [17] = "pcid",
		 [18] = "dca", [19] = "sse4_1", [20] = "sse4_2", [21] = "x2apic", [22] = "movbe",
		 [23] = "popcnt", [24] = "tsc_deadline", [25] = "aes", [26] = "xsave", [27] = "osxsave",
		 [28] = "avx", [29] = "f16c", [30] = "rdrand", [31] = "hypervisor",
	}},
	/* 28 HTT says how many processors there are */
	{1, 0, EDX, 1u << 28, "CPUID 1 EDX", {
		 [0] = "fpu", [1] = "vme", [2] = "de", [3] = "pse", [4] = "tsc", [5] = "msr",
		 [6] = "pae", [7] = "mce", [8] = "cx8", [9] = "apic", [11] = "sep", [12] = "mtrr",
		 [13] = "pge", [14] = "mca", [15] = "cmov", [16] = "pat", [17] = "pse36", [18] = "pn",
		 [19] = "clflush", [21] = "dts", [22] = "acpi", [23] = "mmx", [24] = "fxsr",
		 [25] = "sse", [26] = "sse2", [27] = "ss", [28] = "ht", [29] = "tm", [30] = "ia64",
		 [31] = "pbe",
	}},
	/* thermal and power: of these only ARAT reaches guests */
	{6, 0, EAX, ~(1u << 2), "CPUID 6 EAX", {
		 [2] = "arat",
	}},
	{7, 0, EBX, 0, "CPUID 7 EBX", {
		 [0] = "fsgsbase", [1] = "tsc_adjust", [2] = "sgx", [3] = "bmi1", [4] = "hle",
		 [5] = "avx2", [6] = "fdp_excptn_only", [7] = "smep", [8] = "bmi2", [9] = "erms",
		 [10] = "invpcid", [11] = "rtm", [12] = "cqm", [13] = "zero_fcs_fds", [14] = "mpx",
		 [15] = "rdt_a", [16] = "avx512f", [17] = "avx512dq", [18] = "rdseed", [19] = "adx",
		 [20] = "smap", [21] = "avx512ifma", [22] = "pcommit", [23] = "clflushopt",
		 [24] = "clwb", [25] = "intel_pt", [26] = "avx512pf", [27] = "avx512er",
		 [28] = "avx512cd", [29] = "sha_ni", [30] = "avx512bw", [31] = "avx512vl",
	}},
	/* 4 OSPKE follows CR4 */
	{7, 0, ECX, 1u << 4, "CPUID 7 ECX", {
		 [0] = "prefetchwt1", [1] = "avx512vbmi", [2] = "umip", [3] = "pku", [4] = "ospke",
		 [5] = "waitpkg", [6] = "avx512_vbmi2", [7] = "shstk", [8] = "gfni", [9] = "vaes",
		 [10] = "vpclmulqdq", [11] = "avx512_vnni", [12] = "avx512_bitalg", [13] = "tme",
		 [14] = "avx512_vpopcntdq", [16] = "la57", [22] = "rdpid", [23] = "key_locker",
		 [24] = "bus_lock_detect", [25] = "cldemote", [27] = "movdiri", [28] = "movdir64b",
		 [29] = "enqcmd", [30] = "sgx_lc", [31] = "pks",
	}},
	{7, 0, EDX, 0, "CPUID 7 EDX", {
		 [1] = "sgx_keys", [2] = "avx512_4vnniw", [3] = "avx512_4fmaps", [4] = "fsrm",
		 [5] = "uintr", [8] = "avx512_vp2intersect", [9] = "srbds_ctrl", [10] = "md_clear",
		 [11] = "rtm_always_abort", [13] = "tsx_force_abort", [14] = "serialize",
		 [15] = "hybrid_cpu", [16] = "tsxldtrk", [18] = "pconfig", [19] = "arch_lbr",
		 [20] = "ibt", [22] = "amx_bf16", [23] = "avx512_fp16", [24] = "amx_tile",
		 [25] = "amx_int8", [26] = "spec_ctrl", [27] = "intel_stibp", [28] = "flush_l1d",
		 [29] = "arch_capabilities", [30] = "core_capabilities", [31] = "spec_ctrl_ssbd",
	}},
	{7, 1, EAX, 0, "CPUID 7.1 EAX", {
		 [0] = "sha512", [1] = "sm3", [2] = "sm4", [4] = "avx_vnni", [5] = "avx512_bf16",
		 [6] = "lass", [7] = "cmpccxadd", [8] = "archperfmonext", [10] = "fzrm", [11] = "fsrs",
		 [12] = "fsrc", [17] = "fred", [18] = "lkgs", [19] = "wrmsrns", [21] = "amx_fp16",
		 [22] = "hreset", [23] = "avx_ifma", [26] = "lam",
	}},
	{7, 1, EDX, 0, "CPUID 7.1 EDX", {
		 [4] = "avx_vnni_int8", [5] = "avx_ne_convert", [8] = "amx_complex",
		 [10] = "avx_vnni_int16", [14] = "prefetchiti", [19] = "avx10",
	}},
	{7, 2, EDX, 0, "CPUID 7.2 EDX", {
		 [0] = "intel_psfd", [1] = "ipred_ctrl", [2] = "rrsba_ctrl", [3] = "ddpd_u",
		 [4] = "bhi_ctrl", [5] = "mcdt_no",
	}},
	{0xd, 0, EAX, 0, "CPUID 0xd EAX (XCR0)", {
		 [0] = "x87 state", [1] = "sse state", [2] = "avx state", [3] = "bndregs state",
		 [4] = "bndcsr state", [5] = "opmask state", [6] = "zmm_hi256 state",
		 [7] = "hi16_zmm state", [9] = "pkru state", [17] = "tilecfg state",
		 [18] = "tiledata state",
	}},
	{0xd, 1, EAX, 0, "CPUID 0xd.1 EAX", {
		 [0] = "xsaveopt", [1] = "xsavec", [2] = "xgetbv1", [3] = "xsaves", [4] = "xfd",
	}},
	{0x80000001, 0, ECX, 0, "CPUID 0x80000001 ECX", {
		 [0] = "lahf_lm", [1] = "cmp_legacy", [2] = "svm", [3] = "extapic", [4] = "cr8_legacy",
		 [5] = "abm", [6] = "sse4a", [7] = "misalignsse", [8] = "3dnowprefetch", [9] = "osvw",
		 [10] = "ibs", [11] = "xop", [12] = "skinit", [13] = "wdt", [15] = "lwp", [16] = "fma4",
		 [17] = "tce", [19] = "nodeid_msr", [21] = "tbm", [22] = "topoext",
		 [23] = "perfctr_core", [24] = "perfctr_nb", [26] = "bpext", [27] = "ptsc",
		 [28] = "perfctr_llc", [29] = "mwaitx",
	}},
	/* what AMD repeats of CPUID 1 EDX */
	{0x80000001, 0, EDX, 0x0183f3ff, "CPUID 0x80000001 EDX", {
		 [11] = "syscall", [19] = "mp", [20] = "nx", [22] = "mmxext", [25] = "fxsr_opt",
		 [26] = "pdpe1gb", [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow",
	}},
	{0x80000008, 0, EBX, 0, "CPUID 0x80000008 EBX", {
		 [0] = "clzero", [1] = "irperf", [2] = "xsaveerptr", [4] = "rdpru", [9] = "wbnoinvd",
		 [12] = "amd_ibpb", [14] = "amd_ibrs", [15] = "amd_stibp", [17] = "amd_stibp_always_on",
		 [19] = "ibrs_same_mode", [24] = "amd_ssbd", [25] = "virt_ssbd", [26] = "amd_ssb_no",
		 [28] = "amd_psfd", [29] = "btc_no", [30] = "ibpb_ret",
	}},
	{0x80000021, 0, EAX, 0, "CPUID 0x80000021 EAX", {
		 [0] = "no_nested_data_bp", [2] = "lfence_rdtsc", [5] = "verw_clear",
		 [6] = "null_sel_clr_base", [8] = "autoibrs", [9] = "no_smm_ctl_msr", [10] = "fsrs",
		 [11] = "fsrc", [13] = "prefetchctl_msr", [17] = "cpuid_user_dis", [20] = "epsf",
		 [24] = "eraps", [27] = "sbpb", [28] = "ibpb_brtype", [29] = "srso_no",
		 [30] = "srso_user_kernel_no",
	}},
	{0x40000001, 0, EAX, 0, "KVM features", {
		 [0] = "kvm_clocksource", [1] = "kvm_nop_io_delay", [2] = "kvm_mmu_op",
		 [3] = "kvm_clocksource2", [4] = "kvm_async_pf", [5] = "kvm_steal_time",
		 [6] = "kvm_pv_eoi", [7] = "kvm_pv_unhalt", [9] = "kvm_pv_tlb_flush",
		 [10] = "kvm_async_pf_vmexit", [11] = "kvm_pv_send_ipi", [12] = "kvm_poll_control",
		 [13] = "kvm_pv_sched_yield", [14] = "kvm_async_pf_int", [15] = "kvm_msi_ext_dest_id",
		 [16] = "kvm_hc_map_gpa_range", [17] = "kvm_migration_control",
		 [24] = "kvm_clocksource_stable",
	}},
};
/* clang-format on */

const size_t x86_features_n = ARRAY_LEN(x86_features);

uint32_t x86_cpuid_reg(const struct x86_cpuid *list, uint32_t n, uint32_t function, uint32_t index,
		       enum x86_reg reg)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i].function == function && list[i].index == index)
			return reg == EAX   ? list[i].eax
			       : reg == EBX ? list[i].ebx
			       : reg == ECX ? list[i].ecx
					    : list[i].edx;
	return 0;
}

#define NAMES_ROOM 24 /* for " and 32 more" */

const char *x86_cpu_names(const struct x86_feature_reg *r, uint32_t bits, char *buf, size_t size)
{
	size_t at = 0;

	for (unsigned bit = 0; bit < 32; bit++) {
		char one[32];
		if (!(bits >> bit & 1))
			continue;
		if (r->name[bit])
			snprintf(one, sizeof one, "%s", r->name[bit]);
		else
			snprintf(one, sizeof one, "bit %u", bit);
		int n = snprintf(buf + at, size - at, "%s%s", at ? ", " : "", one);
		at += (size_t)n;
		if (at + NAMES_ROOM + sizeof one > size) {
			uint64_t rest = (uint64_t)bits >> (bit + 1);
			unsigned left = (unsigned)__builtin_popcountll(rest);
			if (left)
				snprintf(buf + at, size - at, " and %u more", left);
			break;
		}
	}
	if (!at && size)
		buf[0] = '\0';
	return buf;
}

void x86_cpu_compare(const struct x86_feature_reg *r, uint32_t had, uint32_t has,
		     struct findings *out)
{
	uint32_t lost = had & ~has & ~r->ignore;
	char a[160], b[64];

	if (!lost)
		return;
	snprintf(b, sizeof b, "absent (register has 0x%08" PRIx32 ")", has);
	findings_add(out, RULE_C002, r->text, x86_cpu_names(r, lost, a, sizeof a), b);
}

void x86_cpu_vendor(const struct x86_cpuid *list, uint32_t n, char out[static 13])
{
	static const enum x86_reg order[] = {EBX, EDX, ECX};

	for (int i = 0; i < 3; i++)
		num_put_le32((uint8_t *)out + 4 * i, x86_cpuid_reg(list, n, 0, 0, order[i]));
	/* Bytes of a file that may hold anything, and are printed. */
	for (int i = 0; i < 12; i++)
		if (out[i] < 0x20 || out[i] == 0x7f)
			out[i] = '?';
	out[12] = '\0';
}

/* --- what no guest gets ----------------------------------------------------------------------- */

#define BIT(n) (1u << (n))

/* Features that are taken away, and why. */
static const struct {
	uint32_t function, index;
	uint32_t eax, ebx, ecx, edx;
} hidden[] = {
    /* VMX: nested state is not saved. */
    {.function = 1, .ecx = BIT(5)},
    /* SGX and its launch control: enclave memory cannot be saved. */
    {.function = 7, .ebx = BIT(2), .ecx = BIT(30)},
    /* AMX: needs a permission for each process, and 8 KiB of state for each vCPU. */
    {.function = 7, .edx = BIT(22) | BIT(24) | BIT(25)},
    {.function = 0xd, .eax = BIT(17) | BIT(18)},
    /* SVM: nested state is not saved. PERFCTR_CORE, PERFCTR_NB, PERFTSC, PERFCTR_LLC: as the PMU.
     */
    {.function = 0x80000001, .ecx = BIT(2) | BIT(23) | BIT(24) | BIT(27) | BIT(28)},
    /* Invariant TSC: a guest that relies on it cannot go to a host of another frequency. */
    {.function = 0x80000007, .edx = BIT(8)},
    /* KVM: asynchronous page faults (4, 10, 14) have notifications in flight in the host. */
    {.function = 0x40000001, .eax = BIT(4) | BIT(10) | BIT(14)},
    /* KVM: MIGRATION_CONTROL (17) is for encrypted guests. */
    {.function = 0x40000001, .eax = BIT(17)},
};

/* Leaves that are emptied: PMU (0xa), SGX (0x12), processor trace (0x14), AMX (0x1d, 0x1e), SVM
 * (0x8000000a), memory encryption (0x8000001f), performance monitoring of AMD (0x80000022). */
static const uint32_t emptied[] = {0xa, 0x12, 0x14, 0x1d, 0x1e, 0x8000000a, 0x8000001f, 0x80000022};

static void hide_one(struct x86_cpuid *c)
{
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		if (c->function != hidden[i].function || c->index != hidden[i].index)
			continue;
		c->eax &= ~hidden[i].eax;
		c->ebx &= ~hidden[i].ebx;
		c->ecx &= ~hidden[i].ecx;
		c->edx &= ~hidden[i].edx;
	}
	for (size_t i = 0; i < ARRAY_LEN(emptied); i++)
		if (c->function == emptied[i])
			c->eax = c->ebx = c->ecx = c->edx = 0;
}

void x86_cpu_hide(struct x86_cpuid *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		hide_one(&list[i]);
}
