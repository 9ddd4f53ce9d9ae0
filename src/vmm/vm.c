/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm.h"

#include "devices/acpi_pm.h"
#include "devices/vmgenid.h"
#include "vmm/mapped.h"
#include "vmm/options.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint64_t io_read(struct arch_io *io, bool port, uint64_t addr, unsigned len)
{
	struct vm *vm = (struct vm *)((char *)io - offsetof(struct vm, io));
	uint64_t v;

	bus_read(port ? &vm->ports : &vm->memory, addr, len, &v);
	return v;
}

static void io_write(struct arch_io *io, bool port, uint64_t addr, unsigned len, uint64_t v)
{
	struct vm *vm = (struct vm *)((char *)io - offsetof(struct vm, io));

	bus_write(port ? &vm->ports : &vm->memory, addr, len, v);
}

/* --- what happens in other threads ---------------------------------------------------------- */

enum event {
	EVENT_NONE,
	EVENT_POWER_OFF,
	EVENT_RESET,
	EVENT_TRIPLE_FAULT,
	EVENT_DEBUG_EXIT,
	EVENT_STALLED,
	EVENT_FAILURE,
	EVENT_MEMORY_LOST,
};

/* The first one counts: the loop acts on it soon. */
static void report(struct vm *vm, enum event what, uint32_t value)
{
	uint64_t none = EVENT_NONE, one = 1;

	if (atomic_compare_exchange_strong(&vm->event, &none, (uint64_t)value << 32 | what) &&
	    write(vm->event_fd, &one, sizeof one) < 0)
		return; /* cannot be: the counter is 0 */
}

static void on_device_event(struct device_events *ev, enum device_event what, uint32_t value)
{
	struct vm *vm = (struct vm *)((char *)ev - offsetof(struct vm, events));

	report(vm,
	       what == DEVICE_POWER_OFF ? EVENT_POWER_OFF
	       : what == DEVICE_RESET	? EVENT_RESET
	       : what == DEVICE_STALLED ? EVENT_STALLED
					: EVENT_DEBUG_EXIT,
	       value);
}

static void set_failure(struct vm *vm, const struct err *e)
{
	pthread_mutex_lock(&vm->failure_lock);
	if (!vm->failure.code)
		vm->failure = *e;
	pthread_mutex_unlock(&vm->failure_lock);
}

static void on_vcpu_halted(void *arg, int code, const struct err *e)
{
	struct vm *vm = arg;
	struct err why = *e;

	/* KVM found a page of the file gone; or the guest did, and could not stand it. */
	if (vm->mapped_file && (e->sys == EFAULT || mapped_cut_off(&vm->mem))) {
		mapped_lost(vm->mapped_file, &why);
	} else if (code >= 0) {
		report(vm,
		       code == ARCH_POWER_OFF ? EVENT_POWER_OFF
		       : code == ARCH_RESET   ? EVENT_RESET
					      : EVENT_TRIPLE_FAULT,
		       0);
		return;
	}
	set_failure(vm, &why);
	report(vm, EVENT_FAILURE, 0);
}

/* The guest did not ask for it: somebody will want to know. */
static int reset_unasked(struct vm *vm, const char *why, struct err *e)
{
	int r = vm_reset_(vm, why, e);

	if (!r)
		fprintf(stderr, "vmm: %s: it starts again\n", why);
	return r;
}

static int on_stall(struct vm *vm, uint32_t vcpu, struct err *e)
{
	char what[64];

	snprintf(what, sizeof what, "vCPU %u has stalled", vcpu);
	return vm->machine.watchdog_stops ? err_set(e, ERR_WRONG_STATE, "%s", what)
					  : reset_unasked(vm, what, e);
}

static void act(struct vm *vm)
{
	uint64_t event = atomic_exchange(&vm->event, EVENT_NONE);
	switch ((uint32_t)event) {
	case EVENT_POWER_OFF:
		vm_end(vm, VM_ENDED_BY_GUEST);
		break;
	case EVENT_DEBUG_EXIT:
		vm->has_exit_value = true;
		vm->exit_value = (uint32_t)(event >> 32);
		vm_end(vm, VM_ENDED_BY_GUEST);
		break;
	case EVENT_RESET:
		if (vm_reset_(vm, "the guest asked for a reset", &vm->failure))
			vm_end(vm, VM_ENDED_BY_FAILURE);
		break;
	case EVENT_TRIPLE_FAULT:
		if (reset_unasked(vm, "the guest's processor met a triple fault", &vm->failure))
			vm_end(vm, VM_ENDED_BY_FAILURE);
		break;
	case EVENT_STALLED:
		if (on_stall(vm, (uint32_t)(event >> 32), &vm->failure))
			vm_end(vm, VM_ENDED_BY_FAILURE);
		break;
	case EVENT_FAILURE:
		vm_end(vm, VM_ENDED_BY_FAILURE);
		break;
	case EVENT_MEMORY_LOST:
		vm->cut_off = true;
		vm_end(vm, VM_ENDED_BY_FAILURE);
		break;
	}
}

