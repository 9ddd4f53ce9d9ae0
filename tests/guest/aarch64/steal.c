/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says how much time was stolen from the first CPU, again and again:
 *
 *   lines=N how often (4)
 *   each=NS at least stolen between two of them (20000000); whoever waits for a line sees that it
 *           counts, and a guest that is not disturbed never ends
 */
#include "guest.h"

void steal(void)
{
	uint64_t lines = word_number("lines", 4), each = word_number("each", 20000000);
	uint64_t last = stolen_ns(), now = last;

	say("STOLEN %lu\n", now);
	while (lines--) {
		while (now < last + each) {
			now = stolen_ns();
			CHECK(now >= last, "stolen time goes back: %lu after %lu", now, last);
		}
		say("STOLEN %lu\n", last = now);
	}
}
