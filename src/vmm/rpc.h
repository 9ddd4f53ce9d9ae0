/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0 over a Unix socket, a message a line, file descriptors beside it
 * (formats/control.md). Both ends use this.
 *
 * Prefix: rpc_. A connection belongs to one thread.
 */
#ifndef VMM_RPC_H
#define VMM_RPC_H

#include "base/base.h"

#include <jansson.h>

#define RPC_PROTOCOL 1
#define RPC_LINE_MAX (64 * KIB)
#define RPC_FDS_MAX  18

struct rpc {
	int fd;
	struct buf in;
	int fds[RPC_FDS_MAX]; /* received, not yet taken: owned */
	uint32_t fd_n;
};

/** rpc_init() - takes over @fd. */
void rpc_init(struct rpc *r, int fd);
void rpc_fini(struct rpc *r);

/** rpc_receive() - read what there is. Returns 1, 0 at the end, -ERR_LIMIT (line or descriptors), -ERR_IO;
 * on a non-blocking socket without data 1 as well. */
int rpc_receive(struct rpc *r, struct err *e) MUST_CHECK;

/** rpc_next() - take one message out of what was received. Returns 1 with an owned *@out, 0 when there is none,
 * -ERR_ENCODING when the line is not a JSON object. Trust: the peer is hostile. */
int rpc_next(struct rpc *r, json_t **out, struct err *e) MUST_CHECK;

/** rpc_take_fd() - the next descriptor received, owned by the caller from now on; -1 when there is none. */
int rpc_take_fd(struct rpc *r);

/** rpc_send() - @msg: taken over. @fds: borrowed. Returns 0 or -ERR_IO (the peer is gone or does not read). */
int rpc_send(struct rpc *r, json_t *msg, const int *fds, uint32_t n, struct err *e) MUST_CHECK;

/* Messages; all owned by the caller. @params, @result: taken over. */
json_t *rpc_request(json_int_t id, const char *method, json_t *params);
json_t *rpc_event(const char *method, json_t *params);
json_t *rpc_result(const json_t *id, json_t *result);
json_t *rpc_error(const json_t *id, const struct err *e);

/** rpc_error_get() - the error of a response, as it was at the other side. */
void rpc_error_get(const json_t *error, struct err *e);

#endif