static void on_event(void *arg, uint32_t events)
{
	struct vm *vm = arg;
	bool held = vm->held;
	uint64_t n;

	if (read(vm->event_fd, &n, sizeof n) != sizeof n)
		return;
	act(vm);
	if (!held)
		vm_go(vm);
}

/* --- memory that comes later ---------------------------------------------------------------- */

static void end_loading(struct vm *vm)
{
	lazy_free(vm->lazy);
	guard_free(vm->guard);
	vm->lazy = NULL;
	vm->guard = NULL;
	vm->mem.keep = false;
}

static void on_loaded(void *arg)
{
	struct vm *vm = arg;

	end_loading(vm);
	if (vm->changed)
		vm->changed(vm->changed_arg);
}

/* In a thread of the engine's. The loop may be waiting for memory itself: then the guard ends it.
 */
static void on_memory_lost(void *arg, const struct err *e)
{
	struct vm *vm = arg;

	set_failure(vm, e);
	guard_end(vm->guard, STATUS_FAILED, e);
	report(vm, EVENT_MEMORY_LOST, 0);
}

int vm_load_lazily(struct vm *vm, struct snap *snap, const char *file, unsigned threads,
		   int workset_fd, struct err *e)
{
	const struct lazy_setup setup = {
	    .snap = snap,
	    .file = file,
	    .mem = &vm->mem,
	    .loop = vm->loop,
	    .threads = threads,
	    .workset_fd = workset_fd,
	    .loaded = on_loaded,
	    .failed = on_memory_lost,
	    .arg = vm,
	};

	int r = guard_new(&vm->guard, e);
	/* What the guest gives back would come again. */
	vm->mem.keep = true;
	if (!r)
		r = lazy_start(&setup, &vm->lazy, e);
	if (r)
		end_loading(vm);
	return r;
}

/* --- making and ending ---------------------------------------------------------------------- */

static void each_device(struct vm *vm, bool pause)
{
	for (uint32_t i = 0; i < vm->device_n; i++) {
		struct device *d = vm->device[i];
		device_lock(d);
		(pause ? d->cls->pause : d->cls->resume)(d);
		device_unlock(d);
	}
}

static int private_memory(struct vm *vm, const struct vm_setup *s, struct err *e)
{
	int r = mem_init_private(&vm->mem, &vm->layout, e);

	if (!r && s->shared)
		return mem_map(&vm->mem, 0, vm->mem.size, s->shared->fd, 0, e);
	if (!r)
		r = snap_map_ram(s->mapped, &vm->mem, e);
	if (!r) {
		vm->mapped_file = s->file;
		mapped_watch(&vm->mem, s->file);
	}
	return r;
}

static int new_memory(struct vm *vm, const struct vm_setup *s, struct err *e)
{
	if (s->mapped || s->shared)
		return private_memory(vm, s, e);
	return s->hugepages ? mem_init_huge(&vm->mem, &vm->layout, e)
			    : mem_init(&vm->mem, &vm->layout, e);
}

static int build(struct vm *vm, const struct vm_setup *s, struct err *e)
{
	int r = new_memory(vm, s, e);

	if (!r)
		(void)!uffd_open(&vm->uffd, &vm->mem, &vm->no_uffd);
	vm->host = calloc(1, sizeof *vm->host);
	if (!vm->host)
		return err_set(e, ERR_NOMEM, "out of memory");
	*vm->host = *s->host;
	gethostname(vm->host_name, sizeof vm->host_name - 1);
	if (!r)
		r = arch_vm_new(vm->kvm_fd, &vm->layout, &vm->mem, s->cpu, s->vcpu_state, &vm->arch,
				e);
	if (!r)
		r = loop_add(vm->loop, vm->event_fd, EPOLLIN, on_event, vm, e);
	if (!r)
		r = vm_add_devices_(vm, e);
	if (!r)
		r = vm_state_new(vm->layout.params.vcpus, &vm->power_on, e);
	/* A VM is made held, and that is more than vCPUs that do not run. */
	if (!r)
		each_device(vm, true);
	return r;
}

