/* SPDX-License-Identifier: Apache-2.0 */
/* What survives: captured, checked, applied. */
#include "vmm/vm.h"

#include <stdlib.h>
#include <string.h>

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

int vm_capture_cpus_(struct vm *vm, struct vm_state *out, struct err *e)
{
	int r = arch_clock_save(vm->arch, &out->clock, e);

	for (uint32_t i = 0; !r && i < out->vcpu_n; i++)
		r = arch_vcpu_save(arch_vcpu_at(vm->arch, i), out->vcpu[i], e);
	if (!r)
		r = arch_irqchip_save(vm->arch, out->irqchip, e);
	out->clock.monotonic_ns = guest_clock_monotonic(&vm->clock);
	return r;
}

int vm_capture(struct vm *vm, struct vm_state *out, struct err *e)
{
	int r = arch_msi_settle(vm->arch, e);

	for (uint32_t i = 0; i < vm->device_n; i++) {
		device_lock(vm->device[i]);
		vm->device[i]->cls->pre_save(vm->device[i]);
		device_unlock(vm->device[i]);
	}
	return r ? r : vm_capture_cpus_(vm, out, e);
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
