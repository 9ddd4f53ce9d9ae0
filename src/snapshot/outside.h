/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/snapshot/: header and footer as raw bytes, before anything in them is believed. */
#ifndef SNAPSHOT_OUTSIDE_H
#define SNAPSHOT_OUTSIDE_H

#include "snapshot/seal.h"

struct outside {
	struct header h;
	uint64_t frames;    /* of the seek table, by its trailer */
	uint64_t footer_at; /* found by that */
	uint8_t header[HEADER_BYTES], footer[FOOTER_BYTES];
};

/**
 * outside_read_() - header and footer, and what can be said of them by comparing bytes
 *
 * The fixed part of the header; the trailer of the seek table; the frame head of the footer. The
 * footer's other bytes, and the header against its digest, are for those who trust it.
 */
int outside_read_(const struct io_src *src, struct outside *o, struct err *e);

/* What the caller asked for: that it is encrypted, or signed, and by whom. The signature is
 * checked whether or not anybody asked. */
int outside_signed_(const struct outside *o, const struct snap_open_opts *opts, struct err *e);

/* The header against the digest that a trusted footer has of it. */
int outside_header_(const struct outside *o, struct err *e);

/* What is known from outside. */
void outside_info_(const struct outside *o, const struct snap_open_opts *opts, uint64_t file_bytes,
		   struct snap_info *out);

#endif
