/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/acpi_pm.h"

#include "devices/bytes.h"
#include "state/acpi_pm.h"

#include <stdlib.h>

/* ACPI 6.4, tables 4.13 to 4.16. */
enum {
	PM1_PWRBTN = 0x0100,
	/* Timer carry, global lock, power button, sleep button, RTC alarm. */
	PM1_EN_MASK = 0x0721,
	CNT_SCI_EN = 0x0001, /* there is no SMI mode to leave */
	CNT_BM_RLD = 0x0002,
	CNT_SLP_TYP = 0x1c00,
	CNT_SLP_TYP_SHIFT = 10,
	CNT_SLP_EN = 0x2000,
};

#define PM_TIMER_HZ 3579545 /* 4.8.2.1 */

struct acpi_pm {
	struct device dev;
	struct acpi_pm_state st;
	struct irq_line sci;
	const struct guest_clock *clock;
	struct device_events *events;
};

static struct acpi_pm *acpi_pm_of(struct device *d)
{
	return (struct acpi_pm *)d;
}

static void update_line(struct acpi_pm *pm)
{
	irq_line_set(&pm->sci, pm->st.status & pm->st.enable);
}

static uint32_t timer(const struct acpi_pm *pm)
{
	uint64_t ns = guest_clock_monotonic(pm->clock), s = ns / 1000000000;

	return (uint32_t)(s * PM_TIMER_HZ + ns % 1000000000 * PM_TIMER_HZ / 1000000000);
}

static uint64_t on_read(struct device *d, uint64_t offset, unsigned len)
{
	struct acpi_pm *pm = acpi_pm_of(d);
	/* The whole block of one instant, zeros behind it. */
	uint8_t block[ACPI_PM_BYTES + sizeof(uint64_t)] = {0};

	if (offset >= ACPI_PM_BYTES)
		return UINT64_MAX;
	num_put_le16(block + ACPI_PM1_STS, pm->st.status);
	num_put_le16(block + ACPI_PM1_EN, pm->st.enable);
	num_put_le16(block + ACPI_PM1_CNT, pm->st.control);
	num_put_le32(block + ACPI_PM_TMR, timer(pm));
	uint64_t v = num_le64(block + offset);
	return len < 8 ? v & ((1ull << (8 * len)) - 1) : v;
}

/* SLP_EN acts when written, and reads as 0. */
static void set_control(struct acpi_pm *pm, uint16_t v)
{
	pm->st.control = (v & (CNT_BM_RLD | CNT_SLP_TYP)) | CNT_SCI_EN;
	if (v & CNT_SLP_EN && (v & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT == ACPI_PM_SLP_TYP_S5)
		pm->events->happened(pm->events, DEVICE_POWER_OFF, 0);
}

/* Byte @at of a 16-bit register replaced by @v. */
static uint16_t with_byte(uint16_t old, uint64_t at, uint8_t v)
{
	return at & 1 ? (uint16_t)((old & 0x00ff) | v << 8) : (uint16_t)((old & 0xff00) | v);
}

/* Every bit field lies within one byte, so that a write of any width is one of each byte. */
static void on_byte_write(struct device *d, uint64_t offset, uint8_t v)
{
	struct acpi_pm *pm = acpi_pm_of(d);

	switch (offset) {
	case ACPI_PM1_STS:
	case ACPI_PM1_STS + 1:
		pm->st.status &= (uint16_t)~with_byte(0, offset, v);
		break;
	case ACPI_PM1_EN:
	case ACPI_PM1_EN + 1:
		pm->st.enable = with_byte(pm->st.enable, offset, v) & PM1_EN_MASK;
		break;
	case ACPI_PM1_CNT:
	case ACPI_PM1_CNT + 1:
		set_control(pm, with_byte(pm->st.control, offset, v));
		break;
	case ACPI_RESET_REG:
		if (v == ACPI_RESET_VALUE)
			pm->events->happened(pm->events, DEVICE_RESET, 0);
		break;
	}
	update_line(pm);
}

static void on_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	bytes_write(d, offset, len, v, on_byte_write);
}

const struct bus_ops acpi_pm_ops = {on_read, on_write};

void acpi_pm_power_button(struct device *d)
{
	struct acpi_pm *pm = acpi_pm_of(d);

	device_lock(d);
	pm->st.status |= PM1_PWRBTN;
	update_line(pm);
	device_unlock(d);
}

static int on_check(const struct device *d, const void *state, struct err *e)
{
	const struct acpi_pm_state *st = state;

	if (st->status & ~PM1_PWRBTN || st->enable & ~PM1_EN_MASK || !(st->control & CNT_SCI_EN) ||
	    st->control & ~(CNT_SCI_EN | CNT_BM_RLD | CNT_SLP_TYP))
		return err_set(e, ERR_RANGE, "a register has bits that are not there");
	return 0;
}

static void on_post_load(struct device *d)
{
	update_line(acpi_pm_of(d));
}

static void on_reset(struct device *d)
{
	state_defaults(d->cls->state, d->st);
	update_line(acpi_pm_of(d));
}

/* Acts only when the guest writes or somebody presses the button; the timer is the clock's. */
static const struct device_class acpi_pm_class = {
    .type = "acpi-pm",
    .state = &acpi_pm_state_desc,
    .pause = device_nothing,
    .resume = device_nothing,
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = on_post_load,
    .reset = on_reset,
    .free = device_free,
};

struct device *acpi_pm_new(const char *id, struct irq_line sci, const struct guest_clock *clock,
			   struct device_events *events, struct err *e)
{
	struct acpi_pm *pm = calloc(1, sizeof *pm);

	if (!pm) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&pm->dev, &acpi_pm_class, id, &pm->st);
	pm->sci = sci;
	pm->clock = clock;
	pm->events = events;
	return &pm->dev;
}
