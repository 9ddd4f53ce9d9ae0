/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/devices/: what the RTC's time registers show, and when its alarm is due. */
#ifndef DEVICES_RTC_TIME_H
#define DEVICES_RTC_TIME_H

#include "state/rtc.h"

/* MC146818A data sheet, tables 3 to 5. */
enum {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32, /* by convention of the PC; the FADT says so too */

	RTC_B_24H = 0x02,
	RTC_B_BINARY = 0x04,
};

#define RTC_NEVER UINT64_MAX

/* Is @reg one of those that show the time? */
bool rtc_is_time_(uint8_t reg);

/* Time @s (seconds since the year 0, below RTC_SPAN_S) into @ram, in the format of control_b. */
void rtc_show_(uint8_t control_b, uint64_t s, uint8_t ram[static RTC_RAM_BYTES]);

/* The opposite. Trust: any bytes; what is no date counts on from the last that is. */
uint64_t rtc_parse_(uint8_t control_b, const uint8_t ram[static RTC_RAM_BYTES]);

/* The first second at or after @from at which the alarm in @ram is due, or RTC_NEVER. */
uint64_t rtc_next_alarm_(uint8_t control_b, const uint8_t ram[static RTC_RAM_BYTES], uint64_t from);

#endif
