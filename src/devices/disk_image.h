/* SPDX-License-Identifier: Apache-2.0 */
/* One image of a disk: the header of an overlay and its bitmap, and the facts about a file that
 * tell whether it is still the same. Private to disk_*.c; formats/disk.md is the specification. */
#ifndef DEVICES_DISK_IMAGE_H
#define DEVICES_DISK_IMAGE_H

#include "devices/disk.h"

#define DISK_CLUSTER	  4096u
#define DISK_HEADER_BYTES 4096u
#define DISK_BITMAP_PAGE  4096u	    /* what is written back at a time: 128 MiB of disk */
#define DISK_BYTES_MAX	  (8 * TIB) /* the bitmap of which is 256 MiB, mostly never touched */
#define DISK_NAME_MAX	  1023

struct disk_header {
	uint8_t uuid[16], generation[16];
	uint64_t bytes; /* of the disk */
	uint64_t bitmap_bytes, data_offset;
	bool committing; /* the parent is being written, and the clusters here are still needed */
	bool spare;	 /* held ready for a snapshot: no disk has gone on in it */
	struct disk_parent {
		uint8_t format;
		uint64_t file_bytes, mtime_ns;
		uint8_t uuid[16], generation[16];
		char name[DISK_NAME_MAX + 1]; /* relative to the overlay's directory */
	} parent;
};

/* Digest over the whole header included. */
void disk_header_encode_(const struct disk_header *h, uint8_t out[static DISK_HEADER_BYTES]);
/* Trust: @in is hostile. */
int disk_header_decode_(const uint8_t in[static DISK_HEADER_BYTES], struct disk_header *h,
			struct err *e) MUST_CHECK;
/* Sizes that follow from the disk's size. */
void disk_header_layout_(struct disk_header *h);
int disk_header_read_(int fd, struct disk_header *h, struct err *e) MUST_CHECK;
int disk_header_write_(int fd, const struct disk_header *h, struct err *e) MUST_CHECK;

struct disk_layer {
	struct disk_image_fd img;
	uint64_t bytes;	      /* of the disk */
	uint64_t data_offset; /* of the disk's byte 0 in the file */
	bool written; /* by anybody, ever: of an overlay; since it was opened: of a raw one */
	/* The rest: overlays only. */
	struct disk_header head;
	uint8_t *bitmap; /* head.bitmap_bytes; bit 0 of byte 0 is cluster 0 */
	uint8_t *dirty;	 /* for each page of it: newer than the file */
};

/* Reads and checks what @img holds; the descriptor is borrowed. */
int disk_layer_open_(struct disk_layer *l, const struct disk_image_fd *img,
		     struct err *e) MUST_CHECK;
/* Frees memory; the descriptor stays open. */
void disk_layer_fini_(struct disk_layer *l);

static inline bool disk_layer_has_(const struct disk_layer *l, uint64_t cluster)
{
	return !l->bitmap || (l->bitmap[cluster / 8] >> (cluster % 8) & 1);
}

/* Clusters [first, last] are there from now on. */
void disk_layer_set_(struct disk_layer *l, uint64_t first, uint64_t last);
/* What flushing does, waiting: sync, write the dirty pages of the bitmap, sync. */
int disk_layer_flush_(struct disk_layer *l, struct err *e) MUST_CHECK;
/* Number of clusters that are there. */
uint64_t disk_layer_count_(const struct disk_layer *l);

/* The layer that holds cluster number @offset / 4096, and how far from @offset on it is the same
 * one: @*run, at most @max. */
struct disk_layer *disk_layers_find_(struct disk_layer *l, uint32_t n, uint64_t offset,
				     uint64_t max, uint64_t *run);
/* Reads through all layers, waiting. */
int disk_layers_read_(struct disk_layer *l, uint32_t n, void *out, size_t bytes, uint64_t offset,
		      struct err *e) MUST_CHECK;

/* What tells whether a file is still the same: image state, path included. */
int disk_image_facts_(const struct disk_image_fd *img, struct disk_image_state *out,
		      struct err *e) MUST_CHECK;
/* Is what @parent says about the image below still true? @upper: the overlay, for the message. */
int disk_parent_check_(const struct disk_parent *parent, const struct disk_image_fd *below,
		       struct err *e) MUST_CHECK;
/* The same facts, as they go into a header; its name is left alone. */
int disk_parent_fill_(struct disk_parent *parent, const struct disk_image_fd *below,
		      struct err *e) MUST_CHECK;

/* @type: F_RDLCK or F_WRLCK; of the whole file, held by the open file description. */
int disk_lock_(const struct disk_image_fd *img, short type, struct err *e) MUST_CHECK;
/* After I/O: io_uring lets go of files some time after its last request, and a lock lives as long as the
 * file is open anywhere, so that the next one to open the image would find it in use. */
void disk_unlock_and_close_(const struct disk_image_fd *img);
/* fdatasync, or -ERR_IO. */
int disk_sync_(int fd, struct err *e) MUST_CHECK;
/* Makes [at, at + bytes) read as zeros, by a hole if there can be one. */
int disk_zero_(int fd, uint64_t at, uint64_t bytes, struct err *e) MUST_CHECK;
/* Writes @bytes, multiple of 512; where it is zeros, as holes. */
int disk_write_sparse_(int fd, const uint8_t *data, size_t bytes, uint64_t at,
		       struct err *e) MUST_CHECK;
/* How a chain is opened. */
enum disk_purpose {
	DISK_FOR_READING, /* everything locked and checked */
	DISK_FOR_WRITING,
	DISK_FOR_COMMIT,  /* as for writing; also when a commit was broken off */
	DISK_FOR_LOOKING, /* neither: what could be opened is in @out, whatever it returns */
};
int disk_chain_open_(const char *path, enum disk_purpose purpose, struct disk_chain *out,
		     struct err *e) MUST_CHECK;

/* @path, absolute and without links. */
int disk_path_set_(struct disk_image_fd *img, const char *path, struct err *e) MUST_CHECK;
/* Size of the disk in a raw image. */
int disk_raw_bytes_(const struct disk_image_fd *img, uint64_t *out, struct err *e) MUST_CHECK;

/* Size of the disk that an image holds: a raw one its own, an overlay what its header says. */
int disk_image_bytes_(const struct disk_image_fd *img, uint64_t *bytes, struct err *e);

#endif
