/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SECOND_NS 1000000000

int timer_init(struct timer *t, struct loop *l, clockid_t clock, loop_fn *fn, void *arg,
	       struct err *e)
{
	t->loop = l;
	t->fd = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
	int r = t->fd < 0 ? err_sys(e, ERR_IO, errno, "cannot make a timer")
			  : loop_add(l, t->fd, EPOLLIN, fn, arg, e);
	if (r && t->fd >= 0) {
		close(t->fd);
		t->fd = -1;
	}
	return r;
}

void timer_fini(struct timer *t)
{
	if (t->fd < 0)
		return;
	loop_del(t->loop, t->fd);
	close(t->fd);
	t->fd = -1;
}

static void set(const struct timer *t, int flags, uint64_t ns)
{
	struct itimerspec when = {0};

	if (ns != TIMER_NEVER) {
		when.it_value.tv_sec = (time_t)(ns / SECOND_NS);
		when.it_value.tv_nsec = ns ? (long)(ns % SECOND_NS) : 1; /* all zero is never */
	}
	/* Cannot fail with these. */
	timerfd_settime(t->fd, flags, &when, NULL);
}

void timer_in(struct timer *t, uint64_t ns)
{
	set(t, 0, ns);
}

void timer_at(struct timer *t, uint64_t ns)
{
	set(t, TFD_TIMER_ABSTIME, ns);
}

bool timer_is_due(struct timer *t)
{
	uint64_t n;

	return read(t->fd, &n, sizeof n) == sizeof n;
}
