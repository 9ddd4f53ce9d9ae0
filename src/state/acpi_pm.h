/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI fixed hardware: where its registers lie in their block, and what of them is saved. */
#ifndef STATE_ACPI_PM_H
#define STATE_ACPI_PM_H

#include "state/state.h"

#define ACPI_PM1_STS	   0x0 /* 2 bytes, write 1 to clear */
#define ACPI_PM1_EN	   0x2 /* 2 bytes */
#define ACPI_PM1_CNT	   0x4 /* 2 bytes */
#define ACPI_PM_TMR	   0x8 /* 4 bytes, read-only */
#define ACPI_RESET_REG	   0xc /* 1 byte */
#define ACPI_PM_BYTES	   0x10
#define ACPI_RESET_VALUE   1
#define ACPI_PM_SLP_TYP_S5 5

/* clang-format off */
#define ACPI_PM_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u16, status, 1, 0, hex, "PM1 status: causes of the SCI not yet cleared") \
	FIELD(T, 2, u16, enable, 1, 0, hex, "PM1 enable") \
	FIELD(T, 3, u16, control, 1, 1, hex, "PM1 control without SLP_EN: SCI_EN (0), SLP_TYP (12-10)")

STATE_DECLARE(acpi_pm_state, ACPI_PM_STATE);
/* clang-format on */

#endif
