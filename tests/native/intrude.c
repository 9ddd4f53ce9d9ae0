/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: intrude TID NUMBER [ARGUMENT ...]
 *
 * Makes thread TID of another process call system call NUMBER where it stands, and says what came
 * of it: "returned N", or "died of signal N" if the process did not survive it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALL = 0x050f, CALL_SIZE = 2 };

static int died(int status)
{
	printf("died of signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return 0;
}

static int bad(const char *what)
{
	fprintf(stderr, "intrude: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Stops the thread; whether it was in, or right behind, a call: SYSCALL's two bytes are there. */
static bool stop_at_call(pid_t tid, struct user_regs_struct *regs)
{
	int status;

	if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) || waitpid(tid, &status, __WALL) != tid ||
	    ptrace(PTRACE_GETREGS, tid, 0, regs))
		return false;
	errno = 0;
	long code = ptrace(PTRACE_PEEKTEXT, tid, (void *)(regs->rip - CALL_SIZE), 0);
	return !errno && (code & 0xffff) == CALL;
}

int main(int argc, char **argv)
{
	struct user_regs_struct saved, regs;
	int status;
	errno = 0;

	if (argc < 3)
		return bad("usage: intrude TID NUMBER [ARGUMENT ...]");
	pid_t tid = (pid_t)atoi(argv[1]);
	if (ptrace(PTRACE_SEIZE, tid, 0, 0))
		return bad("cannot trace it");
	while (!stop_at_call(tid, &saved)) {
		if (errno || ptrace(PTRACE_CONT, tid, 0, 0))
			return bad("cannot stop it");
		usleep(1000);
	}
	regs = saved;
	unsigned long long *const arg[] = {&regs.rdi, &regs.rsi, &regs.rdx,
					   &regs.r10, &regs.r8,	 &regs.r9};
	regs.rax = strtoull(argv[2], NULL, 0);
	regs.orig_rax = ~0ull; /* no call to restart */
	for (int i = 3; i < argc && i < 9; i++)
		*arg[i - 3] = strtoull(argv[i], NULL, 0);
	regs.rip -= CALL_SIZE;
	if (ptrace(PTRACE_SETREGS, tid, 0, &regs) || ptrace(PTRACE_SINGLESTEP, tid, 0, 0) ||
	    waitpid(tid, &status, __WALL) != tid)
		return bad("cannot step it");
	if (!WIFSTOPPED(status))
		return died(status);
	if (ptrace(PTRACE_GETREGS, tid, 0, &regs)) {
		/* Killed meanwhile. */
		return waitpid(tid, &status, __WALL) == tid ? died(status) : bad("lost it");
	}
	printf("returned %lld\n", (long long)regs.rax);
	ptrace(PTRACE_SETREGS, tid, 0, &saved);
	ptrace(PTRACE_DETACH, tid, 0, 0);
	return 0;
}
