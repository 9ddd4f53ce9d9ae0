/* SPDX-License-Identifier: Apache-2.0 */
/* What is booted: an arm64 kernel, or a bootloader. */
#include "arch/aarch64/kvm.h"

#include <stdlib.h>

struct arch_image {
	struct arch_files files;
	struct io_src start; /* the kernel, unpacked if need be, or the bootloader */
	struct buf unpacked;
	struct kernel kernel; /* unless it is a bootloader */
};

static int open_kernel(struct arch_image *image, struct err *e)
{
	int r = kernel_unpack(image->files.kernel, &image->unpacked, e);

	image->start = *image->files.kernel;
	if (!r && image->unpacked.data)
		io_src_mem(&image->start, image->unpacked.data, image->unpacked.len);
	return r ? r : kernel_open(&image->start, &image->kernel, e);
}

static int open_raw(const struct io_src *file, struct err *e)
{
	return file->size ? 0 : err_set(e, ERR_TRUNCATED, "an empty file");
}

int arch_image_open(const struct arch_files *files, struct arch_image **out,
		    const struct io_src **culprit, struct err *e)
{
	struct arch_image *image = calloc(1, sizeof *image);
	int r;

	*culprit = files->kernel ? files->kernel : files->firmware;
	if (!image)
		return err_set(e, ERR_NOMEM, "out of memory");
	image->files = *files;
	if (files->kernel) {
		r = open_kernel(image, e);
	} else {
		image->start = *files->firmware;
		r = open_raw(files->firmware, e);
	}
	if (!r && files->pvm_firmware) {
		*culprit = files->pvm_firmware;
		r = open_raw(files->pvm_firmware, e);
	}
	if (r) {
		arch_image_free(image);
		return r;
	}
	*out = image;
	return 0;
}

void arch_image_free(struct arch_image *image)
{
	if (image)
		buf_free(&image->unpacked);
	free(image);
}

static uint64_t size_of(const struct io_src *file)
{
	return file ? file->size : 0;
}

int arch_image_params(const struct arch_image *image, const struct layout_def *def,
		      struct layout_params *p, struct err *e)
{
	p->kernel_bytes = image->kernel.bytes;
	p->initrd_bytes = size_of(image->files.initrd);
	p->firmware_bytes = size_of(image->files.firmware);
	p->pvm_firmware_bytes = size_of(image->files.pvm_firmware);
	return 0;
}

/* --- into memory ----------------------------------------------------------------------------- */

static int load_file(const struct io_src *file, uint64_t at, struct guest_mem *mem, struct err *e)
{
	void *to = mem_rw(mem, gpa(at), file->size);

	return to ? io_read_at(file, to, file->size, 0, e)
		  : err_set(e, ERR_RANGE, "no RAM at 0x%llx", (unsigned long long)at);
}

static int load_row(const struct io_src *file, const char *row, uint64_t offset, struct arch_vm *vm,
		    uint64_t *entry, struct err *e)
{
	const struct layout_region *region;
	int r = layout_need(vm->layout, row, &region, e);

	if (r)
		return r;
	*entry = region->start + offset;
	return load_file(file, *entry, vm->mem, e);
}

static int set_reg(struct arch_vcpu *c, uint64_t id, uint64_t value, struct err *e)
{
	return reg_set_(c->fd, id, &value, e);
}

/* What the boot protocol has in x0: the device tree. Firmware of a protected VM comes first, and is
 * told in x1 and x2 what it is to start: as crosvm does it. */
static int start(struct arch_vm *vm, const struct arch_image *image, uint64_t entry, uint64_t fdt,
		 struct err *e)
{
	struct arch_vcpu *c = &vm->vcpu[0];
	uint64_t first = entry;
	int r = 0;

	if (image->files.pvm_firmware) {
		r = load_row(image->files.pvm_firmware, "AARCH64_PROTECTED_VM_FW_START", 0, vm,
			     &first, e);
		if (!r)
			r = set_reg(c, CORE_REG(regs.regs[1]), entry, e);
		if (!r)
			r = set_reg(c, CORE_REG(regs.regs[2]), image->start.size, e);
	}
	if (!r)
		r = set_reg(c, CORE_REG(regs.pstate), PSTATE_EL1H_MASKED, e);
	if (!r)
		r = set_reg(c, CORE_REG(regs.regs[0]), fdt, e);
	return r ? r : set_reg(c, CORE_REG(regs.pc), first, e);
}

int arch_boot(struct arch_vm *vm, const struct arch_image *image, const struct machine *m,
	      struct err *e)
{
	const struct fdt_facts facts = {
	    .cmdline = image->files.cmdline,
	    .pmu = vm->vcpu[0].features & FEATURE(PMU_V3),
	};
	uint64_t entry, initrd;
	struct gpa fdt;
	int r = load_row(&image->start,
			 image->files.kernel ? "AARCH64_KERNEL_OFFSET" : "AARCH64_BIOS_OFFSET",
			 image->kernel.text_offset, vm, &entry, e);

	if (!r && image->files.initrd)
		r = load_row(image->files.initrd, "initrd_addr", 0, vm, &initrd, e);
	if (!r)
		r = fdt_write(vm->layout, m, &facts, vm->mem, &fdt, e);
	return r ? r : start(vm, image, entry, fdt.v, e);
}
