/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vcpus.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Interrupts KVM_RUN, nothing else. */
#define KICK_SIGNAL SIGUSR1

/* Which vCPU this thread runs; no vCPU in other threads. */
static _Thread_local uint32_t self = UINT32_MAX;

struct start {
	struct vcpus *v;
	uint32_t i;
};

static void on_kick(int sig)
{
}

/* Returns false when the thread is to end. */
static bool park(struct vcpus *v, struct arch_vcpu *c, bool halted)
{
	pthread_mutex_lock(&v->lock);
	uint64_t holds = v->holds;
	v->parked++;
	pthread_cond_broadcast(&v->parked_changed);
	/* A halted vCPU waits for a hold too: only what follows that can make it run again. It counts as
	 * parked meanwhile, so a hold may be over before this thread comes to see it. */
	while (halted && !v->hold && v->holds == holds && !v->quit)
		pthread_cond_wait(&v->hold_changed, &v->lock);
	while (v->hold && !v->quit)
		pthread_cond_wait(&v->hold_changed, &v->lock);
	v->parked--;
	bool go = !v->quit;
	if (go)
		arch_vcpu_interrupt(c, false);
	pthread_mutex_unlock(&v->lock);
	return go;
}

static void *vcpu_main(void *arg)
{
	struct start *s = arg;
	struct vcpus *v = s->v;
	struct arch_vcpu *c = arch_vcpu_at(v->arch, s->i);
	bool halted = false;

	self = s->i;
	free(s);
	while (park(v, c, halted)) {
		struct err e = ERR_INIT;
		int r = arch_vcpu_run(c, v->io, &e);
		halted = r != ARCH_INTERRUPTED;
		if (halted)
			v->halted(v->arg, r, &e);
	}
	return NULL;
}

static int start_one(struct vcpus *v, uint32_t i, struct err *e)
{
	struct start *s = malloc(sizeof *s);

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	*s = (struct start){v, i};
	int r = pthread_create(&v->thread[i], NULL, vcpu_main, s);
	if (r) {
		free(s);
		return err_sys(e, ERR_NOMEM, r, "cannot start vCPU %u", i);
	}
	return 0;
}

int vcpus_start(struct vcpus *v, struct err *e)
{
	struct sigaction kick = {.sa_handler = on_kick};

	sigaction(KICK_SIGNAL, &kick, NULL);
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->parked_changed, NULL);
	pthread_cond_init(&v->hold_changed, NULL);
	v->hold = true;
	for (; v->n < arch_vcpu_count(v->arch); v->n++) {
		int r = start_one(v, v->n, e);
		if (r) {
			vcpus_stop(v);
			return r;
		}
	}
	return 0;
}

/* With the lock held. The flag comes before the signal, so that a vCPU between two KVM_RUNs sees
 * one or the other. */
static void kick_all(struct vcpus *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		arch_vcpu_interrupt(arch_vcpu_at(v->arch, i), true);
		pthread_kill(v->thread[i], KICK_SIGNAL);
	}
}

void vcpus_hold(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	v->hold = true;
	v->holds++;
	kick_all(v);
	pthread_cond_broadcast(&v->hold_changed);
	while (v->parked < v->n)
		pthread_cond_wait(&v->parked_changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_go(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	v->hold = false;
	pthread_cond_broadcast(&v->hold_changed);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_stop(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	v->quit = true;
	kick_all(v);
	pthread_cond_broadcast(&v->hold_changed);
	pthread_mutex_unlock(&v->lock);
	for (uint32_t i = 0; i < v->n; i++)
		pthread_join(v->thread[i], NULL);
	v->n = 0;
}

/* struct sched_attr, version 1: sched_setattr(2). <linux/sched/types.h> has it, but does not go
 * with the <sched.h> of every C library. */
struct sched_attr_v1 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct sched_attr_v1) == 56, "SCHED_ATTR_SIZE_VER1");

void vcpus_clamp(uint32_t vcpu, uint32_t perf)
{
	const struct sched_attr_v1 attr = {
	    .size = sizeof attr,
	    .flags = SCHED_FLAG_KEEP_ALL | SCHED_FLAG_UTIL_CLAMP_MIN,
	    .util_min = perf,
	};

	/* A hint: a host without CONFIG_UCLAMP_TASK, or that does not let us, does without. */
	if (vcpu == self)
		syscall(SYS_sched_setattr, 0, &attr, 0);
}
