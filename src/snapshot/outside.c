/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* The fixed trailer of the seek table tells where the table begins, and so where the footer lies.
 */
static int find_footer(const struct io_src *src, struct outside *o, struct err *e)
{
	uint8_t trailer[SEEK_TRAILER];
	uint64_t size = src->size, least = HEADER_BYTES + FOOTER_BYTES + FRAME_HEAD + SEEK_TRAILER;
	uint32_t frames = 0;

	if (size < least)
		return err_at(e, ERR_TRUNCATED, size, "too short for a snapshot: cut off?");
	int r = io_read_at(src, trailer, sizeof trailer, size - SEEK_TRAILER, e);
	if (!r)
		r = seek_trailer_decode(trailer, size - SEEK_TRAILER, &frames, e);
	if (r)
		return r;
	uint64_t table = FRAME_HEAD + (uint64_t)frames * SEEK_ENTRY_BYTES + SEEK_TRAILER;
	if (table > size - HEADER_BYTES - FOOTER_BYTES)
		return err_at(e, ERR_TRUNCATED, size - SEEK_TRAILER,
			      "seek table of %" PRIu32 " frames does not fit: cut off?", frames);
	o->footer_at = size - table - FOOTER_BYTES;
	o->frames = frames;
	return 0;
}

int outside_read_(const struct io_src *src, struct outside *o, struct err *e)
{
	if (src->size < HEADER_BYTES)
		return err_at(e, ERR_MAGIC, 0, "not a snapshot: %" PRIu64 " bytes", src->size);
	int r = io_read_at(src, o->header, HEADER_BYTES, 0, e);
	if (!r)
		r = header_check(o->header, &o->h, e);
	if (!r)
		r = find_footer(src, o, e);
	if (!r)
		r = io_read_at(src, o->footer, FOOTER_BYTES, o->footer_at, e);
	return r ? r
		 : frame_head_check(o->footer, FRAME_FOOTER, FOOTER_BYTES, o->footer_at, "footer",
				    e);
}

int outside_signed_(const struct outside *o, const struct snap_open_opts *opts, struct err *e)
{
	if (!header_signed(&o->h) && opts->signer)
		return err_at(e, ERR_SIGNATURE, 32, "not signed");
	return header_signed(&o->h) ? footer_signature_(o->footer, o->footer_at, opts->signer, e)
				    : 0;
}

int outside_header_(const struct outside *o, struct err *e)
{
	const uint8_t *place = o->footer + FOOTER_PLACES + PLACE_HEADER * PLACE_BYTES;
	uint8_t digest[SHA256_BYTES];

	sha256_of(o->header, HEADER_BYTES, digest);
	if (memcmp(digest, place + 16, SHA256_BYTES))
		return err_at(e, ERR_CHECKSUM, 0, "header is damaged");
	return 0;
}

void outside_info_(const struct outside *o, const struct snap_open_opts *opts, uint64_t file_bytes,
		   struct snap_info *out)
{
	*out = (struct snap_info){
	    .version = SNAP_VERSION,
	    .required = o->h.required,
	    .optional = o->h.optional,
	    .file_bytes = file_bytes,
	    .frames = o->frames,
	    .key_kind = header_encrypted(&o->h) ? o->h.kdf.kind : SNAP_KEY_NONE,
	    .is_raw = header_raw(&o->h),
	    .is_signed = header_signed(&o->h),
	    .vouched = opts->signer != NULL,
	};
	memcpy(out->digest, o->footer + FOOTER_DIGEST, sizeof out->digest);
	memcpy(out->uuid, o->h.uuid, sizeof out->uuid);
	if (out->is_signed)
		memcpy(out->signer, o->footer + FOOTER_SIGNER, sizeof out->signer);
}

#define MARK_BYTES (FRAME_HEAD + sizeof header_magic)

static void mark(uint8_t out[static MARK_BYTES])
{
	frame_head_put(FRAME_HEADER, HEADER_BYTES - FRAME_HEAD, out);
	memcpy(out + FRAME_HEAD, header_magic, sizeof header_magic);
}

int snap_mark(int fd, struct err *e)
{
	uint8_t head[MARK_BYTES];

	mark(head);
	return io_write_all_at(fd, head, sizeof head, 0, e);
}

bool snap_begins(int fd)
{
	uint8_t head[MARK_BYTES], wanted[MARK_BYTES];

	mark(wanted);
	return pread(fd, head, sizeof head, 0) == sizeof head && !memcmp(head, wanted, sizeof head);
}

int snap_peek(const char *path, const struct snap_open_opts *opts, struct snap_info *out,
	      struct err *e)
{
	static const struct snap_open_opts none;
	struct outside o;
	struct io_src src;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? err_sys(e, ERR_IO, errno, "cannot open") : io_src_fd(&src, fd, e);

	opts = opts ? opts : &none;
	if (!r)
		r = outside_read_(&src, &o, e);
	if (!r)
		r = outside_signed_(&o, opts, e);
	if (!r && header_signed(&o.h))
		r = outside_header_(&o, e);
	if (!r)
		outside_info_(&o, opts, src.size, out);
	else
		err_file(e, path);
	if (fd >= 0)
		close(fd);
	return r;
}
