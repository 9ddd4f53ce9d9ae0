/* SPDX-License-Identifier: Apache-2.0 */
#include "../stride.h"
#include "devices/rtc_time.h"
#include "fixture.h"

#include <setjmp.h>
#include <cmocka.h>

static const uint8_t formats[] = {0, RTC_B_24H, RTC_B_BINARY, RTC_B_24H | RTC_B_BINARY};

static void any_time_is_read_back(void **state)
{
	uint8_t ram[RTC_RAM_BYTES] = {0};
	uint64_t seed = 1;

	for (unsigned i = 0; i < test_rounds(100000); i++) {
		uint64_t s = fixture_random(&seed) % RTC_SPAN_S;
		uint8_t format = formats[i % 4];
		rtc_show_(format, s, ram);
		assert_int_equal(rtc_parse_(format, ram), s);
		/* 0000-01-01 was a Saturday, as 2000-01-01 five cycles of 400 years later. */
		assert_int_equal(ram[RTC_WEEKDAY], (s / 86400 + 6) % 7 + 1);
	}
}

static void any_digits_make_some_time(void **state)
{
	uint8_t ram[RTC_RAM_BYTES];
	uint64_t seed = 2;

	for (unsigned i = 0; i < test_rounds(100000); i++) {
		for (size_t k = 0; k < sizeof ram; k++)
			ram[k] = (uint8_t)fixture_random(&seed);
		for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
			assert_true(rtc_parse_(formats[k], ram) < RTC_SPAN_S);
			uint64_t from = fixture_random(&seed) % RTC_SPAN_S;
			uint64_t due = rtc_next_alarm_(formats[k], ram, from);
			assert_true(due == RTC_NEVER || (due >= from && due < from + 86400));
		}
	}
}

/* Against looking at every second of a day. */
static void alarm_is_the_first_that_matches(void **state)
{
	static const uint8_t some[] = {0, 1, 23, 59, 0xc0, 0xff};
	const uint8_t format = RTC_B_24H | RTC_B_BINARY;
	uint8_t ram[RTC_RAM_BYTES], now[RTC_RAM_BYTES];
	uint64_t seed = 3;

	for (unsigned i = 0; i < test_rounds(60); i++) {
		uint8_t h = some[fixture_random(&seed) % 6], m = some[fixture_random(&seed) % 6];
		uint8_t s = some[fixture_random(&seed) % 6];
		uint64_t from = fixture_random(&seed) % RTC_SPAN_S, t = from;
		ram[RTC_HOURS_ALARM] = h;
		ram[RTC_MINUTES_ALARM] = m;
		ram[RTC_SECONDS_ALARM] = s;
		for (; t < from + 86400; t++) {
			rtc_show_(format, t % RTC_SPAN_S, now);
			if ((h >= 0xc0 || h == now[RTC_HOURS]) &&
			    (m >= 0xc0 || m == now[RTC_MINUTES]) &&
			    (s >= 0xc0 || s == now[RTC_SECONDS]))
				break;
		}
		assert_true(rtc_next_alarm_(format, ram, from) ==
			    (t < from + 86400 ? t : RTC_NEVER));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_time_is_read_back),
	    cmocka_unit_test(any_digits_make_some_time),
	    cmocka_unit_test(alarm_is_the_first_that_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
