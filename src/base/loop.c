/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 32

struct watch {
	loop_fn *fn;
	void *arg;
};

struct loop {
	int epoll_fd, stop_fd;
	bool stop;
	pthread_mutex_t lock; /* guards watch */
	struct watch watch[LOOP_FD_MAX + 1];
};

static void on_stop(void *arg, uint32_t events)
{
	struct loop *l = arg;

	l->stop = true;
}

int loop_new(struct loop **out, struct err *e)
{
	struct loop *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&l->lock, NULL);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = l->epoll_fd < 0 || l->stop_fd < 0
			? err_sys(e, ERR_IO, errno, "cannot make an event loop")
			: loop_add(l, l->stop_fd, EPOLLIN, on_stop, l, e);
	if (r) {
		loop_free(l);
		return r;
	}
	*out = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

int loop_add(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg, struct err *e)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (fd < 0 || fd > LOOP_FD_MAX)
		return err_set(e, ERR_LIMIT, "too many open files");
	/* With the lock held, so that its first event finds it; one that is there already stays. */
	pthread_mutex_lock(&l->lock);
	int failed = epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? errno : 0;
	if (!failed)
		l->watch[fd] = (struct watch){fn, arg};
	pthread_mutex_unlock(&l->lock);
	return failed ? err_sys(e, ERR_IO, failed, "cannot wait for a descriptor") : 0;
}

void loop_mod(struct loop *l, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

void loop_del(struct loop *l, int fd)
{
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	pthread_mutex_lock(&l->lock);
	l->watch[fd].fn = NULL;
	pthread_mutex_unlock(&l->lock);
}

/* One wait of at most @timeout milliseconds, -1 for ever. Returns how many callbacks ran. */
static int step(struct loop *l, int timeout, struct err *e)
{
	struct epoll_event ev[BATCH];
	int n = epoll_wait(l->epoll_fd, ev, BATCH, timeout), ran = 0;

	if (n < 0 && errno != EINTR)
		return err_sys(e, ERR_IO, errno, "event loop");
	for (int i = 0; i < n; i++) {
		pthread_mutex_lock(&l->lock);
		struct watch w = l->watch[ev[i].data.fd];
		pthread_mutex_unlock(&l->lock);
		if (w.fn) {
			w.fn(w.arg, ev[i].events);
			ran++;
		}
	}
	return ran;
}

int loop_run(struct loop *l, struct err *e)
{
	int r = 0;

	while (!l->stop && r >= 0)
		r = step(l, -1, e);
	return r < 0 ? r : 0;
}

int loop_poll(struct loop *l, struct err *e)
{
	return step(l, 0, e);
}

void loop_stop(struct loop *l)
{
	uint64_t one = 1;

	if (write(l->stop_fd, &one, sizeof one) < 0)
		return; /* the counter is full: it is stopping already */
}
