/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
	struct server *server;
	uint32_t number; /* 0: free */
	struct rpc rpc;
};

struct server {
	struct loop *loop;
	int listen_fd;
	json_t *hello;
	const struct server_method *methods;
	size_t n;
	void (*cancelled)(void *arg, const struct server_call *call);
	void *arg;
	uint32_t last_number;
	struct client client[SERVER_CLIENTS_MAX];
};

static void drop(struct client *c)
{
	struct server *s = c->server;
	struct server_call all = {.client = c->number, .id = -1};

	loop_del(s->loop, c->rpc.fd);
	rpc_fini(&c->rpc);
	c->number = 0;
	s->cancelled(s->arg, &all);
}

static void send_to(struct client *c, json_t *msg)
{
	/* Not blocking: who does not read what it asked for is let go. */
	if (rpc_send(&c->rpc, msg, NULL, 0, NULL))
		drop(c);
}

static struct client *find(struct server *s, const struct server_call *call)
{
	for (int i = 0; i < SERVER_CLIENTS_MAX; i++)
		if (s->client[i].number == call->client)
			return &s->client[i];
	return NULL;
}

void server_answer(struct server *s, const struct server_call *call, json_t *result)
{
	struct client *c = find(s, call);
	json_t *id = json_integer(call->id);

	if (c)
		send_to(c, rpc_result(id, result));
	else
		json_decref(result);
	json_decref(id);
}

void server_fail(struct server *s, const struct server_call *call, const struct err *e)
{
	struct client *c = find(s, call);
	json_t *id = json_integer(call->id);

	if (c)
		send_to(c, rpc_error(id, e));
	json_decref(id);
}

void server_event(struct server *s, const struct server_call *call, const char *name,
		  json_t *params)
{
	for (int i = 0; i < SERVER_CLIENTS_MAX; i++) {
		struct client *c = &s->client[i];
		if (c->number && (!call || c->number == call->client))
			send_to(c, rpc_event(name, json_incref(params)));
	}
	json_decref(params);
}

static const struct server_method *method_of(const struct server *s, const char *name)
{
	for (size_t i = 0; name && i < s->n; i++)
		if (!strcmp(s->methods[i].name, name))
			return &s->methods[i];
	return NULL;
}

static int dispatch(struct client *c, const json_t *msg, const struct server_call *call,
		    json_t **result, struct err *e)
{
	struct server *s = c->server;
	const char *name = json_string_value(json_object_get(msg, "method"));
	const struct server_method *m = method_of(s, name);
	json_t *params = json_object_get(msg, "params"), *empty = NULL;

	if (!m)
		return err_set(e, ERR_NAME, "no method %s", name ? name : "given");
	if (!params)
		params = empty = json_object();
	int r = json_is_object(params)
			? m->call(s->arg, call, params, &c->rpc, result, e)
			: err_set(e, ERR_USAGE, "params must be an object");
	json_decref(empty);
	return r;
}

static void on_message(struct client *c, json_t *msg)
{
	struct err e = ERR_INIT;
	const json_t *id = json_object_get(msg, "id");
	const char *method = json_string_value(json_object_get(msg, "method"));
	struct server_call call = {.client = c->number, .id = json_integer_value(id)};
	json_t *result = NULL;
	uint32_t number = c->number;

	if (!id && method && !strcmp(method, "cancel")) {
		call.id = json_integer_value(
			json_object_get(json_object_get(msg, "params"), "id"));
		c->server->cancelled(c->server->arg, &call);
		return;
	}
	if (!json_is_integer(id) || call.id < 0) {
		err_set(&e, ERR_USAGE, "a request needs an id, a number from 0 on");
		send_to(c, rpc_error(NULL, &e));
		return;
	}
	int r = dispatch(c, msg, &call, &result, &e);
	for (int fd; c->number == number && (fd = rpc_take_fd(&c->rpc)) >= 0;)
		close(fd);
	if (r == 0)
		server_answer(c->server, &call, result ? result : json_object());
	else if (r < 0)
		server_fail(c->server, &call, &e);
}

static void on_readable(void *arg, uint32_t events)
{
	struct client *c = arg;
	struct err e = ERR_INIT;
	uint32_t number = c->number;
	json_t *msg;

	if (!number)
		return;
	int r = rpc_receive(&c->rpc, &e);
	bool gone = r == 0;
	while (r >= 0 && c->number == number && (r = rpc_next(&c->rpc, &msg, &e)) > 0) {
		on_message(c, msg);
		json_decref(msg);
	}
	if (c->number != number)
		return;
	if (r < 0)
		send_to(c, rpc_error(NULL, &e));
	if (c->number == number && (r < 0 || gone))
		drop(c);
}

static void on_connect(void *arg, uint32_t events)
{
	struct server *s = arg;
	struct client *c = NULL;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (int i = 0; !c && i < SERVER_CLIENTS_MAX; i++)
		if (!s->client[i].number)
			c = &s->client[i];
	if (!c || loop_add(s->loop, fd, EPOLLIN, on_readable, c, NULL)) {
		close(fd);
		return;
	}
	c->server = s;
	c->number = ++s->last_number;
	rpc_init(&c->rpc, fd);
	send_to(c, rpc_event("hello", json_incref(s->hello)));
}

int server_new(struct loop *loop, int listen_fd, json_t *hello,
	       const struct server_method *methods, size_t n,
	       void (*cancelled)(void *arg, const struct server_call *call), void *arg,
	       struct server **out, struct err *e)
{
	struct server *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	*s = (struct server){
		.loop = loop,
		.listen_fd = listen_fd,
		.hello = hello,
		.methods = methods,
		.n = n,
		.cancelled = cancelled,
		.arg = arg,
	};
	int r = loop_add(loop, listen_fd, EPOLLIN, on_connect, s, e);
	if (r) {
		server_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (int i = 0; i < SERVER_CLIENTS_MAX; i++)
		if (s->client[i].number)
			rpc_fini(&s->client[i].rpc);
	close(s->listen_fd);
	json_decref(s->hello);
	free(s);
}
