/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot: the .vmsnap file, version 1. formats/snapshot.md is its specification. This folder
 * knows no device and no KVM: what is saved comes as a manifest of state records and as guest
 * memory in the order of the layout.
 *
 * Writing is sequential, so that a pipe will do. Reading is random access over struct io_src;
 * nothing is parsed, and nothing allocated by, before its digest was checked.
 *
 * Prefix: snap_. A handle belongs to one thread at a time, but any number of readers may work on
 * an open one; snap_write(), snap_load_ram() and snap_verify() start threads of their own and have
 * joined them when they return.
 */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include "layout/mem.h"
#include "layout/uffd.h"
#include "snapshot/key.h"
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
#define SNAP_CHAIN_MAX	    64 /* an incremental snapshot and its parents */
#define SNAP_THREADS_MAX    16
#define SNAP_LEVEL_DEFAULT  1
#define SNAP_LEVEL_MAX	    19

/* Feature words of the header. A reader refuses required bits that it does not know. One that is
 * not implemented is reserved so that nobody uses its number for anything else. */
enum snap_required {
	SNAP_REQ_ENCRYPTED = 0,	  /* chunks and manifest are ciphertext */
	SNAP_REQ_RAW = 1,	  /* RAM as it is, to be mapped */
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

/* --- RAM of one moment, while the guest runs on -------------------------------------------- */

/*
 * A live capture holds RAM as it was at one moment. There are two ways.
 *
 * Memory is protected: every chunk that is about to change is copied first, and whoever writes to
 * it waits for that. Protecting memory takes time that grows with it, so that is done before:
 * snap_live_arm() while the guest runs, which may go on writing; snap_live_begin() when it stands
 * still has only to protect again what was written meanwhile.
 *
 * Where it cannot be protected, it is copied: snap_live_new(), and snap_live_again() in rounds
 * while the guest runs, the first time all of it, then what was written to, which the caller has to
 * know; snap_live_begin() copies what is left when it stands still.
 */
struct snap_live; /* owned by the caller of snap_live_arm() or snap_live_new() */

struct snap_live_opts {
	uint32_t chunk_bytes; /* 0: the default; what snap_write() is given too */
	unsigned level;	      /* likewise */
	uint64_t memory;      /* bytes of compressed copies at most; 0: 64 MiB */
	int spill_fd; /* a file for copies beyond that, borrowed; -1: there is none, and it fails */
	bool encrypt_spill;   /* they are encrypted there, with a key that is never stored */
};

struct snap_live_stats {
	uint64_t copied_chunks; /* somebody was about to change them; or before the moment */
	uint64_t early_chunks; /* written to while memory was being protected or copied */
	uint64_t late_chunks;  /* of them, protected or copied again in snap_live_begin() */
};

/** snap_live_arm() - protect the memory of @u, made for @l, which goes on being used. @u: open, and
 * borrowed until snap_live_end(). Returns 0, -ERR_FEATURE (it cannot be), -ERR_RANGE, -ERR_NOMEM,
 * -ERR_IO. */
int snap_live_arm(struct uffd *u, const struct layout *l, const struct snap_live_opts *opts,
		  struct snap_live **out, struct err *e) MUST_CHECK;

/** snap_live_new() - the other way, of @mem; nothing is copied yet. Returns 0, -ERR_RANGE,
 * -ERR_NOMEM. */
int snap_live_new(const struct guest_mem *mem, const struct layout *l,
		  const struct snap_live_opts *opts, struct snap_live **out,
		  struct err *e) MUST_CHECK;

/**
 * snap_live_again() - copy what has a page among @pages, as mem_take_dirty() has them; NULL: all
 *
 * What is written to from the call on must be among the pages of a later one, or of the last, for
 * snap_live_begin(). Threads: one at a time. Returns 0, -ERR_NOSPACE, -ERR_IO, -ERR_NOMEM,
 * -ERR_CANCELLED.
 */
int snap_live_again(struct snap_live *live, const uint64_t *pages, const struct snap_progress *p,
		    struct err *e) MUST_CHECK;

/** snap_live_settled() - @pages were written to during the last round: so few that the moment may
 * be now, or no fewer than before. */
bool snap_live_settled(const struct snap_live *live, const uint64_t *pages);

/** snap_live_begin() - this is the moment. Order: nobody writes to RAM until it returns. @pages:
 * not copied since they were written to; not used where memory is protected. */
int snap_live_begin(struct snap_live *live, const uint64_t *pages, struct err *e) MUST_CHECK;

/** snap_live_end() - lets everybody write again, and frees. @stats: may be NULL. */
void snap_live_end(struct snap_live *live, struct snap_live_stats *stats);

/* --- writing a file ------------------------------------------------------------------------ */

/* Zero in a field stands for its default. */
struct snap_write_opts {
	unsigned
	    threads;	/* codec threads beside the caller's; default 2, at most SNAP_THREADS_MAX */
	unsigned level; /* of zstd, 1 to SNAP_LEVEL_MAX */
	uint32_t chunk_bytes; /* power of two, SNAP_CHUNK_MIN to SNAP_CHUNK_MAX */
	/* Incremental: chunks without a page of @changed, as mem_take_dirty() has them, are those
	 * of the parent, and not looked at. Both or neither. */
	const struct snapshot_parent *parent;
	const uint64_t *changed;
	/* Pages that the guest has no use for, saved as zeros whatever is in them: a bit for each,
	 * in words as mem_mark_pages() takes them; NULL: none. Not with @from. */
	const uint64_t *unused;
	const struct snap *from; /* whose RAM is written, @ram NULL; not with @live or @changed */
	struct snap_live *live; /* that was begun for @ram, and is used up; NULL: @ram stands still */
	struct snap_progress progress;
	bool raw; /* RAM as it is, in a file that can be mapped; not with @parent or @master */
	const struct snap_master *master; /* NULL: not encrypted */
	const struct secret *sign;	  /* private key of Ed25519; NULL: not signed */
	/* SNAP_SALT_BYTES that no other file of this master key has, for tests that compare files;
	 * NULL, the only choice for others: random. */
	const uint8_t *salt;
};

struct snap_stats {
	uint8_t digest[SHA256_BYTES]; /* of the new file, as in struct snap_info */
	uint64_t file_bytes, ram_bytes;
	uint64_t stored_bytes; /* of RAM, compressed or as it is */
	uint64_t zero_chunks, zstd_chunks, raw_chunks, parent_chunks, zero_frames;
};

/**
 * snap_write() - write a whole snapshot
 * @fd:  file or pipe, written from where it stands; not synced. What is zero in a raw file is
 * skipped where the file ends already. Ignore SIGPIPE.
 * @m:   begins with identity, layout, machine; snap_write() itself puts in `ram` after them.
 *       The header takes its uuid from identity.
 * @ram: as mem_init() makes it from that layout; must not change meanwhile, but for a live capture.
 *       Holes of its file are
 *       taken as zeros and not touched: whoever loads lazily completes that first.
 * @opts, @stats: may be NULL; @stats is written on success
 *
 * About 600 KiB a codec thread, 1 MiB for output and 8 bytes a stored chunk are allocated; 48 bytes
 * more for each chunk of a raw file, whose index follows all of RAM.
 *
 * Returns 0, -ERR_USAGE (options; @ram is not of the layout), -ERR_RANGE (chunk size),
 * -ERR_MISSING, -ERR_STRUCTURE (manifest, layout), -ERR_LIMIT, -ERR_NOSPACE, -ERR_IO, -ERR_NOMEM,
 * -ERR_CANCELLED. Keys are borrowed until it returns. On failure @fd has a part of a snapshot that
 * every reader refuses.
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
	uint8_t digest[SHA256_BYTES]; /* what the footer ends with: names this one file */
	uint64_t file_bytes, manifest_bytes, frames;
	enum snap_key_kind key_kind; /* SNAP_KEY_NONE: not encrypted */
	bool is_raw;		     /* RAM as it is: snap_map_ram() */
	bool is_signed;		     /* and the signature is right */
	bool vouched;		     /* it is by the key that the caller wanted */
	uint8_t signer[ED25519_PUBLIC_BYTES];
	/* of RAM; the last six are the writer's word until snap_verify() or snap_load_ram() */
	uint64_t ram_bytes, chunks, leaves;
	uint64_t zero_chunks, zstd_chunks, raw_chunks, parent_chunks, zero_frames, stored_bytes;
};

