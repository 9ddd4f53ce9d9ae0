/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm.h"

#include "devices/acpi_pm.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int vm_state_new(uint32_t vcpus, struct vm_state **out, struct err *e)
{
	struct vm_state *s = calloc(1, sizeof *s);
	bool ok = s && (s->irqchip = calloc(1, arch_irqchip_state->size));

	for (; ok && s->vcpu_n < vcpus; s->vcpu_n++)
		ok = (s->vcpu[s->vcpu_n] = calloc(1, arch_vcpu_state->size));
	if (!ok) {
		vm_state_free(s);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	*out = s;
	return 0;
}

void vm_state_free(struct vm_state *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->vcpu_n; i++)
		free(s->vcpu[i]);
	free(s->irqchip);
	free(s);
}

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

enum event { EVENT_NONE, EVENT_POWER_OFF, EVENT_RESET, EVENT_DEBUG_EXIT, EVENT_FAILURE };

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
					: EVENT_DEBUG_EXIT,
	       value);
}

/* A triple fault resets the machine, as on a PC. */
static void on_vcpu_halted(void *arg, int code, const struct err *e)
{
	struct vm *vm = arg;

	if (code == ARCH_SHUTDOWN) {
		report(vm, EVENT_RESET, 0);
		return;
	}
	pthread_mutex_lock(&vm->failure_lock);
	if (!vm->failure.code)
		vm->failure = *e;
	pthread_mutex_unlock(&vm->failure_lock);
	report(vm, EVENT_FAILURE, 0);
}

static int reset(struct vm *vm, struct err *e)
{
	vm_hold(vm);
	for (uint32_t i = 0; i < vm->device_n; i++) {
		device_lock(vm->device[i]);
		vm->device[i]->cls->reset(vm->device[i]);
		device_unlock(vm->device[i]);
	}
	int r = arch_load(vm->arch, vm->power_on->vcpu, vm->power_on->irqchip,
			  &vm->power_on->clock, 0, e);
	if (!r)
		r = arch_boot(vm->arch, vm->image, &vm->machine, e);
	if (!r && !vm->paused)
		vm_go(vm);
	return r;
}

static void on_event(void *arg, uint32_t events)
{
	struct vm *vm = arg;
	uint64_t n;

	if (read(vm->event_fd, &n, sizeof n) != sizeof n)
		return;
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
		if (vm->image && !reset(vm, &vm->failure))
			break;
		if (!vm->image)
			err_set(&vm->failure, ERR_WRONG_STATE,
				"the guest asked for a reset, but a restored VM has nothing to boot again");
		vm_end(vm, VM_ENDED_BY_FAILURE);
		break;
	case EVENT_FAILURE:
		vm_end(vm, VM_ENDED_BY_FAILURE);
		break;
	}
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

static int build(struct vm *vm, const struct vm_setup *s, struct err *e)
{
	int r = mem_init(&vm->mem, &vm->layout, e);

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

static int capture_cpus(struct vm *vm, struct vm_state *out, struct err *e)
{
	int r = arch_clock_save(vm->arch, &out->clock, e);

	for (uint32_t i = 0; !r && i < out->vcpu_n; i++)
		r = arch_vcpu_save(arch_vcpu_at(vm->arch, i), out->vcpu[i], e);
	if (!r)
		r = arch_irqchip_save(vm->arch, out->irqchip, e);
	out->clock.monotonic_ns = guest_clock_monotonic(&vm->clock);
	return r;
}

int vm_boot(struct vm *vm, const struct arch_image *image, struct err *e)
{
	int r = capture_cpus(vm, vm->power_on, e);

	if (!r)
		r = arch_boot(vm->arch, image, &vm->machine, e);
	if (!r)
		vm->image = image;
	return r;
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

void vm_power_button(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->device_n; i++)
		if (!strcmp(vm->device[i]->cls->type, "acpi-pm"))
			acpi_pm_power_button(vm->device[i]);
}

void vm_end(struct vm *vm, enum vm_end how)
{
	if (vm->end != VM_ENDS_NOT)
		return;
	vm_hold(vm);
	vm->end = how;
	vm->changed(vm->changed_arg);
	loop_stop(vm->loop);
}

/* --- state ---------------------------------------------------------------------------------- */

int vm_capture(struct vm *vm, struct vm_state *out, struct err *e)
{
	int r = arch_msi_settle(vm->arch, e);

	for (uint32_t i = 0; i < vm->device_n; i++) {
		device_lock(vm->device[i]);
		vm->device[i]->cls->pre_save(vm->device[i]);
		device_unlock(vm->device[i]);
	}
	return r ? r : capture_cpus(vm, out, e);
}

int vm_check(const struct vm *vm, const struct vm_state *state, const void *const *device_state,
	     struct err *e)
{
	int r = arch_irqchip_check(state->irqchip, e);

	if (r)
		err_where(e, "irqchip");
	for (uint32_t i = 0; !r && i < state->vcpu_n; i++) {
		r = arch_vcpu_check(state->vcpu[i], e);
		if (r)
			err_where(e, "vcpu%u", i);
	}
	for (uint32_t i = 0; !r && i < vm->device_n; i++) {
		struct device *d = vm->device[i];
		r = d->cls->check(d, device_state[i], e);
		if (r)
			err_where(e, "%s", d->id);
	}
	return r;
}

int vm_apply(struct vm *vm, const struct vm_state *state, const void *const *device_state,
	     uint64_t elapsed_ns, struct err *e)
{
	int r = arch_load(vm->arch, state->vcpu, state->irqchip, &state->clock, elapsed_ns, e);

	if (r)
		return r;
	guest_clock_set(&vm->clock, state->clock.monotonic_ns + elapsed_ns);
	for (uint32_t i = 0; i < vm->device_n; i++) {
		struct device *d = vm->device[i];
		device_lock(d);
		memcpy(d->st, device_state[i], d->cls->state->size);
		d->cls->post_load(d);
		device_unlock(d);
	}
	return 0;
}

const struct vm_backend *vm_backend(const struct vm *vm, const char *id)
{
	for (uint32_t i = 0; i < vm->backend_n; i++)
		if (!strcmp(vm->backend[i].id, id))
			return &vm->backend[i];
	return NULL;
}
