/* SPDX-License-Identifier: Apache-2.0 */
#include "state/arm64_registers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NIBBLE(shift) (UINT64_C(0xf) << (shift))

struct id_reg {
	uint64_t id;
	const char *name;
	uint64_t above;	    /* fields of use to a hypervisor or firmware only */
	uint64_t is_signed; /* fields in which 15 is less than 0 */
	const char *field[16];
};

/* clang-format off */
static const struct id_reg id_regs[] = {
	{ARM64_SYSTEM(3, 0, 0, 4, 0), "ID_AA64PFR0_EL1", NIBBLE(8) | NIBBLE(12),
	 NIBBLE(16) | NIBBLE(20),
	 {"EL0", "EL1", "EL2", "EL3", "FP", "AdvSIMD", "GIC", "RAS", "SVE", "SEL2", "MPAM", "AMU",
	  "DIT", "RME", "CSV2", "CSV3"}},
	{ARM64_SYSTEM(3, 0, 0, 4, 1), "ID_AA64PFR1_EL1", 0, 0,
	 {"BT", "SSBS", "MTE", "RAS_frac", "MPAM_frac", NULL, "SME", "RNDR_trap", "CSV2_frac", "NMI",
	  "MTE_frac", "GCS", "THE", "MTEX", "DF2", "PFAR"}},
	{ARM64_SYSTEM(3, 0, 0, 4, 4), "ID_AA64ZFR0_EL1", 0, 0,
	 {"SVEver", "AES", NULL, NULL, "BitPerm", "BF16", "B16B16", NULL, "SHA3", NULL, "SM4", "I8MM",
	  NULL, "F32MM", "F64MM"}},
	{ARM64_SYSTEM(3, 0, 0, 5, 0), "ID_AA64DFR0_EL1", 0, 0,
	 {"DebugVer", "TraceVer", "PMUVer", "BRPs", "PMSS", "WRPs", "SEBEP", "CTX_CMPs", "PMSVer",
	  "DoubleLock", "TraceFilt", "TraceBuffer", "MTPMU", "BRBE", "ExtTrcBuff", "HPMN0"}},
	{ARM64_SYSTEM(3, 0, 0, 6, 0), "ID_AA64ISAR0_EL1", 0, 0,
	 {NULL, "AES", "SHA1", "SHA2", "CRC32", "Atomic", "TME", "RDM", "SHA3", "SM3", "SM4", "DP",
	  "FHM", "TS", "TLB", "RNDR"}},
	{ARM64_SYSTEM(3, 0, 0, 6, 1), "ID_AA64ISAR1_EL1", 0, 0,
	 {"DPB", "APA", "API", "JSCVT", "FCMA", "LRCPC", "GPA", "GPI", "FRINTTS", "SB", "SPECRES",
	  "BF16", "DGH", "I8MM", "XS", "LS64"}},
	{ARM64_SYSTEM(3, 0, 0, 6, 2), "ID_AA64ISAR2_EL1", 0, 0,
	 {"WFxT", "RPRES", "GPA3", "APA3", "MOPS", "BC", "PAC_frac", "CLRBHB", "SYSREG_128",
	  "SYSINSTR_128", "PRFMSLC", NULL, "RPRFM", "CSSC", "LUT", "ATS1A"}},
	{ARM64_SYSTEM(3, 0, 0, 7, 0), "ID_AA64MMFR0_EL1",
	 NIBBLE(32) | NIBBLE(36) | NIBBLE(40) | NIBBLE(56), NIBBLE(24) | NIBBLE(28),
	 {"PARange", "ASIDBits", "BigEnd", "SNSMem", "BigEndEL0", "TGran16", "TGran64", "TGran4",
	  "TGran16_2", "TGran64_2", "TGran4_2", "ExS", NULL, NULL, "FGT", "ECV"}},
	{ARM64_SYSTEM(3, 0, 0, 7, 1), "ID_AA64MMFR1_EL1",
	 NIBBLE(4) | NIBBLE(8) | NIBBLE(28) | NIBBLE(32) | NIBBLE(40), 0,
	 {"HAFDBS", "VMIDBits", "VH", "HPDS", "LO", "PAN", "SpecSEI", "XNX", "TWED", "ETS", "HCX",
	  "AFP", "nTLBPA", "TIDCP1", "CMOW", "ECBHB"}},
	{ARM64_SYSTEM(3, 0, 0, 7, 2), "ID_AA64MMFR2_EL1", NIBBLE(24) | NIBBLE(44), 0,
	 {"CnP", "UAO", "LSM", "IESB", "VARange", "CCIDX", "NV", "ST", "AT", "IDS", "FWB", NULL, "TTL",
	  "BBM", "EVT", "E0PD"}},
	{ARM64_SYSTEM(3, 0, 0, 7, 3), "ID_AA64MMFR3_EL1", 0, 0,
	 {"TCRX", "SCTLRX", "S1PIE", "S2PIE", "S1POE", "S2POE", "AIE", "MEC", "D128", "D128_2", "SNERR",
	  "ANERR", NULL, NULL, "SDERR", "ADERR"}},
};
/* clang-format on */

