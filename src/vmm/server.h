/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's end of the control socket (formats/control.md): reads requests, calls the methods that
 * are registered, and tells everybody connected what happens.
 *
 * Prefix: server_. Threads: the event loop's, but for server_event() before the loop runs.
 */
#ifndef VMM_SERVER_H
#define VMM_SERVER_H

#include "base/loop.h"
#include "vmm/rpc.h"

#define SERVER_CLIENTS_MAX 32

struct server;

/* Whom an answer goes to. A copy may be kept: answering somebody who has gone does nothing. */
struct server_call {
	uint32_t client; /* never used twice */
	json_int_t id;
};

/**
 * A method: either answers at once (0 with an owned *result, or -code with @e), or returns
 * SERVER_LATER and sees to it that server_answer() or server_fail() is called.
 * @params: a JSON object, perhaps empty. Trust: hostile.
 * @rpc:    for rpc_take_fd(); descriptors not taken are closed.
 */
#define SERVER_LATER 1
struct server_method {
	const char *name;
	int (*call)(void *arg, const struct server_call *call, const json_t *params,
		    struct rpc *rpc, json_t **result, struct err *e);
};

/** server_new() - @listen_fd: taken over. @hello: taken over, sent to each client first.
 * @cancelled is called when a client cancels @call or goes away. */
int server_new(struct loop *loop, int listen_fd, json_t *hello,
	       const struct server_method *methods, size_t n,
	       void (*cancelled)(void *arg, const struct server_call *call), void *arg,
	       struct server **out, struct err *e) MUST_CHECK;
void server_free(struct server *s);

void server_answer(struct server *s, const struct server_call *call, json_t *result);
void server_fail(struct server *s, const struct server_call *call, const struct err *e);

/** server_event() - to all clients, or to the one of @call. @params: taken over. */
void server_event(struct server *s, const struct server_call *call, const char *name,
		  json_t *params);

#endif
