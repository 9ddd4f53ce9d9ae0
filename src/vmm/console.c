/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE	   0x01 /* Ctrl-A */
#define WRITE_STEP 4096 /* PIPE_BUF: what poll() promises will not block */
#define INPUT_MAX  256

struct console {
	struct serial_end end;
	struct loop *loop;
	console_input_fn *input;
	struct device *dev;
	void (*quit)(void *arg);
	void *quit_arg;

	int in_fd, out_fd, listen_fd, room_fd;
	bool is_file, is_terminal, escaped;
	struct termios saved;
	uint8_t in[INPUT_MAX];
	size_t in_n;

	pthread_mutex_t lock; /* guards what follows, and out_fd */
	size_t first, n;
	uint8_t backlog[CONSOLE_BACKLOG];
};

/* With the lock held. */
static void drain(struct console *c)
{
	while (c->n && c->out_fd >= 0) {
		struct pollfd p = {.fd = c->out_fd, .events = POLLOUT};
		size_t step = CONSOLE_BACKLOG - c->first;
		if (!c->is_file && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)))
			return;
		step = step < c->n ? step : c->n;
		step = step < WRITE_STEP ? step : WRITE_STEP;
		ssize_t w = write(c->out_fd, c->backlog + c->first, step);
		if (w <= 0)
			return;
		c->first = (c->first + (size_t)w) % CONSOLE_BACKLOG;
		c->n -= (size_t)w;
	}
}

/* Wait for input while there is room for it, for output while there is some. With the lock held. */
static void watch(struct console *c)
{
	uint32_t in = c->in_n < INPUT_MAX ? EPOLLIN : 0;
	uint32_t out = c->n && !c->is_file ? EPOLLOUT : 0;

	if (!c->loop)
		return;
	if (c->in_fd >= 0 && c->in_fd == c->out_fd) {
		loop_mod(c->loop, c->in_fd, in | out);
		return;
	}
	if (c->in_fd >= 0)
		loop_mod(c->loop, c->in_fd, in);
	if (c->out_fd >= 0 && !c->is_file)
		loop_mod(c->loop, c->out_fd, out);
}

static void on_out(struct serial_end *end, const void *data, size_t n)
{
	struct console *c = (struct console *)end;
	const uint8_t *p = data;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < n; i++) {
		if (c->n == CONSOLE_BACKLOG)
			drain(c);
		c->backlog[(c->first + c->n) % CONSOLE_BACKLOG] = p[i];
		if (c->n < CONSOLE_BACKLOG)
			c->n++;
		else
			c->first = (c->first + 1) % CONSOLE_BACKLOG;
	}
	drain(c);
	if (c->n)
		watch(c);
	pthread_mutex_unlock(&c->lock);
}

static void on_room(struct serial_end *end)
{
	struct console *c = (struct console *)end;
	uint64_t one = 1;

	if (write(c->room_fd, &one, sizeof one) < 0)
		return; /* already signalled */
}

static void on_writable(void *arg, uint32_t events)
{
	struct console *c = arg;

	pthread_mutex_lock(&c->lock);
	drain(c);
	watch(c);
	pthread_mutex_unlock(&c->lock);
}

static void deliver(struct console *c)
{
	if (!c->dev)
		return;
	size_t took = c->input(c->dev, c->in, c->in_n);
	c->in_n -= took;
	memmove(c->in, c->in + took, c->in_n);
	/* What the guest does not take now stays here, and the rest where it comes from. */
	pthread_mutex_lock(&c->lock);
	watch(c);
	pthread_mutex_unlock(&c->lock);
}

static void on_room_event(void *arg, uint32_t events)
{
	struct console *c = arg;
	uint64_t n;

	if (read(c->room_fd, &n, sizeof n) == sizeof n && c->in_n)
		deliver(c);
}

/* Ctrl-A x ends the VM, Ctrl-A Ctrl-A is one Ctrl-A. */
static void take_keys(struct console *c, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n && c->in_n < INPUT_MAX; i++) {
		if (c->escaped) {
			c->escaped = false;
			if (p[i] == 'x' && c->quit)
				c->quit(c->quit_arg);
			else if (p[i] == ESCAPE)
				c->in[c->in_n++] = ESCAPE;
		} else if (c->is_terminal && p[i] == ESCAPE) {
			c->escaped = true;
		} else {
			c->in[c->in_n++] = p[i];
		}
	}
}

static void drop_client(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	loop_del(c->loop, c->out_fd);
	close(c->out_fd);
	c->in_fd = c->out_fd = -1;
	pthread_mutex_unlock(&c->lock);
	loop_mod(c->loop, c->listen_fd, EPOLLIN);
}

