/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does this KVM run kernel code on the processor, or does it emulate it? A guest of a few bytes
 * counts in kernel mode for a few milliseconds, which tells how fast; then it executes a
 * floating-point instruction: every processor has it, and no emulator of KVM's does (a guest that
 * KVM emulates leaves with an internal error), so it tells which of the two it is.
 */
#include "arch/common.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS     2000000
#define SLICES	     10
#define ENOUGH_MIPS  50 /* emulated: about 1; nested in an emulated host: above 100 */
#define PATIENCE     500
#define LOOP_LENGTH  2	/* instructions */

static void on_alarm(int sig)
{
}

/* Run until @ns have passed or the guest leaves by itself. */
static int run_for(int vcpu, long ns, struct err *e)
{
	struct sigaction sa = {.sa_handler = on_alarm}, old;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	/* Again and again: a signal that comes just before KVM_RUN must not be the only one. */
	struct itimerspec when = {{0, ns}, {0, ns}}, never = {0};
	timer_t timer;
	int r = 0;

	sigaction(SIGALRM, &sa, &old);
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer)) {
		r = err_sys(e, ERR_KVM, errno, "timer_create");
	} else {
		timer_settime(timer, 0, &when, NULL);
		if (ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
			r = err_sys(e, ERR_KVM, errno, "KVM_RUN");
		timer_settime(timer, 0, &never, NULL);
		timer_delete(timer);
	}
	sigaction(SIGALRM, &old, NULL);
	return r;
}

/* The best of a few slices: the first ones also pay for building the guest's page tables, which
 * takes long where the processor under KVM is itself emulated. */
static int measure_rate(int vcpu, uint32_t *mips, struct err *e)
{
	uint64_t counted = 0, count = 0;
	int r = probe_enter_(vcpu, PROBE_COUNT, e);

	*mips = 0;
	for (int i = 0; r >= 0 && i < SLICES && *mips < ENOUGH_MIPS; i++) {
		uint64_t start = io_now_ns();
		r = run_for(vcpu, SLICE_NS, e);
		uint64_t ns = io_now_ns() - start;
		if (r >= 0)
			r = probe_counter_(vcpu, &count, e);
		/* The counter is 32 bits wide: at most 2^32 in a slice is beyond any processor. */
		uint64_t n = (count - counted) & UINT32_MAX;
		uint32_t rate = (uint32_t)(n * LOOP_LENGTH * 1000 / (ns ? ns : 1));
		*mips = rate > *mips ? rate : *mips;
		counted = count;
	}
	return r;
}

/* Whatever the load on the host: the guest gets as long as it needs to leave by itself. */
static int measure(int vcpu, struct kvm_run *run, struct arch_speed *out, struct err *e)
{
	int r = measure_rate(vcpu, &out->kernel_mips, e);

	if (r >= 0)
		r = probe_enter_(vcpu, PROBE_COMPLETE, e);
	run->exit_reason = KVM_EXIT_INTR;
	for (int i = 0; r >= 0 && i < PATIENCE && run->exit_reason == KVM_EXIT_INTR; i++)
		r = run_for(vcpu, SLICE_NS, e);
	out->native = probe_left_(run);
	return r < 0 ? r : 0;
}

int arch_host_speed(int kvm_fd, struct arch_speed *out, struct err *e)
{
	*out = (struct arch_speed){0};
	int vm = kvm_do(kvm_fd, KVM_CREATE_VM, 0, e);
	if (vm < 0)
		return vm;

	int vcpu = -1;
	struct kvm_run *run = NULL;
	size_t run_bytes, bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r = page == MAP_FAILED ? err_sys(e, ERR_NOMEM, errno, "mmap") : 0;
	if (!r) {
		struct kvm_userspace_memory_region region = {
			.memory_size = bytes, .userspace_addr = (uintptr_t)page};
		memcpy(page, probe_code_, sizeof probe_code_);
		r = kvm_do(vm, KVM_SET_USER_MEMORY_REGION, &region, e);
	}
	if (r >= 0)
		r = vcpu = probe_vcpu_(vm, e);
	if (r >= 0) {
		run = kvm_run_map_(kvm_fd, vcpu, 0, &run_bytes, e);
		r = run ? measure(vcpu, run, out, e) : e ? -e->code : -ERR_KVM;
	}
	if (run)
		munmap(run, run_bytes);
	if (vcpu >= 0)
		close(vcpu);
	if (page != MAP_FAILED)
		munmap(page, bytes);
	close(vm);
	return r < 0 ? r : 0;
}
