/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process.h"

#include "vmm/control.h"
#include "vmm/options.h"
#include "vmm/sandbox.h"
#include "vmm/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int process_detach(struct process *p, struct err *e)
{
	int fds[2], status = 0;
	char ready;

	p->ready_fd = -1;
	if (!p->detach)
		return 0;
	if (pipe2(fds, O_CLOEXEC))
		return err_sys(e, ERR_IO, errno, "pipe");
	pid_t child = fork();
	if (child < 0)
		return err_sys(e, ERR_IO, errno, "fork");
	if (child == 0) {
		close(fds[0]);
		setsid();
		p->ready_fd = fds[1];
		return 0;
	}
	close(fds[1]);
	if (p->forget)
		p->forget(p->arg);
	if (read(fds[0], &ready, 1) == 1)
		_exit(STATUS_DONE);
	waitpid(child, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_FAILED);
}

/* Only now, when nothing can fail any more: until here errors went to the terminal. */
static void let_go_of_terminal(struct process *p, int null)
{
	struct stat st;

	/* Standard error stays if it is a file: that is where failures are looked for. Whoever reads
	 * a pipe would wait for its end. */
	for (int fd = 0; fd < 3; fd++)
		if (fd < 2 || fstat(fd, &st) || !S_ISREG(st.st_mode))
			dup2(null, fd);
	close(null);
	if (write(p->ready_fd, "", 1) != 1)
		return; /* nobody waits any more */
	close(p->ready_fd);
}

static void on_signal(void *arg, uint32_t events)
{
	vm_end(arg, VM_ENDED_BY_USER);
}

/* Ends by signal are ends in good order. Blocked in every thread, read by the loop. */
static int watch_signals(struct vm *vm, struct err *e)
{
	sigset_t set;

	thread_ending_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "signalfd");
	guard_watch(vm->guard, fd);
	return loop_add(vm->loop, fd, EPOLLIN, on_signal, vm, e);
}

static int start(struct process *p, struct vm *vm, struct err *e)
{
	int null = p->ready_fd >= 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

	if (p->ready_fd >= 0 && null < 0)
		return err_sys(e, ERR_IO, errno, "cannot open /dev/null");
	int r = watch_signals(vm, e);
	if (!r)
		r = sandbox_enter(e);
	if (!r)
		r = vm_start(vm, e);
	if (r)
		return r;
	if (p->gate)
		p->gate(p->gate_arg);
	vm->paused = p->paused;
	if (!p->paused)
		vm_go(vm);
	if (null >= 0)
		let_go_of_terminal(p, null);
	return 0;
}

int process_run(struct process *p, struct vm *vm, int listen_fd)
{
	struct control *control = NULL;
	struct err e = ERR_INIT;
	int r = control_new(vm, listen_fd, &control, &e);

	if (!r)
		r = start(p, vm, &e);
	if (!r)
		r = loop_run(vm->loop, &e);
	control_free(control);
	if (r)
		return fail(&e);
	if (vm->end != VM_ENDED_BY_FAILURE)
		return vm_exit_status(vm);
	int status = fail(&vm->failure);
	/* Its threads are waiting for memory that will not come. */
	if (vm->cut_off)
		_exit(status);
	return status;
}