/* clang-format off */
static const struct {
	uint64_t id;
	const char *name;
} others[] = {
	{ARM64_SYSTEM(2, 0, 0, 2, 2), "MDSCR_EL1"}, {ARM64_SYSTEM(2, 0, 1, 1, 4), "OSLSR_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 0, 0), "MIDR_EL1"}, {ARM64_SYSTEM(3, 0, 0, 0, 5), "MPIDR_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 0, 6), "REVIDR_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 1, 0), "ID_PFR0_EL1"}, {ARM64_SYSTEM(3, 0, 0, 1, 1), "ID_PFR1_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 1, 2), "ID_DFR0_EL1"}, {ARM64_SYSTEM(3, 0, 0, 1, 3), "ID_AFR0_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 1, 4), "ID_MMFR0_EL1"}, {ARM64_SYSTEM(3, 0, 0, 1, 5), "ID_MMFR1_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 1, 6), "ID_MMFR2_EL1"}, {ARM64_SYSTEM(3, 0, 0, 1, 7), "ID_MMFR3_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 2, 0), "ID_ISAR0_EL1"}, {ARM64_SYSTEM(3, 0, 0, 2, 1), "ID_ISAR1_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 2, 2), "ID_ISAR2_EL1"}, {ARM64_SYSTEM(3, 0, 0, 2, 3), "ID_ISAR3_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 2, 4), "ID_ISAR4_EL1"}, {ARM64_SYSTEM(3, 0, 0, 2, 5), "ID_ISAR5_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 2, 6), "ID_MMFR4_EL1"}, {ARM64_SYSTEM(3, 0, 0, 2, 7), "ID_ISAR6_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 3, 0), "MVFR0_EL1"}, {ARM64_SYSTEM(3, 0, 0, 3, 1), "MVFR1_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 3, 2), "MVFR2_EL1"}, {ARM64_SYSTEM(3, 0, 0, 3, 4), "ID_PFR2_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 3, 5), "ID_DFR1_EL1"}, {ARM64_SYSTEM(3, 0, 0, 3, 6), "ID_MMFR5_EL1"},
	{ARM64_SYSTEM(3, 0, 0, 5, 1), "ID_AA64DFR1_EL1"},
	{ARM64_SYSTEM(3, 0, 1, 0, 0), "SCTLR_EL1"}, {ARM64_SYSTEM(3, 0, 1, 0, 1), "ACTLR_EL1"},
	{ARM64_SYSTEM(3, 0, 1, 0, 2), "CPACR_EL1"}, {ARM64_SYSTEM(3, 0, 1, 2, 0), "ZCR_EL1"},
	{ARM64_SYSTEM(3, 0, 2, 0, 0), "TTBR0_EL1"}, {ARM64_SYSTEM(3, 0, 2, 0, 1), "TTBR1_EL1"},
	{ARM64_SYSTEM(3, 0, 2, 0, 2), "TCR_EL1"}, {ARM64_SYSTEM(3, 0, 2, 0, 3), "TCR2_EL1"},
	{ARM64_SYSTEM(3, 0, 2, 1, 0), "APIAKeyLo_EL1"}, {ARM64_SYSTEM(3, 0, 2, 1, 1), "APIAKeyHi_EL1"},
	{ARM64_SYSTEM(3, 0, 2, 1, 2), "APIBKeyLo_EL1"}, {ARM64_SYSTEM(3, 0, 2, 1, 3), "APIBKeyHi_EL1"},
	{ARM64_SYSTEM(3, 0, 2, 2, 0), "APDAKeyLo_EL1"}, {ARM64_SYSTEM(3, 0, 2, 2, 1), "APDAKeyHi_EL1"},
	{ARM64_SYSTEM(3, 0, 2, 2, 2), "APDBKeyLo_EL1"}, {ARM64_SYSTEM(3, 0, 2, 2, 3), "APDBKeyHi_EL1"},
	{ARM64_SYSTEM(3, 0, 2, 3, 0), "APGAKeyLo_EL1"}, {ARM64_SYSTEM(3, 0, 2, 3, 1), "APGAKeyHi_EL1"},
	{ARM64_SYSTEM(3, 0, 5, 1, 0), "AFSR0_EL1"}, {ARM64_SYSTEM(3, 0, 5, 1, 1), "AFSR1_EL1"},
	{ARM64_SYSTEM(3, 0, 5, 2, 0), "ESR_EL1"}, {ARM64_SYSTEM(3, 0, 6, 0, 0), "FAR_EL1"},
	{ARM64_SYSTEM(3, 0, 7, 4, 0), "PAR_EL1"}, {ARM64_SYSTEM(3, 0, 10, 2, 0), "MAIR_EL1"},
	{ARM64_SYSTEM(3, 0, 10, 2, 2), "PIRE0_EL1"}, {ARM64_SYSTEM(3, 0, 10, 2, 3), "PIR_EL1"},
	{ARM64_SYSTEM(3, 0, 10, 3, 0), "AMAIR_EL1"}, {ARM64_SYSTEM(3, 0, 12, 0, 0), "VBAR_EL1"},
	{ARM64_SYSTEM(3, 0, 13, 0, 1), "CONTEXTIDR_EL1"}, {ARM64_SYSTEM(3, 0, 13, 0, 4), "TPIDR_EL1"},
	{ARM64_SYSTEM(3, 0, 14, 1, 0), "CNTKCTL_EL1"},
	{ARM64_SYSTEM(3, 1, 0, 0, 1), "CLIDR_EL1"}, {ARM64_SYSTEM(3, 1, 0, 0, 7), "AIDR_EL1"},
	{ARM64_SYSTEM(3, 2, 0, 0, 0), "CSSELR_EL1"}, {ARM64_SYSTEM(3, 3, 0, 0, 1), "CTR_EL0"},
	{ARM64_SYSTEM(3, 3, 9, 12, 0), "PMCR_EL0"}, {ARM64_SYSTEM(3, 3, 9, 12, 1), "PMCNTENSET_EL0"},
	{ARM64_SYSTEM(3, 3, 9, 12, 3), "PMOVSCLR_EL0"}, {ARM64_SYSTEM(3, 3, 9, 13, 0), "PMCCNTR_EL0"},
	{ARM64_SYSTEM(3, 3, 9, 14, 0), "PMUSERENR_EL0"},
	{ARM64_SYSTEM(3, 3, 13, 0, 2), "TPIDR_EL0"}, {ARM64_SYSTEM(3, 3, 13, 0, 3), "TPIDRRO_EL0"},
	{ARM64_TIMER_CNT, "CNTVCT_EL0"}, {ARM64_TIMER_CVAL, "CNTV_CVAL_EL0"},
	{ARM64_SYSTEM(3, 3, 14, 3, 1), "CNTV_CTL_EL0"},
	{ARM64_PTIMER_CNT, "CNTPCT_EL0"}, {ARM64_PTIMER_CTL, "CNTP_CTL_EL0"},
	{ARM64_SYSTEM(3, 3, 14, 2, 2), "CNTP_CVAL_EL0"},
	{ARM64_SYSTEM(3, 3, 14, 15, 7), "PMCCFILTR_EL0"},
	{ARM64_PSCI_VERSION, "PSCI version"},
	{ARM64_PSCI_VERSION + 1, "SMCCC_ARCH_WORKAROUND_1"},
	{ARM64_PSCI_VERSION + 2, "SMCCC_ARCH_WORKAROUND_2"},
	{ARM64_PSCI_VERSION + 3, "SMCCC_ARCH_WORKAROUND_3"},
	{ARM64_SVE_LENGTHS, "SVE vector lengths"},
};
/* clang-format on */

