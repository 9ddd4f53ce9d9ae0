/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/rpc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void rpc_init(struct rpc *r, int fd)
{
	*r = (struct rpc){.fd = fd};
}

void rpc_fini(struct rpc *r)
{
	for (int fd; (fd = rpc_take_fd(r)) >= 0;)
		close(fd);
	buf_free(&r->in);
	close(r->fd);
	r->fd = -1;
}

int rpc_take_fd(struct rpc *r)
{
	if (!r->fd_n)
		return -1;
	int fd = r->fds[0];
	memmove(r->fds, r->fds + 1, --r->fd_n * sizeof r->fds[0]);
	return fd;
}

static int take_control(struct rpc *r, struct msghdr *m, struct err *e)
{
	int err = m->msg_flags & MSG_CTRUNC ? -ERR_LIMIT : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (r->fd_n < RPC_FDS_MAX) {
				r->fds[r->fd_n++] = fd;
			} else {
				close(fd);
				err = -ERR_LIMIT;
			}
		}
	}
	return err ? err_set(e, ERR_LIMIT, "more than %d descriptors", RPC_FDS_MAX) : 0;
}

int rpc_receive(struct rpc *r, struct err *e)
{
	char data[4096], control[CMSG_SPACE(RPC_FDS_MAX * sizeof(int))];
	struct iovec iov = {data, sizeof data};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(r->fd, &m, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN
			       ? 1
			       : err_sys(e, ERR_IO, errno, "control socket");
	int err = take_control(r, &m, e);
	if (err)
		return err;
	if (n == 0)
		return 0;
	buf_put(&r->in, data, (size_t)n);
	if (r->in.failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (r->in.len > RPC_LINE_MAX && !memchr(r->in.data, '\n', r->in.len))
		return err_set(e, ERR_ENCODING, "message of more than %d bytes", (int)RPC_LINE_MAX);
	return 1;
}

int rpc_next(struct rpc *r, json_t **out, struct err *e)
{
	const uint8_t *end = r->in.len ? memchr(r->in.data, '\n', r->in.len) : NULL;
	json_error_t je;

	if (!end)
		return 0;
	size_t n = (size_t)(end - r->in.data);
	json_t *msg = json_loadb((const char *)r->in.data, n, JSON_REJECT_DUPLICATES, &je);
	r->in.len -= n + 1;
	memmove(r->in.data, r->in.data + n + 1, r->in.len);
	if (!json_is_object(msg)) {
		json_decref(msg);
		return err_set(e, ERR_ENCODING, "message is not a JSON object");
	}
	*out = msg;
	return 1;
}

int rpc_send(struct rpc *r, json_t *msg, const int *fds, uint32_t n, struct err *e)
{
	char control[CMSG_SPACE(RPC_FDS_MAX * sizeof(int))] = {0};
	char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
	struct msghdr m = {0};
	int err = 0;

	json_decref(msg);
	if (!text)
		return err_set(e, ERR_NOMEM, "out of memory");
	size_t left = strlen(text), at = 0;
	text[left++] = '\n'; /* in place of the NUL: the length says where it ends */
	if (n) {
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	while (!err && left) {
		struct iovec iov = {text + at, left};
		m.msg_iov = &iov;
		m.msg_iovlen = 1;
		ssize_t sent = sendmsg(r->fd, &m, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			err = err_sys(e, ERR_IO, errno, "control socket");
			break;
		}
		at += (size_t)sent;
		left -= (size_t)sent;
		m.msg_control = NULL;
		m.msg_controllen = 0;
	}
	free(text);
	return err;
}

static json_t *message(void)
{
	return json_pack("{s:s}", "jsonrpc", "2.0");
}

json_t *rpc_request(json_int_t id, const char *method, json_t *params)
{
	json_t *m = message();

	json_object_set_new(m, "id", json_integer(id));
	json_object_set_new(m, "method", json_string(method));
	if (params)
		json_object_set_new(m, "params", params);
	return m;
}

json_t *rpc_event(const char *method, json_t *params)
{
	json_t *m = message();

	json_object_set_new(m, "method", json_string(method));
	json_object_set_new(m, "params", params);
	return m;
}

json_t *rpc_result(const json_t *id, json_t *result)
{
	json_t *m = message();

	json_object_set_new(m, "id", json_deep_copy(id));
	json_object_set_new(m, "result", result);
	return m;
}

/* JSON-RPC's own codes for its own failures; ours are the positive ones of enum err_code. */
static json_int_t code_of(const struct err *e)
{
	switch (e->code) {
	case ERR_ENCODING: return -32700;
	case ERR_NAME: return -32601;
	case ERR_USAGE: return -32602;
	}
	return e->code;
}

json_t *rpc_error(const json_t *id, const struct err *e)
{
	char text[512];
	json_t *m = message();

	json_object_set_new(m, "id", id ? json_deep_copy(id) : json_null());
	json_object_set_new(m, "error",
			    json_pack("{s:I, s:s, s:{s:s}}", "code", code_of(e), "message",
				      err_text(e, text, sizeof text), "data", "name",
				      err_code_name(e->code)));
	return m;
}

void rpc_error_get(const json_t *error, struct err *e)
{
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));

	err_set(e, code > 0 && code < 100 ? (enum err_code)code : ERR_USAGE, "%s",
		text ? text : "failed without a reason");
}