static void on_input(void *arg, uint32_t events)
{
	struct console *c = arg;
	uint8_t keys[INPUT_MAX];

	if (events & EPOLLOUT)
		on_writable(c, events);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || c->in_fd < 0 || c->in_n == INPUT_MAX)
		return;
	ssize_t n = read(c->in_fd, keys, INPUT_MAX - c->in_n);
	if (n > 0) {
		take_keys(c, keys, (size_t)n);
		deliver(c);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (c->listen_fd >= 0)
			drop_client(c);
		else
			loop_del(c->loop, c->in_fd);
	}
}

static void on_connect(void *arg, uint32_t events)
{
	struct console *c = arg;
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (loop_add(c->loop, fd, EPOLLIN, on_input, c, NULL)) {
		close(fd);
		return;
	}
	pthread_mutex_lock(&c->lock);
	c->in_fd = c->out_fd = fd;
	pthread_mutex_unlock(&c->lock);
	loop_mod(c->loop, c->listen_fd, 0); /* one reader at a time */
	on_writable(c, 0);
}

static int listen_at(const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof a.sun_path)
		return err_set(e, ERR_USAGE, "%s: longer than a socket's name may be", path);
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "socket");
	/* One left by a VM that died; anything else is not ours to remove. */
	if (connect(fd, (struct sockaddr *)&a, sizeof a) && errno == ECONNREFUSED &&
	    !lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1)) {
		int r = err_sys(e, ERR_IO, errno, "cannot listen at %s", path);
		close(fd);
		return r;
	}
	return fd;
}

static void raw_terminal(struct console *c)
{
	struct termios t;

	if (!isatty(0) || tcgetattr(0, &c->saved))
		return;
	c->is_terminal = true;
	t = c->saved;
	cfmakeraw(&t);
	t.c_oflag |= OPOST; /* the VMM's own lines come out as they should */
	tcsetattr(0, TCSANOW, &t);
}

static int open_target(struct console *c, const char *target, struct err *e)
{
	if (!strcmp(target, "none"))
		return 0;
	if (!strcmp(target, "stdio")) {
		raw_terminal(c);
		c->in_fd = 0;
		c->out_fd = 1;
		return 0;
	}
	if (!strncmp(target, "file:", 5)) {
		c->is_file = true;
		c->out_fd = open(target + 5, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		return c->out_fd >= 0 ? 0 : err_sys(e, ERR_IO, errno, "cannot open %s", target + 5);
	}
	if (!strncmp(target, "unix:", 5)) {
		c->listen_fd = listen_at(target + 5, e);
		return c->listen_fd < 0 ? c->listen_fd : 0;
	}
	return err_set(e, ERR_USAGE, "console %s: stdio, file:PATH, unix:PATH or none", target);
}

int console_open(const char *target, void (*quit)(void *arg), void *arg, struct console **out,
		 struct err *e)
{
	struct console *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->end = (struct serial_end){on_out, on_room};
	c->quit = quit;
	c->quit_arg = arg;
	c->in_fd = c->out_fd = c->listen_fd = -1;
	pthread_mutex_init(&c->lock, NULL);
	c->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = c->room_fd < 0 ? err_sys(e, ERR_IO, errno, "eventfd") : open_target(c, target, e);
	if (r) {
		console_close(c);
		return r;
	}
	*out = c;
	return 0;
}

/* epoll refuses regular files: they can always be written and never wait for input. */
static int add_if_pollable(struct console *c, int fd, uint32_t events, loop_fn *fn, bool *pollable,
			   struct err *e)
{
	struct err own = ERR_INIT;
	int r = loop_add(c->loop, fd, events, fn, c, &own);

	*pollable = !r;
	if (r && own.sys == EPERM)
		return 0;
	if (r && e)
		*e = own;
	return r;
}

int console_attach(struct console *c, struct loop *loop, console_input_fn *input,
		   struct device *dev, struct err *e)
{
	bool pollable = true;
	int r;

	c->loop = loop;
	c->input = input;
	c->dev = dev;
	r = loop_add(loop, c->room_fd, EPOLLIN, on_room_event, c, e);
	if (!r && c->listen_fd >= 0)
		r = loop_add(loop, c->listen_fd, EPOLLIN, on_connect, c, e);
	if (!r && c->in_fd >= 0) {
		r = add_if_pollable(c, c->in_fd, EPOLLIN, on_input, &pollable, e);
		if (!pollable)
			c->in_fd = -1;
	}
	if (!r && c->out_fd >= 0 && !c->is_file) {
		r = add_if_pollable(c, c->out_fd, 0, on_writable, &pollable, e);
		c->is_file = !pollable;
	}
	return r;
}

struct serial_end *console_end(struct console *c)
{
	return &c->end;
}

void console_close(struct console *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	drain(c);
	pthread_mutex_unlock(&c->lock);
	if (c->is_terminal)
		tcsetattr(0, TCSANOW, &c->saved);
	if (c->out_fd > 2)
		close(c->out_fd);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	if (c->room_fd >= 0)
		close(c->room_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
