/* SPDX-License-Identifier: Apache-2.0 */
/* How a machine starts, and how it does so again. */
#include "vmm/vm.h"

#include "devices/vmgenid.h"

int vm_boot(struct vm *vm, struct image *image, struct err *e)
{
	struct device *generation = vm_device(vm, "vmgenid");
	int r = vm_capture_cpus_(vm, vm->power_on, e);

	if (!r && generation)
		r = vmgenid_first(generation, e);
	if (!r)
		r = arch_boot(vm->arch, image->arch, &vm->machine, e);
	if (!r)
		vm->image = image;
	return r;
}

int vm_boots_from(struct vm *vm, struct image *image, const struct vm_state *saved, struct err *e)
{
	int r = image->missing.code ? 0 : vm_capture_cpus_(vm, vm->power_on, e);

	for (uint32_t i = 0; i < saved->vcpu_n; i++)
		arch_vcpu_keep(vm->power_on->vcpu[i], saved->vcpu[i]);
	vm->image = image;
	return r;
}

int vm_reset_(struct vm *vm, const char *why, struct err *e)
{
	struct err what = ERR_INIT;
	char text[256];
	int r = image_look(vm->image, &what);

	if (r)
		return err_set(e, what.code, "%s, but %s", why, err_text(&what, text, sizeof text));
	vm_hold(vm);
	for (uint32_t i = 0; i < vm->device_n; i++) {
		device_lock(vm->device[i]);
		vm->device[i]->cls->reset(vm->device[i]);
		device_unlock(vm->device[i]);
	}
	r = arch_load(vm->arch, vm->power_on->vcpu, vm->power_on->irqchip, &vm->power_on->clock, 0,
		      e);
	return r ? r : arch_boot(vm->arch, vm->image->arch, &vm->machine, e);
}
