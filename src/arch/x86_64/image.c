/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/firmware.h"
#include "arch/x86_64/kvm.h"
#include "arch/x86_64/mptable.h"

#include <stdlib.h>

struct arch_image {
	struct arch_files files;
	struct kernel kernel; /* unless it is firmware */
};

int arch_image_open(const struct arch_files *files, struct arch_image **out,
		    const struct io_src **culprit, struct err *e)
{
	struct arch_image *image = calloc(1, sizeof *image);
	int r;

	*culprit = files->kernel ? files->kernel : files->firmware;
	if (!image)
		return err_set(e, ERR_NOMEM, "out of memory");
	image->files = *files;
	/* A definition may have the row; nothing here keeps a guest from the host. */
	if (files->pvm_firmware) {
		*culprit = files->pvm_firmware;
		r = err_set(e, ERR_FEATURE,
			    "x86-64 has no protected VMs, and no firmware for them");
	} else {
		r = files->kernel ? kernel_open(files->kernel, &image->kernel, e)
				  : firmware_check(files->firmware, e);
	}
	if (r) {
		free(image);
		return r;
	}
	*out = image;
	return 0;
}

void arch_image_free(struct arch_image *image)
{
	free(image);
}

/* Where the definition puts the kernel does not depend on how large it is. */
static int kernel_params(const struct arch_image *image, const struct layout_def *def,
			 struct layout_params *p, struct err *e)
{
	struct layout *l = calloc(1, sizeof *l);
	const struct layout_region *start;

	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	p->kernel_bytes = 1;
	int r = layout_build(def, p, l, e);
	if (!r)
		r = layout_need(l, "KERNEL_START_OFFSET", &start, e);
	if (!r && image->kernel.kind == KERNEL_MULTIBOOT &&
	    !layout_find(l, "MULTIBOOT_INFO_OFFSET"))
		r = err_set(e, ERR_FEATURE,
			    "a multiboot kernel does not boot with %s, but with x86_64/linux@2",
			    l->id);
	if (!r)
		r = kernel_footprint(&image->kernel, gpa(start->start), &p->kernel_bytes, e);
	if (!r && image->files.initrd)
		p->initrd_bytes = image->files.initrd->size;
	free(l);
	return r;
}

int arch_image_params(const struct arch_image *image, const struct layout_def *def,
		      struct layout_params *p, struct err *e)
{
	p->kernel_bytes = p->initrd_bytes = p->firmware_bytes = p->pvm_firmware_bytes = 0;
	if (image->files.kernel)
		return kernel_params(image, def, p, e);
	p->firmware_bytes = image->files.firmware->size;
	return 0;
}

static int start_at(struct arch_vcpu *c, const struct boot_entry *entry, struct err *e)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int r = kvm_do(c->fd, KVM_GET_SREGS, &sregs, e);

	if (r < 0)
		return r;
	boot_entry_regs(entry, &regs, &sregs);
	r = kvm_do(c->fd, KVM_SET_SREGS, &sregs, e);
	if (r >= 0)
		r = kvm_do(c->fd, KVM_SET_REGS, &regs, e);
	return r < 0 ? r : 0;
}

static int boot_kernel(struct arch_vm *vm, const struct arch_image *image, const struct machine *m,
		       struct err *e)
{
	struct boot_entry entry;
	struct gpa rsdp;
	int r = acpi_write(vm->layout, m, vm->vcpu_n, vm->mem, &rsdp, e);

	if (!r)
		r = mptable_write(vm->layout, m, vm->vcpu_n, vm->mem, e);
	if (!r)
		r = boot_load(&image->kernel, image->files.kernel, image->files.initrd,
			      image->files.cmdline ? image->files.cmdline : "", vm->layout, vm->mem,
			      &entry, e);
	for (uint32_t i = 0; !r && i < vm->vcpu_n; i++)
		r = msr_boot_(&vm->vcpu[i], e);
	return r ? r : start_at(&vm->vcpu[0], &entry, e);
}

/* Firmware finds every vCPU as reset leaves it, and has set them up before it starts a kernel. */
int arch_boot(struct arch_vm *vm, const struct arch_image *image, const struct machine *m,
	      struct err *e)
{
	return image->files.kernel ? boot_kernel(vm, image, m, e)
				   : firmware_load(image->files.firmware, vm->layout, vm->mem, e);
}
