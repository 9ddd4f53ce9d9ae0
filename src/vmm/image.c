/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/image.h"

#include <errno.h>
#include <fcntl.h>

const char *image_layout(const struct image_files *f)
{
	return f->bios ? "x86_64/bios" : "x86_64/linux";
}

static bool takes_firmware(const struct layout_def *def)
{
	struct layout_params p;

	state_defaults(&layout_params_desc, &p);
	p.firmware_bytes = 1;
	layout_params_fit(def, &p);
	return p.firmware_bytes;
}

int image_check(const struct image_files *f, const char *layout, struct err *e)
{
	const struct layout_def *def = layout_def_find(layout);

	if (!f->kernel && !f->bios)
		return err_set(e, ERR_USAGE, "run: --kernel or --bios is needed (vmm run --help)");
	if (f->bios && (f->kernel || f->initrd || f->cmdline))
		return err_set(e, ERR_USAGE, "run: --bios and --%s do not go together",
			       f->kernel   ? "kernel"
			       : f->initrd ? "initrd"
					   : "cmdline");
	/* One that is unknown is told of where it is looked for. */
	if (def && takes_firmware(def) != !!f->bios)
		return err_set(e, ERR_USAGE, "run: --layout %s is for machines with --%s", layout,
			       f->bios ? "kernel" : "bios");
	return 0;
}

static int open_file(const char *path, struct io_src *src, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? err_sys(e, ERR_IO, errno, "cannot open") : io_src_fd(src, fd, e);

	if (r)
		err_file(e, path);
	return r;
}

int image_open(const struct image_files *f, struct image *out, struct err *e)
{
	const char *path = f->bios ? f->bios : f->kernel;
	int r = open_file(path, &out->file, e);

	if (!r && f->initrd)
		r = open_file(f->initrd, &out->initrd, e);
	if (r)
		return r;
	r = f->bios ? arch_firmware_open(&out->file, &out->arch, e)
		    : arch_kernel_open(&out->file, f->initrd ? &out->initrd : NULL,
				       f->cmdline ? f->cmdline : "", &out->arch, e);
	if (r)
		err_file(e, path);
	return r;
}

void image_close(struct image *image)
{
	arch_image_free(image->arch);
}