static unsigned op1_of(uint64_t id)
{
	return id >> 11 & 7;
}

static unsigned crm_of(uint64_t id)
{
	return id >> 3 & 15;
}

/* op0 3, CRn 0. */
static bool tells_of_processor(uint64_t id)
{
	return arm64_kind(id) == ARM64_KIND_SYSTEM && (id >> 14 & 3) == 3 && (id >> 7 & 15) == 0;
}

static const struct id_reg *find(uint64_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(id_regs); i++)
		if (id_regs[i].id == id)
			return &id_regs[i];
	return NULL;
}

bool arm64_is_id(uint64_t id)
{
	return tells_of_processor(id) && op1_of(id) == 0 && crm_of(id) >= 1 && crm_of(id) <= 7;
}

/* MPIDR_EL1 is a vCPU's own number, and CSSELR_EL1 is the guest's to write. */
bool arm64_is_identity(uint64_t id)
{
	if (arm64_kind(id) == ARM64_KIND_CACHE)
		return true;
	return tells_of_processor(id) && crm_of(id) == 0 && op1_of(id) != 2 &&
	       id != ARM64_SYSTEM(3, 0, 0, 0, 5);
}

uint64_t arm64_id_unseen(uint64_t id, uint32_t features)
{
	static const struct {
		uint64_t id, bits;
		uint32_t feature;
	} governed[] = {
	    {ARM64_SYSTEM(3, 0, 0, 4, 0), NIBBLE(32), ARM64_FEATURE_SVE},
	    {ARM64_SYSTEM(3, 0, 0, 4, 4), UINT64_MAX, ARM64_FEATURE_SVE},
	    {ARM64_SYSTEM(3, 0, 0, 6, 1), NIBBLE(4) | NIBBLE(8), ARM64_FEATURE_PTRAUTH_ADDRESS},
	    {ARM64_SYSTEM(3, 0, 0, 6, 1), NIBBLE(24) | NIBBLE(28), ARM64_FEATURE_PTRAUTH_GENERIC},
	    {ARM64_SYSTEM(3, 0, 0, 6, 2), NIBBLE(12), ARM64_FEATURE_PTRAUTH_ADDRESS},
	    {ARM64_SYSTEM(3, 0, 0, 6, 2), NIBBLE(8), ARM64_FEATURE_PTRAUTH_GENERIC},
	    {ARM64_SYSTEM(3, 0, 0, 5, 0), NIBBLE(8), ARM64_FEATURE_PMU},
	    {ARM64_SYSTEM(3, 0, 0, 1, 2), NIBBLE(24), ARM64_FEATURE_PMU}, /* ID_DFR0_EL1 */
	};
	const struct id_reg *r = find(id);
	uint64_t bits = r ? r->above : 0;

	for (size_t i = 0; i < ARRAY_LEN(governed); i++)
		if (governed[i].id == id && !(features & governed[i].feature))
			bits |= governed[i].bits;
	return bits;
}

