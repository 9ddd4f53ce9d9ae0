/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk: a raw image, or a chain of copy-on-write overlays down to one (formats/disk.md), read
 * and written through io_uring. Only the topmost image is ever written.
 *
 * The process of a VM cannot open files: a command opens the images (disk_chain_open) or makes a
 * new one (disk_overlay_create) and passes the descriptors, locks included.
 *
 * Prefix: disk_. Threads: one disk belongs to the event loop's thread; requests complete there.
 */
#ifndef DEVICES_DISK_H
#define DEVICES_DISK_H

#include "base/loop.h"
#include "layout/finding.h"
#include "state/disk.h"

#include <stdio.h>
#include <sys/uio.h>

struct disk;

/* --- images, opened ------------------------------------------------------------------------ */

/* A name that ends in this is an overlay, any other a raw image. Contents are never asked: the
 * guest writes those, and could make a raw image look like an overlay of a file that it wants to
 * read. */
#define DISK_OVERLAY_SUFFIX ".vmdisk"
#define DISK_SECTOR	    512

/** disk_name_format() - what an image of this name is. */
enum disk_format disk_name_format(const char *path);

struct disk_image_fd {
	int fd;
	uint8_t format;		      /* enum disk_format */
	char path[DISK_PATH_MAX + 1]; /* absolute; for messages, records and new overlays */
};

/* Topmost first; the last is the raw one. */
struct disk_chain {
	uint32_t n;
	struct disk_image_fd image[DISK_CHAIN_MAX];
};

/**
 * disk_chain_open() - open an image and all that lie under it, lock and check them
 * @writable: lock the topmost for writing; everything else is locked for reading
 * @out:      written on success; closed by disk_chain_close() or taken over by disk_open()
 *
 * Locks are of the open file description (OFD): they go where the descriptors go, and end with
 * the last of them.
 *
 * Trust: overlays are hostile, but they do name the files that are opened under them.
 * Returns 0; -ERR_BUSY when somebody else holds it, -ERR_WRONG_STATE for a frozen image that is to
 * be written, -ERR_INCOMPATIBLE when one was written since the overlay above it was made,
 * -ERR_LIMIT for more than DISK_CHAIN_MAX images, -ERR_STRUCTURE for one that lies under itself,
 * -ERR_TRUNCATED, -ERR_MAGIC, -ERR_VERSION, -ERR_FEATURE, -ERR_CHECKSUM, -ERR_RANGE, -ERR_IO,
 * -ERR_NOMEM; @e->where is the image's path.
 */
int disk_chain_open(const char *path, bool writable, struct disk_chain *out,
		    struct err *e) MUST_CHECK;
void disk_chain_close(struct disk_chain *chain);

/** disk_chain_peek() - as disk_chain_open(), for reading, without locks and not asking whether
 * images were written since: a VM may have them. For disk_overlay_spare(), when that VM is about
 * to switch to what it makes. */
int disk_chain_peek(const char *path, struct disk_chain *out, struct err *e) MUST_CHECK;

/**
 * disk_overlay_create() - a new, empty overlay
 * @path:   must end in DISK_OVERLAY_SUFFIX and not exist yet
 * @parent: what goes under it, opened either way; borrowed
 * @out:    locked for writing; owned by the caller
 *
 * Not synced: the guest's first flush does that. On failure there is no file. The caller who does
 * not use it after all unlinks it.
 *
 * Returns 0, -ERR_USAGE, -ERR_WRONG_STATE (it exists), -ERR_LIMIT, -ERR_NOSPACE, -ERR_IO.
 */
int disk_overlay_create(const char *path, const struct disk_chain *parent,
			struct disk_image_fd *out, struct err *e) MUST_CHECK;

/** disk_overlay_spare() - as disk_overlay_create(), for disk_switch(): until then it says of itself
 * that no disk has gone on in it. */
int disk_overlay_spare(const char *path, const struct disk_chain *parent, struct disk_image_fd *out,
		       struct err *e) MUST_CHECK;

/**
 * disk_overlay_discard() - remove a spare overlay of a snapshot that never was
 * @path:  what may be one
 * @image: what it must have been made over, in the same folder
 *
 * Only what disk_overlay_spare() made for this user, and what nobody has open. Returns whether it
 * was removed.
 */
bool disk_overlay_discard(const char *path, const char *image);

/**
 * disk_clone_create() - instead of an overlay: an empty file that a raw image can be cloned into
 *
 * As disk_overlay_create(), but @path must not end in DISK_OVERLAY_SUFFIX. -ERR_INCOMPATIBLE when
 * the topmost of @parent is not raw or the file system cannot share blocks between files.
 */
int disk_clone_create(const char *path, const struct disk_chain *parent, struct disk_image_fd *out,
		      struct err *e) MUST_CHECK;

/* --- a disk -------------------------------------------------------------------------------- */

/**
 * disk_open() - start to use a chain
 * @l:         requests complete in its thread; must outlive the disk
 * @chain:     its descriptors belong to the disk when this succeeds; else still to the caller
 * @read_only: false needs a chain opened writable
 *
 * An overlay that is to be written gets a new generation id first.
 *
 * Returns 0 or as disk_chain_open(); -ERR_IO without io_uring.
 */