int vm_new(const struct vm_setup *s, struct vm **out, struct err *e)
{
	struct vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		return err_set(e, ERR_NOMEM, "out of memory");
	snprintf(vm->name, sizeof vm->name, "%s", s->name);
	vm->loop = s->loop;
	vm->kvm_fd = s->kvm_fd;
	vm->layout = *s->layout;
	vm->machine = *s->machine;
	memcpy(vm->backend, s->backend, s->backend_n * sizeof vm->backend[0]);
	vm->backend_n = s->backend_n;
	vm->mem.fd = -1;
	vm->uffd = (struct uffd)UFFD_INIT;
	vm->held = true;
	vm->events.happened = on_device_event;
	vm->io = (struct arch_io){io_read, io_write};
	pthread_mutex_init(&vm->failure_lock, NULL);
	bus_init(&vm->memory);
	bus_init(&vm->ports);
	vm_irq_init_(vm);
	guest_clock_init(&vm->clock);
	vm->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = vm->event_fd < 0 ? err_sys(e, ERR_IO, errno, "eventfd")
				 : build(vm, s, e);
	if (r) {
		vm_free(vm);
		return r;
	}
	*out = vm;
	return 0;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	if (vm->vcpus_started)
		vcpus_stop(&vm->vcpus);
	for (uint32_t i = vm->device_n; i-- > 0;)
		vm->device[i]->cls->free(vm->device[i]);
	arch_vm_free(vm->arch);
	end_loading(vm);
	uffd_close(&vm->uffd);
	track_fini(&vm->track);
	mem_fini(&vm->mem);
	vm_state_free(vm->power_on);
	free(vm->host);
	if (vm->event_fd >= 0)
		close(vm->event_fd);
	bus_fini(&vm->memory);
	bus_fini(&vm->ports);
	pthread_mutex_destroy(&vm->irq.lock);
	pthread_mutex_destroy(&vm->failure_lock);
	free(vm);
}

struct device *vm_device(const struct vm *vm, const char *type)
{
	for (uint32_t i = 0; i < vm->device_n; i++)
		if (!strcmp(vm->device[i]->cls->type, type))
			return vm->device[i];
	return NULL;
}

int vm_start(struct vm *vm, struct err *e)
{
	vm->vcpus = (struct vcpus){
		.arch = vm->arch,
		.io = &vm->io,
		.halted = on_vcpu_halted,
		.arg = vm,
	};
	int r = vcpus_start(&vm->vcpus, e);
	vm->vcpus_started = !r;
	return r;
}

/* --- holding and going on ------------------------------------------------------------------- */

void vm_hold(struct vm *vm)
{
	if (vm->held)
		return;
	vcpus_hold(&vm->vcpus);
	each_device(vm, true);
	vm->held = true;
}

void vm_go(struct vm *vm)
{
	if (!vm->held || vm->end != VM_ENDS_NOT)
		return;
	each_device(vm, false);
	arch_resuming(vm->arch);
	vm->held = false;
	vcpus_go(&vm->vcpus);
}

int vm_hold_settled(struct vm *vm, struct err *e)
{
	vm_hold(vm);
	act(vm);
	return vm->end == VM_ENDS_NOT ? 0 : err_set(e, ERR_WRONG_STATE, "%s has ended", vm->name);
}

int vm_pause(struct vm *vm, struct err *e)
{
	if (vm->paused)
		return err_set(e, ERR_WRONG_STATE, "%s is paused already", vm->name);
	vm_hold(vm);
	vm->paused = true;
	vm->changed(vm->changed_arg);
	return 0;
}

int vm_resume(struct vm *vm, struct err *e)
{
	if (!vm->paused)
		return err_set(e, ERR_WRONG_STATE, "%s is not paused", vm->name);
	vm->paused = false;
	vm_go(vm);
	vm->changed(vm->changed_arg);
	return 0;
}

int vm_power_button(struct vm *vm, struct err *e)
{
	struct device *pm = vm_device(vm, "acpi-pm");

	if (!pm)
		return err_set(e, ERR_WRONG_STATE, "%s has no power button (use --force)",
			       vm->name);
	acpi_pm_power_button(pm);
	return 0;
}

int vm_exit_status(const struct vm *vm)
{
	if (vm->end == VM_ENDED_BY_FAILURE)
		return STATUS_FAILED;
	return vm->has_exit_value ? (int)((vm->exit_value << 1 | 1) & 0xff) : STATUS_DONE;
}

void vm_end(struct vm *vm, enum vm_end how)
{
	if (vm->end != VM_ENDS_NOT)
		return;
	vm->end = how;
	/* A vCPU that waits for memory of a file that cannot be read now waits as long as that. */
	guard_end(vm->guard, vm_exit_status(vm), how == VM_ENDED_BY_FAILURE ? &vm->failure : NULL);
	if (!vm->cut_off)
		vm_hold(vm);
	vm->changed(vm->changed_arg);
	loop_stop(vm->loop);
}

int vm_new_generation(struct vm *vm, struct err *e)
{
	struct device *generation = vm_device(vm, "vmgenid");

	return generation ? vmgenid_renew(generation, e) : 0;
}

const struct vm_backend *vm_backend(const struct vm *vm, const char *id)
{
	for (uint32_t i = 0; i < vm->backend_n; i++)
		if (!strcmp(vm->backend[i].id, id))
			return &vm->backend[i];
	return NULL;
}
