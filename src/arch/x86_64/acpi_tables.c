/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of fixed shape: FACS, FADT, MADT, MCFG. */
#include "arch/x86_64/acpi_priv.h"

#define HEADER_BYTES 36 /* of every table but the FACS (ACPI 6.4, 5.2.6) */
#define FACS_BYTES   64
#define FADT_BYTES   276

uint64_t acpi_facs_(struct acpi_tables *t)
{
	static const uint8_t rest[FACS_BYTES - 8];
	size_t at = acpi_place_(t, FACS_BYTES);

	buf_put(&t->b, "FACS", 4);
	acpi_put_(t, FACS_BYTES, 4);
	buf_put(&t->b, rest, sizeof rest);
	if (!t->b.failed)
		t->b.data[at + 32] = 2; /* version */
	return t->base + at;
}

/* Offsets of ACPI 6.4, table 5.9; what is not named is 0. */
enum fadt {
	FADT_FACS = 36,
	FADT_DSDT = 40,
	FADT_SCI_INT = 46,
	FADT_PM1A_EVT = 56,
	FADT_PM1A_CNT = 64,
	FADT_PM_TMR = 76,
	FADT_PM1_EVT_LEN = 88,
	FADT_PM1_CNT_LEN = 89,
	FADT_PM_TMR_LEN = 91,
	FADT_P_LVL2_LAT = 96,
	FADT_P_LVL3_LAT = 98,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT = 148,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM_TMR = 208,
};

#define CMOS_CENTURY 0x32 /* where the RTC's RAM has it */

/* Table 5.11 */
#define ARCH_LEGACY_DEVICES 0x01
#define ARCH_NO_VGA	    0x04
#define ARCH_NO_ASPM	    0x10
#define ARCH_NO_CMOS_RTC    0x20

/* Table 5.10 */
#define FLAG_WBINVD	     0x0001
#define FLAG_C1		     0x0004 /* HLT works on all processors */
#define FLAG_NO_SLEEP_BUTTON 0x0020 /* a power button there is, in the PM1 registers */
#define FLAG_NO_FIXED_RTC    0x0040 /* the RTC does not wake the machine */
#define FLAG_TIMER_32_BITS   0x0100
#define FLAG_RESET_REG	     0x0400
#define FLAG_HEADLESS	     0x1000

/* Generic address of an I/O port (5.2.3.2); access size is 1 for bytes, 2 words, 3 dwords. */
static void port_address(uint8_t *p, unsigned bits, unsigned access, uint64_t port)
{
	p[0] = 1; /* system I/O */
	p[1] = (uint8_t)bits;
	p[3] = (uint8_t)access;
	num_put_le64(p + 4, port);
}

/* No 8042: what answers at its ports can reset the machine, but has no keyboard to probe for. */
static unsigned boot_arch(const struct acpi_job *j)
{
	unsigned flags = ARCH_NO_VGA | ARCH_NO_ASPM;

	if (acpi_device_at_(j, "SERIAL_ADDR[0]"))
		flags |= ARCH_LEGACY_DEVICES;
	if (!acpi_device_at_(j, "CMOS_RTC"))
		flags |= ARCH_NO_CMOS_RTC;
	return flags;
}

uint64_t acpi_fadt_(struct acpi_tables *t, const struct layout_region *pm, uint64_t facs_at,
		    uint64_t dsdt_at)
{
	static const uint8_t body[FADT_BYTES - HEADER_BYTES];
	size_t at = acpi_table_begin_(t, "FACP", 6);

	buf_put(&t->b, body, sizeof body);
	if (t->b.failed)
		return 0;
	uint8_t *f = t->b.data + at;
	uint64_t evt = pm->start + ACPI_PM1_STS, cnt = pm->start + ACPI_PM1_CNT;
	uint64_t tmr = pm->start + ACPI_PM_TMR;
	num_put_le32(f + FADT_FACS, (uint32_t)facs_at);
	num_put_le32(f + FADT_DSDT, (uint32_t)dsdt_at);
	num_put_le64(f + FADT_X_DSDT, dsdt_at);
	num_put_le16(f + FADT_SCI_INT, pm->irq);
	num_put_le32(f + FADT_PM1A_EVT, (uint32_t)evt);
	num_put_le32(f + FADT_PM1A_CNT, (uint32_t)cnt);
	num_put_le32(f + FADT_PM_TMR, (uint32_t)tmr);
	f[FADT_PM1_EVT_LEN] = 4;
	f[FADT_PM1_CNT_LEN] = 2;
	f[FADT_PM_TMR_LEN] = 4;
	port_address(f + FADT_X_PM1A_EVT, 32, 2, evt);
	port_address(f + FADT_X_PM1A_CNT, 16, 2, cnt);
	port_address(f + FADT_X_PM_TMR, 32, 3, tmr);
	/* More than 100 and 1000 microseconds: C2 and C3 are not there. */
	num_put_le16(f + FADT_P_LVL2_LAT, 0xfff);
	num_put_le16(f + FADT_P_LVL3_LAT, 0xfff);
	if (acpi_device_at_(&t->j, "CMOS_RTC"))
		f[FADT_CENTURY] = CMOS_CENTURY;
	num_put_le16(f + FADT_BOOT_ARCH, (uint16_t)boot_arch(&t->j));
	num_put_le32(f + FADT_FLAGS, FLAG_WBINVD | FLAG_C1 | FLAG_NO_SLEEP_BUTTON |
					 FLAG_NO_FIXED_RTC | FLAG_TIMER_32_BITS | FLAG_RESET_REG |
					 FLAG_HEADLESS);
	port_address(f + FADT_RESET_REG, 8, 1, pm->start + ACPI_RESET_REG);
	f[FADT_RESET_VALUE] = ACPI_RESET_VALUE;
	return acpi_table_end_(t, at);
}

