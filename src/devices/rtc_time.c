/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/rtc_time.h"

#include <time.h>

#define HOURS_PM     0x80
#define ALARM_ANY    0xc0 /* both upper bits: matches always */
#define DAY_S	     86400
#define TM_YEAR_BASE 1900

bool rtc_is_time_(uint8_t reg)
{
	switch (reg) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_WEEKDAY:
	case RTC_DAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		return true;
	}
	return false;
}

static uint8_t encode(uint8_t control_b, int v)
{
	return (uint8_t)(control_b & RTC_B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int decode(uint8_t control_b, uint8_t v)
{
	return control_b & RTC_B_BINARY ? v : (v >> 4) * 10 + (v & 0xf);
}

static uint8_t encode_hours(uint8_t control_b, int h)
{
	if (control_b & RTC_B_24H)
		return encode(control_b, h);
	return encode(control_b, h % 12 ? h % 12 : 12) | (h >= 12 ? HOURS_PM : 0);
}

static int decode_hours(uint8_t control_b, uint8_t v)
{
	if (control_b & RTC_B_24H)
		return decode(control_b, v);
	return decode(control_b, v & ~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

void rtc_show_(uint8_t control_b, uint64_t s, uint8_t ram[static RTC_RAM_BYTES])
{
	time_t t = (time_t)s - RTC_EPOCH_S;
	struct tm tm;

	gmtime_r(&t, &tm);
	int year = tm.tm_year + TM_YEAR_BASE;
	ram[RTC_SECONDS] = encode(control_b, tm.tm_sec);
	ram[RTC_MINUTES] = encode(control_b, tm.tm_min);
	ram[RTC_HOURS] = encode_hours(control_b, tm.tm_hour);
	ram[RTC_WEEKDAY] = encode(control_b, tm.tm_wday + 1);
	ram[RTC_DAY] = encode(control_b, tm.tm_mday);
	ram[RTC_MONTH] = encode(control_b, tm.tm_mon + 1);
	ram[RTC_YEAR] = encode(control_b, year % 100);
	ram[RTC_CENTURY] = encode(control_b, year / 100);
}

uint64_t rtc_parse_(uint8_t control_b, const uint8_t ram[static RTC_RAM_BYTES])
{
	struct tm tm = {
	    .tm_sec = decode(control_b, ram[RTC_SECONDS]),
	    .tm_min = decode(control_b, ram[RTC_MINUTES]),
	    .tm_hour = decode_hours(control_b, ram[RTC_HOURS]),
	    .tm_mday = decode(control_b, ram[RTC_DAY]),
	    .tm_mon = decode(control_b, ram[RTC_MONTH]) - 1,
	    .tm_year = decode(control_b, ram[RTC_CENTURY]) * 100 +
		       decode(control_b, ram[RTC_YEAR]) - TM_YEAR_BASE,
	};
	/* Below year 0 by a month and a day at most, and above 9999 by what three digits too
	 * large make of it: wraps as the digits do. */
	int64_t s = ((int64_t)timegm(&tm) + RTC_EPOCH_S) % RTC_SPAN_S;

	return (uint64_t)(s < 0 ? s + RTC_SPAN_S : s);
}

uint64_t rtc_next_alarm_(uint8_t control_b, const uint8_t ram[static RTC_RAM_BYTES], uint64_t from)
{
	const uint8_t *h = &ram[RTC_HOURS_ALARM], *m = &ram[RTC_MINUTES_ALARM];
	const uint8_t *s = &ram[RTC_SECONDS_ALARM];
	bool any_h = *h >= ALARM_ANY, any_m = *m >= ALARM_ANY, any_s = *s >= ALARM_ANY;
	uint64_t hours = (uint64_t)decode_hours(control_b, *h);
	uint64_t minutes = (uint64_t)decode(control_b, *m);
	uint64_t seconds = (uint64_t)decode(control_b, *s);

	for (uint64_t t = from; t < from + DAY_S;) {
		if (!any_h && t / 3600 % 24 != hours)
			t += 3600 - t % 3600;
		else if (!any_m && t / 60 % 60 != minutes)
			t += 60 - t % 60;
		else if (!any_s && t % 60 != seconds)
			t++;
		else
			return t;
	}
	return RTC_NEVER;
}
