/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/image.h"

#include "state/cbor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static const char *named(const struct image_files *f, enum boot_role role)
{
	switch (role) {
	case BOOT_KERNEL:
		return f->kernel;
	case BOOT_INITRD:
		return f->initrd;
	case BOOT_FIRMWARE:
		return f->bios;
	default:
		return f->pvm_firmware;
	}
}

/* Whatever it is, nobody waits for it. */
static int open_file(const char *path, struct io_src *src, struct err *e)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int r = fd < 0 ? err_sys(e, ERR_IO, errno, "cannot open") : io_src_fd(src, fd, e);

	if (r)
		err_file(e, path);
	if (r && fd >= 0)
		close(fd);
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

/* --- what snapshots say ---------------------------------------------------------------------- */

static int digest_of(const struct io_src *src, uint8_t out[static SHA256_BYTES], struct err *e)
{
	uint8_t *piece = malloc(MIB);
	struct sha256 *h = piece ? sha256_new() : NULL;
	int r = h ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (uint64_t at = 0, n; !r && at < src->size; at += n) {
		n = src->size - at < MIB ? src->size - at : MIB;
		r = io_read_at(src, piece, n, at, e);
		if (!r)
			sha256_add(h, piece, n);
	}
	if (h)
		sha256_end(h, out);
	free(piece);
	return r;
}

/* False: it cannot be said in a snapshot. */
static bool set_path(struct boot_file *to, const char *path)
{
	char *real = realpath(path, NULL);
	size_t n = real ? strlen(real) : 0;
	bool ok = real && n <= DISK_PATH_MAX && cbor_text_ok((const uint8_t *)real, n);

	if (ok)
		memcpy(to->path, real, n + 1);
	free(real);
	return ok;
}

static int describe(const struct image_files *f, struct image *image, struct err *e)
{
	struct boot *b = &image->boot;
	size_t cmdline = f->cmdline ? strlen(f->cmdline) : 0;
	bool ok = cmdline <= BOOT_CMDLINE_MAX;
	int r = 0;

	for (enum boot_role role = 0; !r && ok && role < BOOT_ROLES; role++) {
		if (!named(f, role))
			continue;
		struct boot_file *file = &b->file[b->file_n++];
		file->role = (uint8_t)role;
		file->bytes = image->file[role].size;
		ok = set_path(file, named(f, role));
		r = digest_of(&image->file[role], file->sha256, e);
		if (r)
			err_file(e, named(f, role));
	}
	if (!ok)
		b->file_n = 0;
	b->cmdline_len = ok ? (uint32_t)cmdline : 0;
	memcpy(b->cmdline, f->cmdline ? f->cmdline : "", b->cmdline_len);
	return r;
}

/* --- opened, closed and looked at ------------------------------------------------------------ */

static const struct io_src *there(const struct image *image, enum boot_role role)
{
	return image->has[role] ? &image->file[role] : NULL;
}

/* @culprit: on failure, which file @e is about. */
static int look(struct image *image, enum boot_role *culprit, struct err *e)
{
	const struct io_src *first = NULL;
	const struct arch_files files = {
	    .kernel = there(image, BOOT_KERNEL),
	    .initrd = there(image, BOOT_INITRD),
	    .cmdline = image->cmdline,
	    .firmware = there(image, BOOT_FIRMWARE),
	    .pvm_firmware = there(image, BOOT_PVM_FIRMWARE),
	};
	int r = arch_image_open(&files, &image->arch, &first, e);

	*culprit = BOOT_KERNEL;
	for (enum boot_role role = 0; role < BOOT_ROLES; role++)
		if (first == &image->file[role])
			*culprit = role;
	return r;
}

int image_open(const struct image_files *f, const char *layout, struct image *out, struct err *e)
{
	enum boot_role culprit = f->bios ? BOOT_FIRMWARE : BOOT_KERNEL;
	int r = 0;

	for (enum boot_role role = 0; !r && role < BOOT_ROLES; role++) {
		out->has[role] = named(f, role);
		if (out->has[role])
			r = open_file(named(f, role), &out->file[role], e);
	}
	if (r)
		return r;
	out->cmdline = f->cmdline ? strdup(f->cmdline) : NULL;
	if (f->cmdline && !out->cmdline)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = check_size(f, layout, &out->file[culprit], e);
	if (!r)
		r = look(out, &culprit, e);
	if (r) {
		err_file(e, named(f, culprit));
		return r;
	}
	return describe(f, out, e);
}

void image_close(struct image *image)
{
	arch_image_free(image->arch);
	free(image->cmdline);
}

/* --- of a restored machine ------------------------------------------------------------------- */

static int check_boot(const struct boot *b, struct err *e)
{
	unsigned started = 0;

	for (uint32_t i = 0; i < b->file_n; i++) {
		const struct boot_file *f = &b->file[i];
		if (f->path[0] != '/' || (i && f->role <= f[-1].role))
			return err_set(e, ERR_RANGE, "files in disorder");
		started += f->role == BOOT_KERNEL || f->role == BOOT_FIRMWARE;
	}
	return !b->file_n || started == 1
		   ? 0
		   : err_set(e, ERR_RANGE, "%u files to start from", started);
}

/* Other files than plain ones can do something when they are opened. */
static int open_plain(const char *path, struct io_src *src, struct err *e)
{
	struct stat st;

	if (stat(path, &st) || S_ISREG(st.st_mode))
		return open_file(path, src, e);
	err_set(e, ERR_IO, "not a regular file");
	err_file(e, path);
	return -ERR_IO;
}

int image_find(const struct boot *saved, const struct image_files *where, struct image *out,
	       struct err *e)
{
	int r = saved ? check_boot(saved, e) : 0;

	if (r)
		err_where(e, "boot");
	out->missing = (struct err)ERR_INIT;
	if (r || !saved || !saved->file_n) {
		err_set(&out->missing, ERR_WRONG_STATE,
			"its snapshot does not say what it was started from");
		return r;
	}
	out->boot = *saved;
	if (saved->cmdline_len) {
		out->cmdline = strndup((const char *)saved->cmdline, saved->cmdline_len);
		if (!out->cmdline)
			return err_set(e, ERR_NOMEM, "out of memory");
	}
	for (uint32_t i = 0; !out->missing.code && i < saved->file_n; i++) {
		struct boot_file *file = &out->boot.file[i];
		const char *path = named(where, file->role);
		/* Where it cannot be said, it stays said where it was. */
		if (path)
			(void)!set_path(file, path);
		out->has[file->role] =
		    !open_plain(path ? path : file->path, &out->file[file->role], &out->missing);
	}
	return 0;
}

static int is_what_it_was(const struct boot_file *file, const struct io_src *src, struct err *e)
{
	uint8_t digest[SHA256_BYTES];
	int r = 0;

	if (src->size == file->bytes)
		r = digest_of(src, digest, e);
	if (!r && (src->size != file->bytes || memcmp(digest, file->sha256, sizeof digest)))
		r = err_set(e, ERR_WRONG_STATE, "not the file that the machine was started from");
	if (r)
		err_file(e, file->path);
	return r;
}

int image_look(struct image *image, struct err *e)
{
	const struct boot *b = &image->boot;
	enum boot_role culprit;
	int r = 0;

	if (image->arch)
		return 0;
	if (image->missing.code) {
		*e = image->missing;
		return -(int)e->code;
	}
	for (uint32_t i = 0; !r && i < b->file_n; i++)
		r = is_what_it_was(&b->file[i], &image->file[b->file[i].role], e);
	return r ? r : look(image, &culprit, e);
}
