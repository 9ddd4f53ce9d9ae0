/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: from what every version of the format shares to what the footer vouches for. */
#include "snapshot/index.h"
#include "snapshot/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With the right keys, nothing more is asked: an encrypted file that was exchanged for one in the
 * clear, which anybody can write, would pass otherwise. */
static int need_key(const struct outside *o, const struct snap_open_opts *opts, struct err *e)
{
	if (header_encrypted(&o->h) && !opts->key)
		return err_at(e, ERR_KEY, 24, "is encrypted: a key is needed (--key)");
	if (!header_encrypted(&o->h) && opts->key)
		return err_at(e, ERR_KEY, 24, "is not encrypted, but a key was given");
	return 0;
}

static int make_seal(struct snap *s, const struct header *h, const struct snap_key *key,
		     struct err *e)
{
	struct snap_master m = {0};
	int r = snap_master_again(key, &h->kdf, &m, e);

	if (r == -ERR_KEY && e)
		e->offset = 57;
	if (!r)
		r = seal_new(&m.key, h->salt, &s->seal, e);
	snap_master_fini(&m);
	return r;
}

/* Nothing but the comparisons in outside.c has looked at the file when this begins; when it ends
 * the footer is that of whoever has the key, or signed it, if there is one. */
static int trust_footer(struct snap *s, const struct outside *o, const struct snap_open_opts *opts,
			struct err *e)
{
	int r = need_key(o, opts, e);

	if (!r && opts->key)
		r = make_seal(s, &o->h, opts->key, e);
	if (!r)
		r = footer_digest_(s->seal, o->footer, o->footer_at, e);
	return r ? r : outside_signed_(o, opts, e);
}

static int open_footer(struct snap *s, const struct outside *o, struct err *e)
{
	int r = footer_decode(o->footer, o->footer_at, header_signed(&o->h), &s->footer, e);

	if (r)
		return r;
	if (s->footer.file_bytes != s->src->size)
		return err_at(e, ERR_STRUCTURE, o->footer_at + 16,
			      "file of %" PRIu64 " bytes, the footer says %" PRIu64, s->src->size,
			      s->footer.file_bytes);
	if (s->footer.frames != o->frames)
		return err_at(e, ERR_STRUCTURE, o->footer_at + 32,
			      "%" PRIu64 " frames, the seek table has %" PRIu64, s->footer.frames,
			      o->frames);
	return 0;
}

