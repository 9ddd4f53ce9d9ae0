/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot: the .vmsnap file, version 1. formats/snapshot.md is its specification. This folder
 * knows no device and no KVM: what is saved comes as a manifest of state records and as guest
 * memory in the order of the layout.
 *
 * Writing is sequential, so that a pipe will do. Reading is random access over struct io_src;
 * nothing is parsed, and nothing allocated by, before its digest was checked.
 *
 * Prefix: snap_. A handle belongs to one thread at a time; snap_write(), snap_load_ram() and
 * snap_verify() start threads of their own and have joined them when they return.
 */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include "layout/mem.h"
#include "state/machine.h"
#include "state/snapshot.h"

#include <stdatomic.h>

#define SNAP_VERSION 1

/* Limits of the format (formats/snapshot.md, "Limits"): no input makes a reader allocate more. */
#define SNAP_MANIFEST_MAX   (16 * MIB) /* bytes of CBOR */
#define SNAP_COMPONENTS_MAX 512
#define SNAP_STATE_MAX	    (64 * MIB) /* bytes of all decoded records together */
#define SNAP_ROOT_MAX	    (4 * MIB) /* bytes of the root frame: 5.3 TiB of RAM in 64 KiB chunks */
#define SNAP_CHUNK_MIN	    (4 * KIB)
#define SNAP_CHUNK_MAX	    MIB
#define SNAP_CHUNK_DEFAULT  (64 * KIB)
#define SNAP_LEAF_CHUNKS    1024
#define SNAP_ID_MAX	    32
#define SNAP_THREADS_MAX    16
#define SNAP_LEVEL_DEFAULT  1
#define SNAP_LEVEL_MAX	    19

/* Feature words of the header. A reader refuses required bits that it does not know. None is
 * implemented yet: the numbers are reserved so that nobody uses them for anything else. */
enum snap_required {
	SNAP_REQ_ENCRYPTED = 0,	  /* chunks and manifest are ciphertext */
	SNAP_REQ_RAW = 1,	  /* chunks of kind raw, to be mapped */
	SNAP_REQ_INCREMENTAL = 2, /* chunks of kind parent */
	SNAP_REQ_INCOMPLETE = 3,  /* being written, or given up */
};

enum snap_optional {
	SNAP_OPT_SIGNED = 0, /* the footer's signature area is in use */
};

/** snap_feature_name() - "encrypted"; NULL for a bit without a name. */
const char *snap_feature_name(bool required, unsigned bit);

/* --- the manifest -------------------------------------------------------------------------- */

/* @id tells components of one type apart: the device's id, "0" for vCPU 0, empty for the only one.
 */
struct snap_component {
	const struct state_desc *desc;
	char id[SNAP_ID_MAX + 1];
	void *st;    /* desc->size bytes */
	uint64_t at; /* where its record begins in the file; 0 when it came from no file */
};

/**
 * struct snap_manifest - what is saved besides RAM, in order
 *
 * identity, layout, machine and ram come first, in this order; then what the machine runs on, then
 * what changes while it runs. All of the writer's @st are borrowed; those that
 * snap_manifest_decode() made are owned by the manifest (@owned).
 */
struct snap_manifest {
	uint32_t n;
	bool owned;
	struct snap_component *item; /* owned */
};

#define SNAP_MANIFEST_INIT                                                                         \
	{                                                                                          \
		0                                                                                  \
	}

void snap_manifest_fini(struct snap_manifest *m);

/**
 * snap_manifest_add() - append a component
 * @st: borrowed until the manifest is gone
 *
 * Returns 0, -ERR_DUPLICATE, -ERR_LIMIT (components, id), -ERR_NOMEM.
 */
int snap_manifest_add(struct snap_manifest *m, const struct state_desc *desc, const char *id,
		      void *st, struct err *e) MUST_CHECK;

/** snap_manifest_find() - the record of @desc with this @id, or NULL. */
const void *snap_manifest_find(const struct snap_manifest *m, const struct state_desc *desc,
			       const char *id);

/** snap_manifest_encode() - append the canonical encoding. Returns 0, -ERR_LIMIT, -ERR_NOMEM. */
int snap_manifest_encode(const struct snap_manifest *m, struct buf *out, struct err *e) MUST_CHECK;

/**
 * snap_manifest_decode() - read and check a manifest
 * @base: added to offsets in errors: where @data lies in its file
 * @out:  written on success; freed by snap_manifest_fini()
 *
 * Trust: @data is hostile. At most SNAP_STATE_MAX bytes are allocated. Checks encoding, order,
 * limits, and that what the four leading records say fits together.
 *
 * Returns 0, -ERR_UNKNOWN (a type nobody declared), -ERR_DUPLICATE, -ERR_LIMIT, -ERR_MISSING,
 * -ERR_STRUCTURE, -ERR_NOMEM or what state_decode() and layout_check() return; @e->where names the
 * component.
 */
int snap_manifest_decode(const uint8_t *data, size_t n, uint64_t base, struct snap_manifest *out,
			 struct err *e) MUST_CHECK;

/* --- writing ------------------------------------------------------------------------------- */

struct snap_progress {
	void (*fn)(void *arg, uint64_t done, uint64_t total); /* bytes of RAM; may be NULL */
	void *arg;
	const atomic_bool *cancel; /* may be NULL; true ends with -ERR_CANCELLED soon */
};

