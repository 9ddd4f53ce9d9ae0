/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine boots: the files that were named, and the memory maps that go with them; and of a
 * restored one those that it was started from, for when its guest starts again.
 *
 * Prefix: image_.
 */
#ifndef VMM_IMAGE_H
#define VMM_IMAGE_H

#include "arch/arch.h"
#include "state/boot.h"

/* As given on the command line; NULL: not given. */
struct image_files {
	const char *kernel, *initrd, *cmdline, *bios, *pvm_firmware;
};

struct image {
	struct boot boot; /* what snapshots say of it; no files: nothing that could be said */
	struct io_src file[BOOT_ROLES]; /* by role; open until the process ends */
	bool has[BOOT_ROLES];
	char *cmdline;		 /* owned; NULL: none */
	struct err missing;	 /* of a restored machine: why it cannot start again */
	struct arch_image *arch; /* NULL: not looked at yet */
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

/**
 * image_find() - of a restored machine: open what is there of what it was started from
 * @saved: NULL: its snapshot does not say
 * @where: files that are somewhere else now
 *
 * Trust: @saved is hostile. It is checked, and only plain files are opened; nothing of them is used
 * before image_look() has seen that they are what they were. What is not there is no failure, but
 * noted in @out->missing. Returns 0, -ERR_RANGE, -ERR_NOMEM.
 */
int image_find(const struct boot *saved, const struct image_files *where, struct image *out,
	       struct err *e) MUST_CHECK;

/** image_look() - the files are there, and what they were when the machine was started:
 * @image->arch can be booted. Returns 0, or why not: -ERR_WRONG_STATE, -ERR_IO, -ERR_NOMEM, ... */
int image_look(struct image *image, struct err *e) MUST_CHECK;

#endif