static int open_outside(struct snap *s, const struct snap_open_opts *opts, struct err *e)
{
	struct outside o;
	int r = outside_read_(s->src, &o, e);

	if (!r)
		r = trust_footer(s, &o, opts, e);
	if (!r)
		r = open_footer(s, &o, e);
	if (!r)
		r = outside_header_(&o, e);
	if (!r)
		r = header_check_rest(o.header, &o.h, e);
	if (r)
		return r;
	outside_info_(&o, opts, s->src->size, &s->info);
	s->info.ram_bytes = s->footer.ram_bytes;
	return 0;
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

static int decode_manifest(struct snap *s, const struct stored *st, struct err *e)
{
	if (st->n < FRAME_HEAD)
		return err_at(e, ERR_STRUCTURE, st->at, "manifest of %zu bytes", st->n);
	int r = frame_head_check(st->data, FRAME_MANIFEST, st->n, st->at, "manifest", e);
	return r ? r
		 : snap_manifest_decode(st->data + FRAME_HEAD, st->n - FRAME_HEAD,
					st->at + FRAME_HEAD, &s->manifest, e);
}

static int open_manifest(struct snap *s, struct err *e)
{
	const struct place *p = &s->footer.place[PLACE_MANIFEST];
	uint8_t *frame = malloc(p->length ? p->length : 1);
	struct stored st = {frame, p->length, p->offset, p->digest, "manifest"};
	struct gcm *x = NULL;

	if (!frame)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = seal_start(s->seal, false, &x, e);
	if (!r)
		r = io_read_at(s->src, frame, p->length, p->offset, e);
	if (!r)
		r = frame_fetch_(x, SEAL_MANIFEST, 0, &st, e);
	if (!r)
		r = decode_manifest(s, &st, e);
	gcm_free(x);
	free(frame);
	s->info.manifest_bytes = p->length;
	return r ? r : check_identity(s, e);
}

/* What is stored cannot be more frames or chunks than the layout has. */
static int check_counts(const struct snap *s, uint64_t at, struct err *e)
{
	if (s->info.is_raw ? s->root.zstd_chunks : s->root.raw_chunks)
		return err_at(e, ERR_RANGE, at + (s->info.is_raw ? 24 : 32),
			      "chunks of an encoding that is not the file's");
	if (s->root.leaves != s->g.leaves)
		return err_at(e, ERR_STRUCTURE, at + 8, "%" PRIu32 " leaves, RAM has %" PRIu64,
			      s->root.leaves, s->g.leaves);
	uint64_t zero = s->root.zero_chunks, parent = s->root.parent_chunks, all = s->g.chunks;
	uint64_t stored = s->info.is_raw ? s->root.raw_chunks : s->root.zstd_chunks;
	if (zero > all || parent > all - zero || stored != all - zero - parent)
		return err_at(e, ERR_STRUCTURE, at + 16,
			      "%" PRIu64 " zero chunks, %" PRIu64 " of the parent and %" PRIu64
			      " others, RAM has %" PRIu64,
			      zero, parent, stored, all);
	return 0;
}

static int open_root(struct snap *s, struct err *e)
{
	const struct place *p = &s->footer.place[PLACE_ROOT];

	int r = geometry_init(&s->g, snap_layout(s), snap_ram(s)->chunk_bytes, e);
	if (r)
		return r;
	if (s->seal)
		s->g.stored_max += SEAL_EXTRA;
	if (s->info.is_raw)
		raw_place_(&s->g, root_span_start_(s, 0), &s->raw);
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
	s->info.raw_chunks = s->root.raw_chunks;
	s->info.parent_chunks = s->root.parent_chunks;
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
	while (!s->no_ram.code && s->parent)
		s = s->parent;
	if (s->no_ram.code && e)
		*e = s->no_ram;
	return -s->no_ram.code;
}

int snap_ram_readable(const struct snap *s, struct err *e)
{
	return ram_readable_(s, e);
}

/* --- parents -------------------------------------------------------------------------------- */

const struct snapshot_parent *snap_parent(const struct snap *s)
{
	return snap_manifest_find(&s->manifest, &snapshot_parent_desc, "");
}

/* The header says whether there is one. Until somebody brings it RAM cannot be read. */
static int open_parent(struct snap *s, struct err *e)
{
	const struct snapshot_parent *p = snap_parent(s);

	if (!p != !snap_incremental_(s))
		return err_at(e, ERR_STRUCTURE, s->manifest.item[0].at, "%s",
			      p ? "has a parent, but is not incremental"
				: "is incremental, but has no parent");
	if (p && !s->no_ram.code)
		err_set(&s->no_ram, ERR_MISSING, "needs its parent %s, which is not at hand",
			p->file);
	return 0;
}

int snap_set_parent(struct snap *s, struct snap *parent, struct err *e)
{
	const struct snapshot_parent *want = snap_parent(s);
	uint8_t mine[SHA256_BYTES], theirs[SHA256_BYTES];

	if (!want || s->parent)
		return err_set(e, ERR_USAGE, "needs no parent");
	if (memcmp(want->digest, parent->info.digest, sizeof want->digest))
		return err_set(e, ERR_CHECKSUM, "is not the snapshot that %s needs as its parent",
			       snap_identity(s)->name);
	layout_digest(snap_layout(s), mine);
	layout_digest(snap_layout(parent), theirs);
	if (memcmp(mine, theirs, sizeof mine) || s->g.chunk_bytes != parent->g.chunk_bytes)
		return err_set(e, ERR_STRUCTURE, "cuts memory otherwise than its parent");
	s->parent = parent;
	s->no_ram = (struct err)ERR_INIT;
	return 0;
}

struct snap *snap_parent_of(const struct snap *s)
{
	return s->parent;
}

static int open_all(struct snap *s, const struct snap_open_opts *opts, struct err *e)
{
	static const struct snap_open_opts none;

	s->no_ram = (struct err)ERR_INIT;
	int r = open_outside(s, opts ? opts : &none, e);
	if (!r)
		r = open_manifest(s, e);
	if (!r)
		r = open_ram(s, e);
	return r ? r : open_parent(s, e);
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

int snap_open(const struct io_src *src, const struct snap_open_opts *opts, struct snap **out,
	      struct err *e)
{
	struct snap *s = new_handle(e);

	if (!s)
		return -ERR_NOMEM;
	s->src = src;
	int r = open_all(s, opts, e);
	if (r)
		snap_close(s);
	else
		*out = s;
	return r;
}

static int open_one(const char *path, const struct snap_open_opts *opts, struct snap **out,
		    struct err *e)
{
	struct snap *s = new_handle(e);

	if (!s)
		return -ERR_NOMEM;
	s->src = &s->file;
	s->file.fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = s->file.fd < 0 ? err_sys(e, ERR_IO, errno, "cannot open")
			       : io_src_fd(&s->file, s->file.fd, e);
	if (!r)
		r = open_all(s, opts, e);
	if (r) {
		err_file(e, path);
		snap_close(s);
	} else {
		*out = s;
	}
	return r;
}

/* In the folder of @path, where the parents of all of a chain are looked for. */
static int open_beside(const char *path, const char *file, const struct snap_open_opts *opts,
		       struct snap **out, struct err *e)
{
	char beside[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash + 1 - path) : 0;
	/* Who vouches for the child does so for its parent, which is named by its digest. */
	const struct snap_open_opts parent = {.key = opts ? opts->key : NULL};

	if (!*file || strchr(file, '/') ||
	    snprintf(beside, sizeof beside, "%.*s%s", n, path, file) >= (int)sizeof beside)
		return err_set(e, ERR_RANGE, "its parent has a name that is none");
	return open_one(beside, &parent, out, e);
}

int snap_open_file(const char *path, const struct snap_open_opts *opts, struct snap **out,
		   struct err *e)
{
	int r = open_one(path, opts, out, e);
	struct snap *s = *out;

	for (unsigned depth = 1; !r && snap_parent(s); s = s->parent, depth++) {
		struct snap *parent = NULL;
		struct err why = ERR_INIT;
		int failed = depth == SNAP_CHAIN_MAX
				 ? err_set(&why, ERR_LIMIT, "a chain of more than %d snapshots",
					   SNAP_CHAIN_MAX)
				 : open_beside(path, snap_parent(s)->file, opts, &parent, &why);
		if (!failed)
			failed = snap_set_parent(s, parent, &why);
		if (!failed)
			continue;
		/* All but RAM can be looked at without. */
		if (parent) {
			err_file(&why, snap_parent(s)->file);
			snap_close(parent);
		}
		s->no_ram = why;
		break;
	}
	return r;
}

void snap_close(struct snap *s)
{
	if (!s)
		return;
	snap_close(s->parent);
	snap_manifest_fini(&s->manifest);
	snap_reader_free(s->reader);
	seal_free(s->seal);
	free(s->root_frame);
	free(s->chunk);
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
