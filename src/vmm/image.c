/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

const char *image_layout(const struct image_files *f)
{
	static char id[LAYOUT_ID_MAX + 1];

	snprintf(id, sizeof id, "%s/%s", arch_name, f->bios ? "bios" : "linux");
	return id;
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
	if (def && !layout_def_firmware_max(def) != !f->bios)
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

/* Said before the map is built, as it is the file's fault. */
static int check_size(const struct image_files *f, const char *layout, const struct io_src *file,
		      struct err *e)
{
	const struct layout_def *def = layout_def_find(layout);

	if (!f->bios || !def || file->size <= layout_def_firmware_max(def))
		return 0;
	return err_set(e, ERR_LIMIT, "firmware of 0x%" PRIx64 " bytes, at most %" PRIu64 " MiB fit",
		       file->size, layout_def_firmware_max(def) / MIB);
}

int image_open(const struct image_files *f, const char *layout, struct image *out, struct err *e)
{
	const struct io_src *culprit = NULL;
	const char *path = f->bios ? f->bios : f->kernel;
	int r = open_file(path, &out->start, e);

	if (!r && f->initrd)
		r = open_file(f->initrd, &out->initrd, e);
	if (!r && f->pvm_firmware)
		r = open_file(f->pvm_firmware, &out->pvm_firmware, e);
	if (r)
		return r;
	const struct arch_files files = {
	    .kernel = f->kernel ? &out->start : NULL,
	    .initrd = f->initrd ? &out->initrd : NULL,
	    .cmdline = f->cmdline,
	    .firmware = f->bios ? &out->start : NULL,
	    .pvm_firmware = f->pvm_firmware ? &out->pvm_firmware : NULL,
	};
	r = check_size(f, layout, &out->start, e);
	if (!r)
		r = arch_image_open(&files, &out->arch, &culprit, e);
	if (r)
		err_file(e, culprit == &out->pvm_firmware ? f->pvm_firmware : path);
	return r;
}

void image_close(struct image *image)
{
	arch_image_free(image->arch);
}
