/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/progress.h"

#include <stdio.h>
#include <unistd.h>

#define EVERY_NS 100000000

void progress_init(struct progress *p, const char *what)
{
	*p = (struct progress){
		.what = what, .terminal = isatty(2), .started_ns = io_now_ns()};
}

void progress_show(void *arg, uint64_t done, uint64_t total)
{
	struct progress *p = arg;
	uint64_t now = io_now_ns(), ns = now - p->started_ns;

	if (!p->terminal || now - p->last_ns < EVERY_NS || !total)
		return;
	p->last_ns = now;
	p->shown = true;
	fprintf(stderr, "\r%s: %3.0f%% of %.0f MiB, %.0f MiB/s ", p->what,
		100.0 * (double)done / (double)total, (double)total / (double)MIB,
		(double)done / (double)MIB / ((double)ns / 1e9 + 1e-9));
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
