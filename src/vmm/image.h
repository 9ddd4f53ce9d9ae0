/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new machine boots: the files that were named, and the memory maps that go with them.
 *
 * Prefix: image_.
 */
#ifndef VMM_IMAGE_H
#define VMM_IMAGE_H

#include "arch/arch.h"

/* As given on the command line; NULL: not given. */
struct image_files {
	const char *kernel, *initrd, *cmdline, *bios, *pvm_firmware;
};

struct image {
	struct io_src start, initrd, pvm_firmware; /* kernel or firmware; those that were named */
	struct arch_image *arch;
};

/** image_layout() - the memory map for @f when none was asked for. */
const char *image_layout(const struct image_files *f);

/** image_check() - do the files go together, and with the memory map @layout? -ERR_USAGE. */
int image_check(const struct image_files *f, const char *layout, struct err *e) MUST_CHECK;

/** image_open() - @f was checked. The files stay open until the process ends, the rest until
 * image_close(). */
int image_open(const struct image_files *f, const char *layout, struct image *out,
	       struct err *e) MUST_CHECK;
void image_close(struct image *image);

#endif