/* What the caller knows of a file, and insists on. */
struct snap_open_opts {
	const struct snap_key *key; /* the file is encrypted, and this opens it; NULL: it is not */
	const uint8_t *signer; /* ED25519_PUBLIC_BYTES: this key signed it; NULL: anybody or nobody */
};

/**
 * snap_open() - open a snapshot for reading
 * @src:  borrowed; must outlive the handle
 * @opts: borrowed for the call; may be NULL
 * @out:  new handle, owned by the caller, freed by snap_close()
 *
 * Reads header, footer, manifest and index root, the digests first; nothing of RAM, whatever its
 * size. An encrypted file's footer is first checked with the key, a signed one's with its signature.
 * The handle keeps the keys of an encrypted file, not the master key. Trust: @src is hostile. Everything is bounded by SNAP_*_MAX. The layout has passed
 * layout_coherent(); when it breaks rules of layout_check() the handle is good for everything but
 * RAM, so that the rules can be told.
 *
 * Returns 0, -ERR_MAGIC, -ERR_VERSION, -ERR_FEATURE, -ERR_TRUNCATED, -ERR_CHECKSUM, -ERR_STRUCTURE,
 * -ERR_KEY (missing, wrong, or given for a file in the clear), -ERR_SIGNATURE (wrong; or not signed,
 * or not by the key that was wanted), -ERR_LIMIT (costs of scrypt), -ERR_IO, or what snap_manifest_decode() returns. @e has the offset in the file.
 */
