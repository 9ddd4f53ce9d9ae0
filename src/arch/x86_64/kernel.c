/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/kvm.h"

#include <stdlib.h>

struct arch_kernel {
	struct kernel kernel;
	const struct io_src *file, *initrd;
	const char *cmdline;
};

int arch_kernel_open(const struct io_src *kernel, const struct io_src *initrd,
		     const char *cmdline, struct arch_kernel **out, struct err *e)
{
	struct arch_kernel *k = calloc(1, sizeof *k);

	if (!k)
		return err_set(e, ERR_NOMEM, "out of memory");
	k->file = kernel;
	k->initrd = initrd;
	k->cmdline = cmdline;
	int r = kernel_open(kernel, &k->kernel, e);
	if (r) {
		free(k);
		return r;
	}
	*out = k;
	return 0;
}

void arch_kernel_free(struct arch_kernel *k)
{
	free(k);
}

/* Where the definition puts the kernel does not depend on how large it is. */
int arch_kernel_params(const struct arch_kernel *k, const struct layout_def *def,
		       struct layout_params *p, struct err *e)
{
	struct layout *l = calloc(1, sizeof *l);
	const struct layout_region *start;

	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	p->kernel_bytes = 1;
	p->initrd_bytes = 0;
	int r = layout_build(def, p, l, e);
	if (!r)
		r = layout_need(l, "KERNEL_START_OFFSET", &start, e);
	if (!r)
		r = kernel_footprint(&k->kernel, gpa(start->start), &p->kernel_bytes, e);
	if (!r && k->initrd)
		p->initrd_bytes = k->initrd->size;
	free(l);
	return r;
}

int arch_boot(struct arch_vm *vm, const struct arch_kernel *k, const struct machine *m,
	      struct err *e)
{
	struct boot_entry entry;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct gpa rsdp;
	int r = acpi_write(vm->layout, m, vm->vcpu_n, vm->mem, &rsdp, e);

	if (!r)
		r = boot_load(&k->kernel, k->file, k->initrd, k->cmdline, vm->layout, vm->mem,
			      &entry, e);
	if (r)
		return r;
	r = kvm_do(vm->vcpu[0].fd, KVM_GET_SREGS, &sregs, e);
	if (r < 0)
		return r;
	boot_entry_regs(&entry, &regs, &sregs);
	r = kvm_do(vm->vcpu[0].fd, KVM_SET_SREGS, &sregs, e);
	if (r >= 0)
		r = kvm_do(vm->vcpu[0].fd, KVM_SET_REGS, &regs, e);
	return r < 0 ? r : 0;
}
