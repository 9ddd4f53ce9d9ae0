/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop *loop;

/* An eventfd and what was seen of it. */
struct watch {
	int fd;
	_Atomic unsigned calls;
	unsigned stop_after;
	uint32_t events;
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

static void on_event(void *arg, uint32_t events)
{
	struct watch *w = arg;
	uint64_t n;

	w->events = events;
	if (events & EPOLLIN)
		assert_int_equal(read(w->fd, &n, sizeof n), sizeof n);
	if (++w->calls == w->stop_after)
		loop_stop(loop);
}

static struct watch new_watch(unsigned stop_after)
{
	struct watch w = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .stop_after = stop_after};

	assert_true(w.fd >= 0);
	return w;
}

static void add(struct watch *w, uint32_t events)
{
	struct err e = ERR_INIT;

	assert_int_equal(loop_add(loop, w->fd, events, on_event, w, &e), 0);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	return loop_new(&loop, &e);
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

static void run(void)
{
	struct err e = ERR_INIT;

	assert_int_equal(loop_run(loop, &e), 0);
}

static void calls_what_is_due(void **state)
{
	struct watch a = new_watch(0), b = new_watch(1);

	add(&a, EPOLLIN);
	add(&b, EPOLLIN);
	signal_fd(a.fd);
	signal_fd(a.fd); /* one event: the counter is read whole */
	assert_int_equal(a.calls, 0);
	signal_fd(b.fd);
	run();
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.events, EPOLLIN);
	assert_int_equal(b.calls, 1);
	close(a.fd);
	close(b.fd);
}

static void stop_sticks_and_is_kept(void **state)
{
	struct watch w = new_watch(0);

	add(&w, EPOLLIN);
	loop_stop(loop); /* before it runs */
	run();
	signal_fd(w.fd);
	run();
	assert_int_equal(w.calls, 0);
	close(w.fd);
}

static void *stopper(void *arg)
{
	loop_stop(loop);
	return NULL;
}

static void stops_from_another_thread(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
	run();
	pthread_join(thread, NULL);
}

static void events_may_change(void **state)
{
	struct watch quiet = new_watch(0), end = new_watch(1);

	add(&quiet, EPOLLIN);
	add(&end, EPOLLIN);
	signal_fd(quiet.fd);
	loop_mod(loop, quiet.fd, 0); /* waits for none */
	signal_fd(end.fd);
	run();
	assert_int_equal(quiet.calls, 0);
	close(quiet.fd);
	close(end.fd);
}

static void output_is_waited_for(void **state)
{
	struct watch w = new_watch(1);

	add(&w, 0);
	loop_mod(loop, w.fd, EPOLLOUT);
	run();
	assert_int_equal(w.events, EPOLLOUT);
	close(w.fd);
}

static void a_deleted_one_is_left_alone(void **state)
{
	struct watch gone = new_watch(0), end = new_watch(1), again = new_watch(0);
	struct err e = ERR_INIT;

	add(&gone, EPOLLIN);
	add(&end, EPOLLIN);
	signal_fd(gone.fd);
	loop_del(loop, gone.fd);
	loop_del(loop, gone.fd); /* harmless */
	signal_fd(end.fd);
	run();
	assert_int_equal(gone.calls, 0);
	/* The number may be given to another descriptor, which may be added. */
	assert_int_equal(loop_add(loop, gone.fd, EPOLLIN, on_event, &again, &e), 0);
	close(again.fd);
	close(gone.fd);
	close(end.fd);
}

static void each_only_once(void **state)
{
	struct watch w = new_watch(1), other = new_watch(0);
	struct err e = ERR_INIT;

	add(&w, EPOLLIN);
	assert_int_equal(loop_add(loop, w.fd, EPOLLIN, on_event, &other, &e), -ERR_IO);
	/* The first is what it was. */
	signal_fd(w.fd);
	run();
	assert_int_equal(w.calls, 1);
	assert_int_equal(other.calls, 0);
	close(w.fd);
	close(other.fd);
}

