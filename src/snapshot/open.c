/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: from what every version of the format shares to what the footer vouches for. */
#include "snapshot/index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

/* The fixed trailer of the seek table tells where the table begins, and so where the footer lies.
 */
static int find_footer(struct snap *s, uint64_t *at, struct err *e)
{
	uint8_t trailer[SEEK_TRAILER];
	uint64_t size = s->src->size,
		 least = HEADER_BYTES + FOOTER_BYTES + FRAME_HEAD + SEEK_TRAILER;
	uint32_t frames = 0;

	if (size < least)
		return err_at(e, ERR_TRUNCATED, size, "too short for a snapshot: cut off?");
	int r = io_read_at(s->src, trailer, sizeof trailer, size - SEEK_TRAILER, e);
	if (!r)
		r = seek_trailer_decode(trailer, size - SEEK_TRAILER, &frames, e);
	if (r)
		return r;
	uint64_t table = FRAME_HEAD + (uint64_t)frames * SEEK_ENTRY_BYTES + SEEK_TRAILER;
	if (table > size - HEADER_BYTES - FOOTER_BYTES)
		return err_at(e, ERR_TRUNCATED, size - SEEK_TRAILER,
			      "seek table of %" PRIu32 " frames does not fit: cut off?", frames);
	*at = size - table - FOOTER_BYTES;
	s->info.frames = frames;
	return 0;
}

static int open_footer(struct snap *s, struct err *e)
{
	uint8_t footer[FOOTER_BYTES];
	uint64_t at = 0;

	int r = find_footer(s, &at, e);
	if (!r)
		r = io_read_at(s->src, footer, sizeof footer, at, e);
	if (!r)
		r = footer_decode(footer, at, s->info.optional, &s->footer, e);
	if (r)
		return r;
	if (s->footer.file_bytes != s->src->size)
		return err_at(e, ERR_STRUCTURE, at + 16,
			      "file of %" PRIu64 " bytes, the footer says %" PRIu64, s->src->size,
			      s->footer.file_bytes);
	if (s->footer.frames != s->info.frames)
		return err_at(e, ERR_STRUCTURE, at + 32,
			      "%" PRIu64 " frames, the seek table has %" PRIu64, s->footer.frames,
			      s->info.frames);
	s->info.ram_bytes = s->footer.ram_bytes;
	return 0;
}

static int open_header(struct snap *s, struct err *e)
{
	uint8_t raw[HEADER_BYTES];
	struct header h;

	if (s->src->size < HEADER_BYTES)
		return err_at(e, ERR_MAGIC, 0, "not a snapshot: %" PRIu64 " bytes", s->src->size);
	int r = io_read_at(s->src, raw, sizeof raw, 0, e);
	if (!r)
		r = header_check(raw, &h, e);
	if (r)
		return r;
	s->info = (struct snap_info){.version = SNAP_VERSION,
				     .required = h.required,
				     .optional = h.optional,
				     .file_bytes = s->src->size};
	memcpy(s->info.uuid, h.uuid, sizeof h.uuid);
	r = open_footer(s, e);
	if (!r)
		r = read_checked_(s->src, raw, sizeof raw, 0, s->footer.place[PLACE_HEADER].digest,
				  "header", e);
	return r ? r : header_check_rest(raw, e);
}

static int check_identity(const struct snap *s, struct err *e)
{
	const struct snap_component *identity = &s->manifest.item[0], *ram = &s->manifest.item[3];

	if (memcmp(snap_identity(s)->uuid, s->info.uuid, sizeof s->info.uuid))
		return err_at(e, ERR_STRUCTURE, identity->at, "uuid is not that of the header");
	if (snap_ram(s)->stream_bytes != s->footer.ram_bytes)
		return err_at(e, ERR_STRUCTURE, ram->at,
			      "%" PRIu64 " bytes of RAM, the footer says %" PRIu64,
			      snap_ram(s)->stream_bytes, s->footer.ram_bytes);
	return 0;
}

static int open_manifest(struct snap *s, struct err *e)
{
	const struct place *p = &s->footer.place[PLACE_MANIFEST];
	uint8_t *frame = malloc(p->length ? p->length : 1);

	if (!frame)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = read_checked_(s->src, frame, p->length, p->offset, p->digest, "manifest", e);
	if (!r && p->length < FRAME_HEAD)
		r = err_at(e, ERR_STRUCTURE, p->offset, "manifest of %" PRIu64 " bytes", p->length);
	if (!r)
		r = frame_head_check(frame, FRAME_MANIFEST, p->length, p->offset, "manifest", e);
	if (!r)
		r = snap_manifest_decode(frame + FRAME_HEAD, p->length - FRAME_HEAD,
					 p->offset + FRAME_HEAD, &s->manifest, e);
	free(frame);
	s->info.manifest_bytes = p->length;
	return r ? r : check_identity(s, e);
}