bool arm64_id_carries(uint64_t id, unsigned shift, uint64_t had, uint64_t has)
{
	const struct id_reg *r = find(id);

	had = had >> shift & 15;
	has = has >> shift & 15;
	if (r && r->is_signed >> shift & 1) {
		had = (had + 8) & 15;
		has = (has + 8) & 15;
	}
	return had <= has;
}

/* Numbers of core registers count words of struct kvm_regs, with two for each of 64 bits and four
 * for each vector. */
static void core_name(uint32_t number, char *buf, size_t size)
{
	static const struct {
		uint32_t number;
		const char *name;
	} names[] = {
	    {0x3e, "sp"},	{0x40, "pc"},	    {0x42, "pstate"},	{0x44, "SP_EL1"},
	    {0x46, "ELR_EL1"},	{0x48, "SPSR_EL1"}, {0x4a, "SPSR_abt"}, {0x4c, "SPSR_und"},
	    {0x4e, "SPSR_irq"}, {0x50, "SPSR_fiq"}, {0xd4, "FPSR"},	{0xd5, "FPCR"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].number == number) {
			snprintf(buf, size, "%s", names[i].name);
			return;
		}
	if (number < 0x3e)
		snprintf(buf, size, "x%u", number / 2);
	else if (number >= 0x54 && number < 0xd4)
		snprintf(buf, size, "v%u", (number - 0x54) / 4);
	else
		snprintf(buf, size, "core register 0x%x", number);
}