static void bad_descriptors_are_refused(void **state)
{
	struct err e = ERR_INIT;
	int closed = eventfd(0, 0);

	assert_int_equal(loop_add(loop, -1, EPOLLIN, on_event, NULL, &e), -ERR_LIMIT);
	assert_int_equal(loop_add(loop, LOOP_FD_MAX + 1, EPOLLIN, on_event, NULL, &e), -ERR_LIMIT);
	close(closed);
	assert_int_equal(loop_add(loop, closed, EPOLLIN, on_event, NULL, &e), -ERR_IO);
	loop_free(NULL);
}

static void deletes_itself(void *arg, uint32_t events)
{
	struct watch *w = arg;

	loop_del(loop, w->fd);
	close(w->fd);
	w->calls++;
}

static void a_callback_may_delete_itself(void **state)
{
	struct watch self = new_watch(0), end = new_watch(1);
	struct err e = ERR_INIT;

	assert_int_equal(loop_add(loop, self.fd, EPOLLIN, deletes_itself, &self, &e), 0);
	signal_fd(self.fd);
	assert_int_equal(loop_poll(loop, &e), 1);
	add(&end, EPOLLIN);
	signal_fd(end.fd);
	run();
	assert_int_equal(self.calls, 1);
	close(end.fd);
}

static void polling_does_not_wait(void **state)
{
	struct watch w = new_watch(0);
	struct err e = ERR_INIT;

	add(&w, EPOLLIN);
	assert_int_equal(loop_poll(loop, &e), 0);
	signal_fd(w.fd);
	assert_int_equal(loop_poll(loop, &e), 1);
	assert_int_equal(loop_poll(loop, &e), 0);
	assert_int_equal(w.calls, 1);
	close(w.fd);
}

#define BUSY_WATCHES 8
#define BUSY_ROUNDS  2000

static struct watch busy[BUSY_WATCHES];

/* Adds, signals, changes and deletes while the loop runs. */
static void *meddle(void *arg)
{
	struct watch *w = arg;

	for (unsigned i = 0; i < BUSY_ROUNDS; i++) {
		struct err e = ERR_INIT;
		unsigned before = w->calls;
		assert_int_equal(loop_add(loop, w->fd, EPOLLIN, on_event, w, &e), 0);
		signal_fd(w->fd);
		loop_mod(loop, w->fd, 0);
		loop_mod(loop, w->fd, EPOLLIN);
		while (w->calls == before)
			sched_yield(); /* the event is there: it must come */
		loop_del(loop, w->fd);
	}
	return NULL;
}

static void *meddle_all(void *arg)
{
	pthread_t thread[BUSY_WATCHES];

	for (int i = 0; i < BUSY_WATCHES; i++)
		pthread_create(&thread[i], NULL, meddle, &busy[i]);
	for (int i = 0; i < BUSY_WATCHES; i++)
		pthread_join(thread[i], NULL);
	loop_stop(loop);
	return NULL;
}

static void other_threads_may_meddle(void **state)
{
	pthread_t thread;

	for (int i = 0; i < BUSY_WATCHES; i++)
		busy[i] = new_watch(0);
	assert_int_equal(pthread_create(&thread, NULL, meddle_all, NULL), 0);
	run();
	pthread_join(thread, NULL);
	for (int i = 0; i < BUSY_WATCHES; i++) {
		assert_int_equal(busy[i].calls, BUSY_ROUNDS);
		close(busy[i].fd);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(calls_what_is_due),
	    TEST(stop_sticks_and_is_kept),
	    TEST(stops_from_another_thread),
	    TEST(events_may_change),
	    TEST(output_is_waited_for),
	    TEST(a_deleted_one_is_left_alone),
	    TEST(each_only_once),
	    TEST(bad_descriptors_are_refused),
	    TEST(a_callback_may_delete_itself),
	    TEST(polling_does_not_wait),
	    TEST(other_threads_may_meddle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