int snap_open(const struct io_src *src, const struct snap_open_opts *opts, struct snap **out,
	      struct err *e) MUST_CHECK;

/**
 * snap_open_file() - the same for the file @path, which snap_close() closes; @e names it
 *
 * The parents of an incremental one are opened too, from the same folder and with the same key. What
 * is wrong with them is what snap_ram_readable() says: all but RAM can be looked at without.
 */
int snap_open_file(const char *path, const struct snap_open_opts *opts, struct snap **out,
		   struct err *e) MUST_CHECK;
void snap_close(struct snap *s);

/** snap_ram_readable() - 0, or why RAM cannot be read: a rule that the layout breaks, a parent that is
 * missing or another one. */
int snap_ram_readable(const struct snap *s, struct err *e) MUST_CHECK;

/** snap_parent() - which snapshot an incremental one needs; NULL for a full one. */
const struct snapshot_parent *snap_parent(const struct snap *s);

/** snap_set_parent() - @parent: taken over on success. Returns 0, -ERR_CHECKSUM (another one than it
 * needs), -ERR_STRUCTURE, -ERR_USAGE. */
int snap_set_parent(struct snap *s, struct snap *parent, struct err *e) MUST_CHECK;

/** snap_parent_of() - the open parent, NULL when there is none at hand. */
struct snap *snap_parent_of(const struct snap *s);

/** snap_mark() - make an empty file begin as a snapshot does: whoever finds it abandoned knows what it was
 * to be. What is written to it later replaces that. Returns 0, -ERR_IO, -ERR_NOSPACE. */
int snap_mark(int fd, struct err *e) MUST_CHECK;
/** snap_begins() - whether a file begins as a snapshot does; the rest may be missing. */
bool snap_begins(int fd);

/**
 * snap_peek() - what can be said of an encrypted file without its key
 * @opts: its key is not used; may be NULL
 * @out:  version, features, uuid, sizes of file and seek table, and who signed it. Of a file that is
 *        not signed that is what somebody wrote there, and nothing vouches for it.
 *
 * Returns 0 or what snap_open() returns up to the signature.
 */