static void sve_name(uint32_t number, char *buf, size_t size)
{
	uint32_t n = number >> 5 & 31;

	if (number == 0x600)
		snprintf(buf, size, "FFR");
	else if (number >> 10)
		snprintf(buf, size, "p%u", n & 15);
	else
		snprintf(buf, size, "z%u", n);
}

/* Breakpoints and watchpoints: op0 2, CRn 0, a pair for each CRm. */
static bool debug_name(uint64_t id, char *buf, size_t size)
{
	static const char *const names[] = {"DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR"};

	if ((id & 0xff80) != 0x8000 || (id & 7) < 4)
		return false;
	snprintf(buf, size, "%s%u_EL1", names[(id & 7) - 4], crm_of(id));
	return true;
}

const char *arm64_reg_name(uint64_t id, char *buf, size_t size)
{
	const struct id_reg *r = find(id);
	uint32_t number = id & 0xffff;

	if (r) {
		snprintf(buf, size, "%s", r->name);
		return buf;
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (others[i].id == id) {
			snprintf(buf, size, "%s", others[i].name);
			return buf;
		}
	switch (arm64_kind(id)) {
	case ARM64_KIND_SYSTEM:
		if (debug_name(id, buf, size))
			break;
		snprintf(buf, size, "S%u_%u_C%u_C%u_%u", (unsigned)(id >> 14 & 3), op1_of(id),
			 (unsigned)(id >> 7 & 15), crm_of(id), (unsigned)(id & 7));
		break;
	case ARM64_KIND_CORE:
		core_name(number, buf, size);
		break;
	case ARM64_KIND_SVE:
		sve_name(number, buf, size);
		break;
	case ARM64_KIND_CACHE:
		snprintf(buf, size, "CCSIDR_EL1 of cache %u", (unsigned)(id & 0xff));
		break;
	case ARM64_KIND_HYPERCALLS:
		snprintf(buf, size, "hypercalls %u", number);
		break;
	default:
		snprintf(buf, size, "register 0x%" PRIx64, id);
	}
	return buf;
}

const char *arm64_field_name(uint64_t id, unsigned shift, char *buf, size_t size)
{
	const struct id_reg *r = find(id);
	const char *field = r ? r->field[shift / 4] : NULL;
	char name[48];

	arm64_reg_name(id, name, sizeof name);
	if (field)
		snprintf(buf, size, "%s.%s", name, field);
	else
		snprintf(buf, size, "%s bits %u to %u", name, shift + 3, shift);
	return buf;
}
