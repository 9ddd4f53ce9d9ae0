/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/clones.h"

#include "vmm/options.h"
#include "vmm/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERROR_MAX 4096

char *clones_text(const char *text, uint32_t number)
{
	struct buf b = BUF_INIT;
	char digits[12];

	if (!text)
		return NULL;
	int n = snprintf(digits, sizeof digits, "%u", number);
	for (const char *at; (at = strstr(text, "%d")); text = at + 2) {
		buf_put(&b, text, (size_t)(at - text));
		buf_put(&b, digits, (size_t)n);
	}
	buf_put(&b, text, strlen(text) + 1);
	if (!b.failed)
		return (char *)b.data;
	buf_free(&b);
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int clones_init(struct clones *c, uint32_t n, const char *name, struct err *e)
{
	char pattern[256];

	snprintf(pattern, sizeof pattern, strstr(name, "%d") ? "%s" : "%s-%%d", name);
	*c = (struct clones){.n = n, .item = calloc(n, sizeof *c->item)};
	int r = c->item ? 0 : err_set(e, ERR_NOMEM, "out of memory");
	for (uint32_t i = 0; !r && i < n; i++) {
		struct clone *k = &c->item[i];
		k->number = i + 1;
		k->status_fd = k->go_fd = k->error_fd = k->old_stderr = -1;
		k->name = clones_text(pattern, k->number);
		r = k->name ? runtime_check_name(k->name, e)
			    : err_set(e, ERR_NOMEM, "out of memory");
	}
	return r;
}

static void close_ends(struct clone *k)
{
	close_fd(&k->status_fd);
	close_fd(&k->go_fd);
	close_fd(&k->error_fd);
}

void clones_fini(struct clones *c)
{
	for (uint32_t i = 0; c->item && i < c->n; i++) {
		close_ends(&c->item[i]);
		buf_free(&c->item[i].overlays);
		free(c->item[i].name);
	}
	free(c->item);
	*c = (struct clones){0};
}

/* --- in a clone ------------------------------------------------------------------------------ */

/* The last thing that can go wrong is behind it. In the sandbox. */
static void wait_to_go(void *arg)
{
	struct clone *k = arg;
	struct stat st;
	char go;

	for (uint32_t i = 0; i < k->backends->n; i++) {
		const struct vm_backend *b = &k->backends->item[i];
		const char *path = b->disk && b->new_overlay ? disk_path(b->disk) : "";
		if (*path && io_write_all(k->status_fd, path, strlen(path) + 1, NULL))
			_exit(STATUS_FAILED);
	}
	/* Errors from now on are this VM's alone: where they went before, if that is a file. */
	if (k->old_stderr >= 0 && !fstat(k->old_stderr, &st) && S_ISREG(st.st_mode))
		dup2(k->old_stderr, STDERR_FILENO);
	close_fd(&k->old_stderr);
	/* An empty path: it is ready. One that is not to go has been given up with all others. */
	if (io_write_all(k->status_fd, "", 1, NULL) || read(k->go_fd, &go, 1) != 1)
		_exit(STATUS_FAILED);
	close_fd(&k->go_fd);
}

static int be_clone(struct clone *k, int (*run)(void *arg, struct clone *self), void *arg)
{
	setsid();
	k->old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(k->error_fd, STDERR_FILENO);
	close_fd(&k->error_fd);
	k->process = (struct process){
	    .ready_fd = k->status_fd,
	    .gate = wait_to_go,
	    .gate_arg = k,
	};
	return run(arg, k);
}

/* --- in the one that makes them --------------------------------------------------------------- */

enum { STATUS, GO, ERROR, PIPES };

/* Each side has one end of each: a clone writes its status and errors, and reads the word to go. */
static void keep_ends(struct clone *k, int pipes[PIPES][2], bool in_clone)
{
	int *end[PIPES] = {&k->status_fd, &k->go_fd, &k->error_fd};

	for (int i = 0; i < PIPES; i++) {
		bool writes = (i == GO) != in_clone;
		*end[i] = pipes[i][writes];
		close_fd(&pipes[i][!writes]);
	}
}

static int start(struct clones *c, uint32_t i, int (*run)(void *arg, struct clone *self), void *arg,
		 struct err *e)
{
	struct clone *k = &c->item[i];
	int pipes[PIPES][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	bool ok = true;

	for (int p = 0; p < PIPES; p++)
		ok = ok && !pipe2(pipes[p], O_CLOEXEC);
	k->pid = ok ? fork() : -1;
	int r = k->pid < 0 ? err_sys(e, ERR_IO, errno, "cannot make a process for %s", k->name) : 0;
	keep_ends(k, pipes, k->pid == 0);
	if (k->pid == 0) {
		/* With an end of another's here, that one would not see that we are gone. */
		for (uint32_t other = 0; other < i; other++)
			close_ends(&c->item[other]);
		_exit(be_clone(k, run, arg));
	}
	return r;
}

/* Until it is ready or has ended. */
static void listen_to(struct clone *k)
{
	char last = 0, c;

	while (read(k->status_fd, &c, 1) == 1) {
		if (!c && !last) {
			k->ready = !k->overlays.failed;
			return;
		}
		buf_put(&k->overlays, &c, 1);
		last = c;
	}
	buf_put(&k->overlays, "", 1); /* it may have ended within a path */
}

/* What the first that failed said; the others would say the same, or nothing. */
static int tell(const struct clone *k, int status)
{
	char text[ERROR_MAX + 1];
	size_t n = 0;

	for (ssize_t got; n < ERROR_MAX && (got = read(k->error_fd, text + n, ERROR_MAX - n)) > 0;)
		n += (size_t)got;
	text[n] = '\0';
	if (n)
		fputs(text, stderr);
	else
		fprintf(stderr, "vmm: %s ended before it ran\n", k->name);
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : STATUS_FAILED;
}

static void remove_all(struct clone *k)
{
	struct err ignored = ERR_INIT;
	int fd;

	for (size_t at = 0; !k->overlays.failed && at < k->overlays.len;
	     at += strlen((char *)k->overlays.data + at) + 1)
		unlink((char *)k->overlays.data + at);
	/* Whoever meets a socket that nobody listens at removes it. */
	if (!runtime_connect(k->name, &fd, &ignored))
		close(fd);
}

/* @told: what is wrong has been said already. */
static int give_up(struct clones *c, int told)
{
	int status = told;

	for (uint32_t i = 0; i < c->n; i++)
		close_fd(&c->item[i].go_fd);
	for (uint32_t i = 0; i < c->n; i++) {
		struct clone *k = &c->item[i];
		int how = 0;
		if (k->pid <= 0)
			continue;
		if (!k->ready)
			listen_to(k);
		kill(k->pid, SIGTERM);
		waitpid(k->pid, &how, 0);
		if (!status && !k->ready)
			status = tell(k, how);
		remove_all(k);
	}
	return status ? status : STATUS_FAILED;
}

int clones_run(struct clones *c, int (*run)(void *arg, struct clone *self), void *arg)
{
	struct err e = ERR_INIT;
	uint32_t ready = 0;
	char runs;

	for (uint32_t i = 0; i < c->n; i++)
		if (start(c, i, run, arg, &e))
			return give_up(c, fail(&e));
	for (uint32_t i = 0; i < c->n; i++) {
		listen_to(&c->item[i]);
		ready += c->item[i].ready;
	}
	if (ready < c->n)
		return give_up(c, 0);
	ready = 0;
	for (uint32_t i = 0; i < c->n; i++)
		c->item[i].ready = write(c->item[i].go_fd, "", 1) == 1;
	for (uint32_t i = 0; i < c->n; i++) {
		c->item[i].ready &= read(c->item[i].status_fd, &runs, 1) == 1;
		ready += c->item[i].ready;
	}
	return ready < c->n ? give_up(c, 0) : STATUS_DONE;
}