int disk_open(struct loop *l, const struct disk_chain *chain, bool read_only, struct disk **out,
	      struct err *e) MUST_CHECK;

/** disk_close() - drain, flush, free. @d is gone whatever it returns: 0, or what the flush said;
 * NULL is nothing. */
int disk_close(struct disk *d, struct err *e);

uint64_t disk_bytes(const struct disk *d);
bool disk_read_only(const struct disk *d);
/** disk_path() - of the topmost image, absolute. */
const char *disk_path(const struct disk *d);

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO };

/* One request, in memory of the caller until @done is called, in the loop's thread. */
struct disk_req {
	enum disk_op op;
	uint64_t offset, bytes;	 /* multiples of 512; inside the disk, or -ERR_RANGE in @done */
	const struct iovec *iov; /* DISK_READ, DISK_WRITE: @bytes in all */
	int iov_n;
	void (*done)(struct disk_req *req, int result); /* 0 or a negative error code */
	void *owner;
	struct disk_req *next; /* the disk's, while it has the request */
};

/**
 * disk_submit() - start @req. It may complete before this returns.
 *
 * Results: 0, -ERR_RANGE, -ERR_WRONG_STATE (a write, disk is read-only), -ERR_NOSPACE, -ERR_NOMEM,
 * -ERR_IO. After a flush that could not sync nobody knows what is on the medium: all later ones
 * fail.
 */
void disk_submit(struct disk *d, struct disk_req *req);

/** disk_drain() - returns when no request is in flight; their @done was called. */
void disk_drain(struct disk *d);

/* --- snapshots ----------------------------------------------------------------------------- */

/**
 * disk_switch() - freeze what is there and go on in a new image
 * @next: from disk_overlay_spare() or disk_clone_create(); belongs to the disk on success
 * @rec:  the frozen images, @id left empty
 *
 * Order: the guest is paused and the disk drained. Takes no time that grows with what was written:
 * what the frozen image still has to get onto the medium is left to disk_settle(). On failure the
 * disk is as it was and @next still the caller's.
 *
 * Returns 0, -ERR_WRONG_STATE (read-only, in flight, a block device, frozen by somebody else),
 * -ERR_LIMIT (the chain is as long as may be), -ERR_IO, -ERR_NOSPACE, -ERR_NOMEM.
 */
int disk_switch(struct disk *d, const struct disk_image_fd *next, struct disk_state *rec,
		struct err *e) MUST_CHECK;

/**
 * disk_switch_back() - as if disk_switch() had not been called, in the same pause
 *
 * For a snapshot that failed before the guest went on: the image is writable again, and the new one
 * closed; the caller unlinks it. -ERR_WRONG_STATE once anything was written: then the disk stays
 * where it is, on top of the frozen image, and nothing is lost.
 */
int disk_switch_back(struct disk *d, struct err *e) MUST_CHECK;

/** disk_settle() - wait until all that was switched away from is on the medium. A DISK_FLUSH
 * includes the same, without waiting. Before that the snapshot must not count as taken. */
int disk_settle(struct disk *d, struct err *e) MUST_CHECK;

/** disk_record() - the images of a read-only disk, for a snapshot; @rec->id left empty.
 * -ERR_WRONG_STATE for a writable one: disk_switch() records those. */
int disk_record(const struct disk *d, struct disk_state *rec, struct err *e) MUST_CHECK;

/**
 * disk_verify() - are these the images that were saved?
 * @saved: from a file, hostile
 * @now:   opened for reading; NULL when that failed
 * @out:   rules D050 to D056 are added
 *
 * Returns 0 whatever the findings; -ERR_IO.
 */
int disk_verify(const struct disk_state *saved, const struct disk_chain *now, struct findings *out,
		struct err *e) MUST_CHECK;

/** disk_verify_bytes() - D052 alone: has the disk @id, of which nothing was saved, the saved size? */
int disk_verify_bytes(const char *id, uint64_t saved, const struct disk_chain *now,
		      struct findings *out, struct err *e) MUST_CHECK;

/**
 * disk_verify_open() - disk_chain_open() @path for reading, and disk_verify()
 * @chain: empty (n is 0) when it could not be opened; the reason is one of the findings then
 *
 * Returns 0 whatever the findings; -ERR_BUSY, -ERR_IO, -ERR_NOMEM.
 */
int disk_verify_open(const struct disk_state *saved, const char *path, struct disk_chain *chain,
		     struct findings *out, struct err *e) MUST_CHECK;

/* --- tools --------------------------------------------------------------------------------- */

/** disk_tool_info() - the chain of @path, as text or JSON. */
int disk_tool_info(const char *path, bool json, FILE *out, struct err *e) MUST_CHECK;

/**
 * disk_tool_commit() - write what the overlay @path holds into the image under it
 * @force: even when that is frozen: snapshots that need it are lost
 *
 * The overlay stays, and is empty and on top of the new contents afterwards. Broken off at any
 * point, it can be repeated.
 */
int disk_tool_commit(const char *path, bool force, struct err *e) MUST_CHECK;

/** disk_tool_flatten() - the contents of the chain of @path as a new, sparse raw image @out_path,
 * which appears whole or not at all. -ERR_WRONG_STATE when it exists. */
int disk_tool_flatten(const char *path, const char *out_path, struct err *e) MUST_CHECK;

#endif
