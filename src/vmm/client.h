/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's end of the control socket.
 *
 * Prefix: client_.
 */
#ifndef VMM_CLIENT_H
#define VMM_CLIENT_H

#include "vmm/rpc.h"

struct client {
	struct rpc rpc;
	json_int_t last_id;
	int timeout_ms; /* for the next message; 0: none */
	/* Events that come while an answer is awaited; may be NULL. */
	void (*event)(void *arg, const char *name, const json_t *params);
	void *arg;
};

/** client_open() - connect to the VM @name and read its hello. */
int client_open(struct client *c, const char *name, struct err *e) MUST_CHECK;
void client_close(struct client *c);

/** client_call() - @params: taken over, may be NULL; @fds: borrowed. *@result is owned by the caller.
 * SIGINT while it waits cancels the request; the answer is awaited all the same. */
int client_call(struct client *c, const char *method, json_t *params, const int *fds, uint32_t n,
		json_t **result, struct err *e) MUST_CHECK;

/** client_simple() - open, call without parameters, close. */
int client_simple(const char *name, const char *method, json_t *params, json_t **result,
		  struct err *e) MUST_CHECK;

/**
 * client_end() - end the VM @name
 *
 * By its control socket, or with SIGTERM if it does not answer there: while its memory is still
 * coming the event loop may wait for that. Returns once it was told.
 */
int client_end(const char *name, struct err *e) MUST_CHECK;

#endif