int snap_peek(const char *path, const struct snap_open_opts *opts, struct snap_info *out,
	      struct err *e) MUST_CHECK;

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
 * Each digest is checked before what it covers is decoded. On failure @ram has
 * undefined contents.
 *
 * Returns 0, -ERR_USAGE, -ERR_CHECKSUM, -ERR_STRUCTURE, -ERR_ENCODING (a chunk that is no zstd
 * frame of its size), -ERR_TRUNCATED, -ERR_IO, -ERR_NOMEM, -ERR_CANCELLED. When several places are
 * damaged, one of them is told.
 */
int snap_load_ram(struct snap *s, struct guest_mem *ram, const struct snap_load_opts *opts,
		  struct err *e) MUST_CHECK;

/**
 * snap_map_ram() - RAM is a private mapping of the file, from now on
 * @ram: of mem_init_private() for the snapshot's layout
 *
 * Nothing is read, and no digest of RAM checked: snap_verify() does that. The file must not change
 * as long as the memory is used. Returns 0, -ERR_USAGE (not of the encoding raw, or no file),
 * -ERR_NOMEM, -ERR_IO, or why RAM cannot be read.
 */
int snap_map_ram(const struct snap *s, struct guest_mem *ram, struct err *e) MUST_CHECK;

/** snap_verify() - the same check without memory to load into. */
int snap_verify(struct snap *s, const struct snap_load_opts *opts, struct err *e) MUST_CHECK;

/**
 * snap_merge() - write what @from and its parents hold as one full snapshot, with a uuid of its own
 * @opts: parent, changed, unused, live, from and chunk_bytes are not used
 *
 * Every chunk that goes over is checked by its digest. Returns 0, or what snap_ram_readable(),
 * snap_load_ram() and snap_write() return.
 */
int snap_merge(int fd, const struct snap *from, const struct snap_write_opts *opts,
	       struct snap_stats *stats, struct err *e) MUST_CHECK;

/* --- reading by chunk ---------------------------------------------------------------------- */

struct snap_span {
	uint64_t offset, bytes; /* in the RAM stream */
};

/** snap_chunk_span() - @chunk is below snap_info()->chunks. */
struct snap_span snap_chunk_span(const struct snap *s, uint64_t chunk);

/** snap_chunk_at() - the chunk that holds byte @offset, below snap_info()->ram_bytes. */
uint64_t snap_chunk_at(const struct snap *s, uint64_t offset);

/** snap_zeros() - how many chunks from @chunk on are zero as far as the index root knows: whole
 * leaves of them, or 0. Costs no access to the file. */
uint64_t snap_zeros(const struct snap *s, uint64_t chunk);

/* What one thread needs to read chunks in any order: room, a codec, and the leaves of the index
 * that it saw last. At most 2 MiB. Owned by the caller of snap_reader_new(). */
struct snap_reader;

/** snap_reader_new() - a reader of @s, which outlives it. Returns 0, -ERR_NOMEM, or why RAM cannot
 * be read. */
int snap_reader_new(const struct snap *s, struct snap_reader **out, struct err *e) MUST_CHECK;
void snap_reader_free(struct snap_reader *r);

/**
 * snap_reader_zeros() - how many chunks from @chunk on the index says are zero
 *
 * @n gets 0 when @chunk is not zero; a run may go on where the next leaf begins. Returns 0 or
 * what snap_load_ram() returns for the index.
 */
int snap_reader_zeros(struct snap_reader *r, uint64_t chunk, uint64_t *n, struct err *e) MUST_CHECK;

/**
 * snap_reader_chunk() - the contents of @chunk
 * @out: room for its bytes, undefined on failure
 *
 * Everything is checked first that says what they are. Returns 0 or what snap_load_ram() returns.
 */
int snap_reader_chunk(struct snap_reader *r, uint64_t chunk, uint8_t *out,
		      struct err *e) MUST_CHECK;

/**
 * snap_read_ram() - a piece of the RAM stream
 * @offset: in the stream: the backed regions of the layout back to back
 *
 * For tests and fuzzers; the programs go by chunks. Reads and checks only the leaves and chunks
 * needed, and keeps the last of each.
 * Returns 0, -ERR_RANGE (outside the stream), or what snap_load_ram() returns.
 */
int snap_read_ram(struct snap *s, uint64_t offset, void *out, size_t n, struct err *e) MUST_CHECK;

#endif
