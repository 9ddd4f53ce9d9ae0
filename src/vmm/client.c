/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/client.h"

#include "vmm/runtime.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define END_MS 5000 /* for a VM to answer that is to end */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	interrupted = 1;
}

/* An interrupt is seen here and nowhere else: one that comes before the waiting begins would leave
 * it to go on. */
static int wait_for_message(struct pollfd *p, int timeout_ms)
{
	struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};
	sigset_t open;

	sigprocmask(SIG_BLOCK, NULL, &open);
	sigdelset(&open, SIGINT);
	return ppoll(p, 1, timeout_ms ? &t : NULL, &open);
}

/* The next message; waits for it. */
static int receive(struct client *c, json_t **msg, struct err *e)
{
	for (;;) {
		int r = rpc_next(&c->rpc, msg, e);
		if (r)
			return r < 0 ? r : 0;
		struct pollfd p = {.fd = c->rpc.fd, .events = POLLIN};
		int ready = wait_for_message(&p, c->timeout_ms);
		if (ready == 0)
			return err_set(e, ERR_TIMEOUT, "the VM does not answer");
		if (ready < 0 && errno == EINTR) {
			if (interrupted)
				return err_set(e, ERR_CANCELLED, "interrupted");
			continue;
		}
		r = rpc_receive(&c->rpc, e);
		if (r == 0)
			return err_set(e, ERR_IO, "the VM ended before it answered");
		if (r < 0)
			return r;
	}
}

static int check_hello(const json_t *msg, struct err *e)
{
	const json_t *params = json_object_get(msg, "params");
	json_int_t protocol = json_integer_value(json_object_get(params, "protocol"));

	if (protocol != RPC_PROTOCOL)
		return err_set(e, ERR_VERSION,
			       "the VM speaks control protocol %d, this command speaks %d",
			       (int)protocol, RPC_PROTOCOL);
	return 0;
}

static int greet(struct client *c, struct err *e)
{
	json_t *hello;
	int r = receive(c, &hello, e);

	if (r)
		return r;
	r = check_hello(hello, e);
	json_decref(hello);
	return r;
}

static int connect_to(struct client *c, const char *name, int timeout_ms, struct err *e)
{
	int fd = -1;
	int r = runtime_connect(name, &fd, e);

	if (r)
		return r;
	*c = (struct client){.timeout_ms = timeout_ms};
	rpc_init(&c->rpc, fd);
	return 0;
}

int client_open(struct client *c, const char *name, struct err *e)
{
	int r = connect_to(c, name, 0, e);

	if (r)
		return r;
	r = greet(c, e);
	if (r)
		client_close(c);
	return r;
}

void client_close(struct client *c)
{
	rpc_fini(&c->rpc);
}

static int cancel(struct client *c, struct err *e)
{
	interrupted = 0;
	return rpc_send(&c->rpc, rpc_event("cancel", json_pack("{s:I}", "id", c->last_id)), NULL, 0,
			e);
}

/* 1 when @msg was not the answer, else as client_call(). */
static int take(struct client *c, const json_t *msg, json_t **result, struct err *e)
{
	const char *event = json_string_value(json_object_get(msg, "method"));

	if (event) {
		if (c->event)
			c->event(c->arg, event, json_object_get(msg, "params"));
		return 1;
	}
	if (json_integer_value(json_object_get(msg, "id")) != c->last_id)
		return 1;
	const json_t *error = json_object_get(msg, "error");
	if (error) {
		rpc_error_get(error, e);
		return e ? -e->code : -ERR_IO;
	}
	*result = json_deep_copy(json_object_get(msg, "result"));
	return *result ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int client_call(struct client *c, const char *method, json_t *params, const int *fds, uint32_t n,
		json_t **result, struct err *e)
{
	struct sigaction sa = {.sa_handler = on_interrupt}, old;
	sigset_t blocked, before;
	json_t *msg;

	interrupted = 0;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGINT, &sa, &old);
	int r = rpc_send(&c->rpc, rpc_request(++c->last_id, method, params), fds, n, e);
	while (!r) {
		r = receive(c, &msg, e);
		if (r == -ERR_CANCELLED) {
			r = cancel(c, e);
			continue;
		}
		if (r)
			break;
		r = take(c, msg, result, e);
		json_decref(msg);
		if (r <= 0)
			break;
		r = 0;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGINT, &old, NULL);
	return r;
}

int client_simple(const char *name, const char *method, json_t *params, json_t **result,
		  struct err *e)
{
	struct client c;
	int r = client_open(&c, name, e);

	if (r) {
		json_decref(params);
		return r;
	}
	r = client_call(&c, method, params, NULL, 0, result, e);
	client_close(&c);
	return r;
}

/* Whoever listens at the socket. It is there: the connection is. */
static int terminate(const struct client *c, struct err *e)
{
	struct ucred peer;
	socklen_t n = sizeof peer;

	if (getsockopt(c->rpc.fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) || kill(peer.pid, SIGTERM))
		return err_sys(e, ERR_IO, errno, "cannot end a VM that does not answer");
	return 0;
}

int client_end(const char *name, struct err *e)
{
	struct client c;
	json_t *result;
	int r = connect_to(&c, name, END_MS, e);

	if (r)
		return r;
	r = greet(&c, e);
	if (!r)
		r = client_call(&c, "stop", json_pack("{s:b}", "force", true), NULL, 0, &result, e);
	if (!r)
		json_decref(result);
	if (r == -ERR_TIMEOUT)
		r = terminate(&c, e);
	client_close(&c);
	return r;
}