/* What is stored cannot be more frames or chunks than the layout has. */
static int check_counts(const struct snap *s, uint64_t at, struct err *e)
{
	if (s->root.leaves != s->g.leaves)
		return err_at(e, ERR_STRUCTURE, at + 8, "%" PRIu32 " leaves, RAM has %" PRIu64,
			      s->root.leaves, s->g.leaves);
	if (s->root.zero_chunks > s->g.chunks ||
	    s->root.zstd_chunks != s->g.chunks - s->root.zero_chunks)
		return err_at(e, ERR_STRUCTURE, at + 16,
			      "%" PRIu64 " zero chunks and %" PRIu64 " others, RAM has %" PRIu64,
			      s->root.zero_chunks, s->root.zstd_chunks, s->g.chunks);
	return 0;
}

static int open_root(struct snap *s, struct err *e)
{
	const struct place *p = &s->footer.place[PLACE_ROOT];

	int r = geometry_init(&s->g, snap_layout(s), snap_ram(s)->chunk_bytes, e);
	if (r)
		return r;
	if (p->length != ROOT_HEAD + s->g.leaves * ENTRY_BYTES)
		return err_at(e, ERR_STRUCTURE, p->offset,
			      "root of %" PRIu64 " bytes for %" PRIu64 " leaves", p->length,
			      s->g.leaves);
	s->root_frame = malloc(p->length);
	if (!s->root_frame)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = read_checked_(s->src, s->root_frame, p->length, p->offset, p->digest, "index root", e);
	if (!r)
		r = frame_head_check(s->root_frame, FRAME_ROOT, p->length, p->offset, "index root",
				     e);
	if (!r)
		r = root_decode(s->root_frame, p->offset, &s->root, e);
	if (!r)
		r = check_counts(s, p->offset, e);
	if (!r)
		r = root_check_(s, e);
	s->info.chunks = s->g.chunks;
	s->info.leaves = s->g.leaves;
	s->info.zero_chunks = s->root.zero_chunks;
	s->info.zstd_chunks = s->root.zstd_chunks;
	s->info.zero_frames = s->root.zero_frames;
	s->info.stored_bytes = s->root.stored_bytes;
	return r;
}

/* The index cannot be understood without a sound layout: it stays closed. */
static int open_ram(struct snap *s, struct err *e)
{
	int r = layout_check(snap_layout(s), &s->no_ram);

	if (!r)
		return open_root(s, e);
	err_where(&s->no_ram, "layout");
	s->no_ram.offset = s->manifest.item[1].at;
	return 0;
}

int ram_readable_(const struct snap *s, struct err *e)
{
	if (s->no_ram.code && e)
		*e = s->no_ram;
	return -s->no_ram.code;
}

static int open_all(struct snap *s, struct err *e)
{
	s->no_ram = (struct err)ERR_INIT;
	int r = open_header(s, e);
	if (!r)
		r = open_manifest(s, e);
	if (!r)
		r = open_ram(s, e);
	return r;
}

static struct snap *new_handle(struct err *e)
{
	struct snap *s = calloc(1, sizeof *s);

	if (s)
		s->file.fd = -1;
	else
		err_set(e, ERR_NOMEM, "out of memory");
	return s;
}

int snap_open(const struct io_src *src, struct snap **out, struct err *e)
{
	struct snap *s = new_handle(e);

	if (!s)
		return -ERR_NOMEM;
	s->src = src;
	int r = open_all(s, e);
	if (r)
		snap_close(s);
	else
		*out = s;
	return r;
}

int snap_open_file(const char *path, struct snap **out, struct err *e)
{
	struct snap *s = new_handle(e);

	if (!s)
		return -ERR_NOMEM;
	s->src = &s->file;
	s->file.fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = s->file.fd < 0 ? err_sys(e, ERR_IO, errno, "cannot open")
			       : io_src_fd(&s->file, s->file.fd, e);
	if (!r)
		r = open_all(s, e);
	if (r) {
		err_file(e, path);
		snap_close(s);
	} else {
		*out = s;
	}
	return r;
}

void snap_close(struct snap *s)
{
	if (!s)
		return;
	snap_manifest_fini(&s->manifest);
	ZSTD_freeDCtx(s->zstd);
	free(s->root_frame);
	free(s->leaf);
	free(s->chunk);
	free(s->stored);
	if (s->file.fd >= 0)
		close(s->file.fd);
	free(s);
}

const struct snap_info *snap_info(const struct snap *s)
{
	return &s->info;
}

const struct snap_manifest *snap_manifest(const struct snap *s)
{
	return &s->manifest;
}

const struct snapshot_identity *snap_identity(const struct snap *s)
{
	return s->manifest.item[0].st;
}

const struct layout *snap_layout(const struct snap *s)
{
	return s->manifest.item[1].st;
}

const struct machine *snap_machine(const struct snap *s)
{
	return s->manifest.item[2].st;
}

const struct snapshot_ram *snap_ram(const struct snap *s)
{
	return s->manifest.item[3].st;
}
