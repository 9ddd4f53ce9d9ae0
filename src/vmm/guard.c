/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/guard.h"

#include "vmm/options.h"
#include "vmm/sandbox.h"
#include "vmm/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SECONDS 5

struct guard {
	pthread_t thread;
	int wake_fd; /* what follows has changed */
	_Atomic int watched_fd;
	atomic_bool free, ending, told;
	int status; /* valid with @ending, likewise @why */
	struct err why;
};

static void wake(struct guard *g)
{
	uint64_t one = 1;

	if (write(g->wake_fd, &one, sizeof one) < 0)
		return; /* awake already */
}

/* Something has changed, or @ms are over. */
static void rest(struct guard *g, int ms)
{
	struct pollfd fds[] = {{g->wake_fd, POLLIN, 0},
			       {g->ending ? -1 : g->watched_fd, POLLIN, 0}};
	uint64_t n;

	if (poll(fds, ARRAY_LEN(fds), ms) <= 0)
		return;
	if (fds[0].revents && read(g->wake_fd, &n, sizeof n) < 0)
		return;
	if (fds[1].revents)
		guard_end(g, STATUS_DONE, NULL);
}

static void *guard_main(void *arg)
{
	struct guard *g = arg;

	/* Made before the sandbox was; what is not given up here is of no use in it. */
	(void)!sandbox_drop_capabilities(NULL);
	while (!g->ending && !g->free)
		rest(g, -1);
	for (uint64_t end = io_now_ns() + SECONDS * 1000000000ull, now;
	     !g->free && (now = io_now_ns()) < end;)
		rest(g, (int)((end - now) / 1000000) + 1);
	if (!g->free)
		_exit(g->why.code ? fail(&g->why) : g->status);
	return NULL;
}

int guard_new(struct guard **out, struct err *e)
{
	struct guard *g = calloc(1, sizeof *g);

	if (!g)
		return err_set(e, ERR_NOMEM, "out of memory");
	g->watched_fd = -1;
	g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = g->wake_fd < 0 ? err_sys(e, ERR_IO, errno, "eventfd") : 0;
	if (!r)
		r = thread_new(&g->thread, guard_main, g, e);
	if (r) {
		if (g->wake_fd >= 0)
			close(g->wake_fd);
		free(g);
		return r;
	}
	*out = g;
	return 0;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	g->free = true;
	wake(g);
	pthread_join(g->thread, NULL);
	close(g->wake_fd);
	free(g);
}

void guard_watch(struct guard *g, int fd)
{
	if (!g)
		return;
	g->watched_fd = fd;
	wake(g);
}

void guard_end(struct guard *g, int status, const struct err *why)
{
	if (!g || atomic_exchange(&g->told, true))
		return;
	g->status = status;
	if (why)
		g->why = *why;
	g->ending = true;
	wake(g);
}