#define PIT_IRQ		   0
#define MADT_AS_BUS	   0x0
#define MADT_HIGH_LEVEL	   0xd
#define MADT_LOW_LEVEL	   0xf
#define MADT_PCAT_COMPAT   1
#define MADT_LAPIC_ENABLED 1

static void override(struct acpi_tables *t, unsigned irq, unsigned gsi, unsigned flags)
{
	acpi_put_(t, 2, 1);
	acpi_put_(t, 10, 1);
	acpi_put_(t, 0, 1); /* ISA */
	acpi_put_(t, irq, 1);
	acpi_put_(t, gsi, 4);
	acpi_put_(t, flags, 2);
}

/* ACPI 6.4, 5.2.12 */
uint64_t acpi_madt_(struct acpi_tables *t, const struct layout_region *lapic,
		    const struct layout_region *ioapic, uint16_t sci)
{
	size_t at = acpi_table_begin_(t, "APIC", 5);
	uint32_t told = 1u << sci, line;

	acpi_put_(t, lapic->start, 4);
	acpi_put_(t, MADT_PCAT_COMPAT, 4);
	for (uint32_t i = 0; i < t->j.vcpus; i++) {
		acpi_put_(t, 0, 1);
		acpi_put_(t, 8, 1);
		acpi_put_(t, i, 1); /* _UID */
		acpi_put_(t, i, 1); /* APIC id */
		acpi_put_(t, MADT_LAPIC_ENABLED, 4);
	}
	acpi_put_(t, 1, 1);
	acpi_put_(t, 12, 1);
	acpi_put_(t, 0, 2); /* id 0, as KVM's has after reset */
	acpi_put_(t, ioapic->start, 4);
	acpi_put_(t, 0, 4); /* lines count from 0 */
	override(t, PIT_IRQ, ACPI_PIT_GSI, MADT_AS_BUS);
	override(t, sci, sci, MADT_HIGH_LEVEL);
	/* Lines of PCI among those of ISA: not edge-triggered as ISA has them, but as _PRT implies.
	 */
	for (uint32_t i = 0; acpi_pci_line_(&t->j, &i, NULL, &line);) {
		if (line >= ACPI_ISA_LINES || told >> line & 1)
			continue;
		override(t, line, line, MADT_LOW_LEVEL);
		told |= 1u << line;
	}
	acpi_put_(t, 4, 1); /* NMI at LINT1 of every processor */
	acpi_put_(t, 6, 1);
	acpi_put_(t, 0xff, 1);
	acpi_put_(t, 0, 2);
	acpi_put_(t, 1, 1);
	return acpi_table_end_(t, at);
}

/* PCI Firmware 3.2, 4.1.2 */
uint64_t acpi_mcfg_(struct acpi_tables *t, const struct layout_region *ecam)
{
	size_t at = acpi_table_begin_(t, "MCFG", 1);

	acpi_put_(t, 0, 8);
	acpi_put_(t, ecam->start, 8);
	acpi_put_(t, 0, 2);
	acpi_put_(t, 0, 1);
	acpi_put_(t, (ecam->size >> 20) - 1, 1); /* last bus */
	acpi_put_(t, 0, 4);
	return acpi_table_end_(t, at);
}