/* Zero in a field stands for its default. */
struct snap_write_opts {
	unsigned
	    threads;	/* codec threads beside the caller's; default 2, at most SNAP_THREADS_MAX */
	unsigned level; /* of zstd, 1 to SNAP_LEVEL_MAX */
	uint32_t chunk_bytes; /* power of two, SNAP_CHUNK_MIN to SNAP_CHUNK_MAX */
	struct snap_progress progress;
};

struct snap_stats {
	uint64_t file_bytes, ram_bytes;
	uint64_t stored_bytes; /* of RAM, compressed */
	uint64_t zero_chunks, zstd_chunks, zero_frames;
};

/**
 * snap_write() - write a whole snapshot
 * @fd:  file or pipe, written from where it stands, never sought; not synced. Ignore SIGPIPE.
 * @m:   begins with identity, layout, machine; snap_write() itself puts in `ram` after them.
 *       The header takes its uuid from identity.
 * @ram: as mem_init() makes it from that layout; must not change meanwhile. Holes of its file are
 *       taken as zeros and not touched: whoever loads lazily completes that first.
 * @opts, @stats: may be NULL; @stats is written on success
 *
 * About 600 KiB a codec thread, 1 MiB for output and 8 bytes a stored chunk are allocated.
 *
 * Returns 0, -ERR_USAGE (options; @ram is not of the layout), -ERR_RANGE (chunk size),
 * -ERR_MISSING, -ERR_STRUCTURE (manifest, layout), -ERR_LIMIT, -ERR_NOSPACE, -ERR_IO, -ERR_NOMEM,
 * -ERR_CANCELLED. On failure @fd has a part of a snapshot that every reader refuses.
 */
int snap_write(int fd, const struct snap_manifest *m, const struct guest_mem *ram,
	       const struct snap_write_opts *opts, struct snap_stats *stats,
	       struct err *e) MUST_CHECK;

/* --- reading ------------------------------------------------------------------------------- */

struct snap; /* owned by the caller of snap_open() */

struct snap_info {
	uint32_t version;
	uint64_t required, optional; /* feature words */
	uint8_t uuid[16];
	uint64_t file_bytes, manifest_bytes, frames;
	/* of RAM; the last four are the writer's word until snap_verify() or snap_load_ram() */
	uint64_t ram_bytes, chunks, leaves;
	uint64_t zero_chunks, zstd_chunks, zero_frames, stored_bytes;
};

/**
 * snap_open() - open a snapshot for reading
 * @src: borrowed; must outlive the handle
 * @out: new handle, owned by the caller, freed by snap_close()
 *
 * Reads header, footer, manifest and index root, the digests first; nothing of RAM, whatever its
 * size. Trust: @src is hostile. Everything is bounded by SNAP_*_MAX. The layout has passed
 * layout_coherent(); when it breaks rules of layout_check() the handle is good for everything but
 * RAM, so that the rules can be told.
 *
 * Returns 0, -ERR_MAGIC, -ERR_VERSION, -ERR_FEATURE, -ERR_TRUNCATED, -ERR_CHECKSUM, -ERR_STRUCTURE,
 * -ERR_IO, or what snap_manifest_decode() returns. @e has the offset in the file.
 */
int snap_open(const struct io_src *src, struct snap **out, struct err *e) MUST_CHECK;

/** snap_open_file() - the same for the file @path, which snap_close() closes; @e names it. */
int snap_open_file(const char *path, struct snap **out, struct err *e) MUST_CHECK;
void snap_close(struct snap *s);

const struct snap_info *snap_info(const struct snap *s);
const struct snap_manifest *snap_manifest(const struct snap *s);
/* The leading records; never NULL. */
const struct snapshot_identity *snap_identity(const struct snap *s);
const struct layout *snap_layout(const struct snap *s);
const struct machine *snap_machine(const struct snap *s);
const struct snapshot_ram *snap_ram(const struct snap *s);

struct snap_load_opts {
	unsigned threads; /* default 2, at most SNAP_THREADS_MAX; the caller's is one of them */
	struct snap_progress progress;
};

/**
 * snap_load_ram() - all of RAM, and a check of every byte of the file
 * @ram: of the snapshot's layout and fresh: zero chunks are not written
 *
 * Each digest is checked before what it covers is decoded, straight into @ram. On failure @ram has
 * undefined contents.
 *
 * Returns 0, -ERR_USAGE, -ERR_CHECKSUM, -ERR_STRUCTURE, -ERR_ENCODING (a chunk that is no zstd
 * frame of its size), -ERR_TRUNCATED, -ERR_IO, -ERR_NOMEM, -ERR_CANCELLED. When several places are
 * damaged, one of them is told.
 */
int snap_load_ram(struct snap *s, struct guest_mem *ram, const struct snap_load_opts *opts,
		  struct err *e) MUST_CHECK;

/** snap_verify() - the same check without memory to load into. */
int snap_verify(struct snap *s, const struct snap_load_opts *opts, struct err *e) MUST_CHECK;

/**
 * snap_read_ram() - a piece of the RAM stream
 * @offset: in the stream: the backed regions of the layout back to back
 *
 * Reads and checks only the leaves and chunks needed, and keeps the last of each.
 * Returns 0, -ERR_RANGE (outside the stream), or what snap_load_ram() returns.
 */
int snap_read_ram(struct snap *s, uint64_t offset, void *out, size_t n, struct err *e) MUST_CHECK;

#endif
