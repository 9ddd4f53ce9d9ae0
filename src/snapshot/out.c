/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/out.h"
#include "snapshot/chunk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUT_BYTES MIB
#define LOOK_MS	  100 /* how often to see whether it was cancelled */
/* Block size that O_DIRECT asks for at most: the logical blocks of disks are 512 or 4096 bytes. */
#define OUT_ALIGN 4096
#define OUT_HOLE  (64 * KIB) /* so much of zeros is a hole in a sparse file */

#define BLOCK_ENTRIES 8191
struct seek_block {
	struct seek_block *next;
	uint8_t entry[BLOCK_ENTRIES][SEEK_ENTRY_BYTES];
};

/* Past the page cache where that is possible: a file larger than the host's spare memory would
 * otherwise push everything else out and then be written at the speed of reclaim. */
static void set_direct(struct out *o, bool on)
{
	if (on == o->direct)
		return;
	if (!fcntl(o->fd, F_SETFL, on ? o->flags | O_DIRECT : o->flags))
		o->direct = on;
}

int out_init(struct out *o, int fd, const atomic_bool *cancel, struct err *e)
{
	struct stat st;

	*o = (struct out){.fd = fd, .flags = fcntl(fd, F_GETFL), .cancel = cancel};
	o->buf = aligned_alloc(OUT_ALIGN, OUT_BYTES);
	if (!o->buf)
		return err_set(e, ERR_NOMEM, "out of memory");
	bool regular = !fstat(fd, &st) && S_ISREG(st.st_mode);
	o->may_block = !regular;
	bool at_start =
	    o->flags >= 0 && !(o->flags & O_APPEND) && regular && lseek(fd, 0, SEEK_CUR) == 0;
	if (at_start)
		set_direct(o, true);
	/* What is in its first piece already is written over. */
	o->sparse = at_start && (uint64_t)st.st_size <= OUT_HOLE;
	return 0;
}

void out_fini(struct out *o)
{
	set_direct(o, false);
	free(o->buf);
	while (o->first) {
		struct seek_block *b = o->first;
		o->first = b->next;
		free(b);
	}
}

/* In pieces that do not block once poll() has said that there is room (pipe(7), PIPE_BUF). */
static int write_to_reader(struct out *o, const uint8_t *p, size_t n, struct err *e)
{
	while (n) {
		struct pollfd ready = {.fd = o->fd, .events = POLLOUT};
		size_t piece = n < PIPE_BUF ? n : PIPE_BUF;
		if (o->cancel && *o->cancel)
			return err_set(e, ERR_CANCELLED, "cancelled");
		if (poll(&ready, 1, LOOK_MS) <= 0)
			continue;
		int r = io_write_all(o->fd, p, piece, e);
		if (r)
			return r;
		p += piece;
		n -= piece;
	}
	return 0;
}

static int write_file(struct out *o, const uint8_t *p, size_t n, struct err *e)
{
	if (o->direct && n % OUT_ALIGN == 0) {
		ssize_t done = write(o->fd, p, n);
		if (done == (ssize_t)n)
			return 0;
		/* What is left, and whatever went wrong, the ordinary way. */
		set_direct(o, false);
		done = done < 0 ? 0 : done;
		return io_write_all(o->fd, p + done, n - (size_t)done, e);
	}
	set_direct(o, false);
	return io_write_all(o->fd, p, n, e);
}

static int skip(struct out *o, uint64_t n, struct err *e)
{
	return lseek(o->fd, (off_t)n, SEEK_CUR) < 0 ? err_sys(e, ERR_IO, errno, "cannot seek") : 0;
}

/* A full buffer, but for what is zero in it. */
static int write_sparse(struct out *o, struct err *e)
{
	int r = 0;

	for (size_t from = 0, to; !r && from < OUT_BYTES; from = to) {
		bool zero = chunk_is_zero(o->buf + from, OUT_HOLE);
		for (to = from + OUT_HOLE;
		     to < OUT_BYTES && chunk_is_zero(o->buf + to, OUT_HOLE) == zero;)
			to += OUT_HOLE;
		r = zero ? skip(o, to - from, e) : write_file(o, o->buf + from, to - from, e);
	}
	return r;
}

static int flush(struct out *o, struct err *e)
{
	size_t n = o->fill;

	o->fill = 0;
	if (o->may_block)
		return write_to_reader(o, o->buf, n, e);
	/* The last piece ends the file: what it skipped would not be there. */
	return o->sparse && n == OUT_BYTES ? write_sparse(o, e) : write_file(o, o->buf, n, e);
}

static int put(struct out *o, const void *data, size_t n, struct err *e)
{
	const uint8_t *p = data;

	o->at += n;
	while (n) {
		size_t room = OUT_BYTES - o->fill, k = n < room ? n : room;
		memcpy(o->buf + o->fill, p, k);
		o->fill += k;
		p += k;
		n -= k;
		if (o->fill == OUT_BYTES) {
			int r = flush(o, e);
			if (r)
				return r;
		}
	}
	return 0;
}

static int add_entry(struct out *o, size_t stored, uint32_t plain, struct err *e)
{
	if (o->frames == SEEK_FRAMES_MAX)
		return err_set(e, ERR_LIMIT, "more than %u frames: larger chunks are needed",
			       SEEK_FRAMES_MAX);
	uint32_t i = o->frames % BLOCK_ENTRIES;
	if (!i) {
		struct seek_block *b = malloc(sizeof *b);
		if (!b)
			return err_set(e, ERR_NOMEM, "out of memory");
		b->next = NULL;
		*(o->last ? &o->last->next : &o->first) = b;
		o->last = b;
	}
	num_put_le32(o->last->entry[i], (uint32_t)stored);
	num_put_le32(o->last->entry[i] + 4, plain);
	o->frames++;
	return 0;
}

int out_begin(struct out *o, enum frame_magic magic, uint64_t content, struct err *e)
{
	uint8_t head[FRAME_HEAD];
	int r = add_entry(o, FRAME_HEAD + content, 0, e);

	frame_head_put(magic, content, head);
	return r ? r : put(o, head, sizeof head, e);
}

int out_bytes(struct out *o, const void *data, size_t n, struct err *e)
{
	return put(o, data, n, e);
}

int out_zeros(struct out *o, uint64_t n, struct err *e)
{
	static const uint8_t zeros[64 * KIB];
	int r = 0;

	for (uint64_t k; !r && n; n -= k) {
		if (o->sparse && !o->fill && n >= OUT_BYTES) {
			k = n / OUT_BYTES * OUT_BYTES;
			r = skip(o, k, e);
			o->at += k;
		} else {
			k = n < sizeof zeros ? n : sizeof zeros;
			k = k < OUT_BYTES - o->fill ? k : OUT_BYTES - o->fill;
			r = put(o, zeros, k, e);
		}
	}
	return r;
}

int out_frame_known(struct out *o, const void *frame, size_t n, uint32_t plain, struct err *e)
{
	int r = add_entry(o, n, plain, e);

	return r ? r : put(o, frame, n, e);
}

int out_frame(struct out *o, const void *frame, size_t n, uint32_t plain, struct place *place,
	      struct err *e)
{
	if (place) {
		place->offset = o->at;
		place->length = n;
		sha256_of(frame, n, place->digest);
	}
	return out_frame_known(o, frame, n, plain, e);
}

/* A piece of the seek table: to @h where that is given, else to the file. */
static int table_piece(struct out *o, struct sha256 *h, const void *data, size_t n, struct err *e)
{
	if (!h)
		return put(o, data, n, e);
	sha256_add(h, data, n);
	return 0;
}

static int seek_table(struct out *o, struct sha256 *h, struct err *e)
{
	uint8_t head[FRAME_HEAD], trailer[SEEK_TRAILER];
	uint64_t left = o->frames;

	frame_head_put(FRAME_SEEK_TABLE, left * SEEK_ENTRY_BYTES + SEEK_TRAILER, head);
	seek_trailer_encode((uint32_t)left, trailer);
	int r = table_piece(o, h, head, sizeof head, e);
	for (struct seek_block *b = o->first; !r && b; b = b->next) {
		uint64_t n = left < BLOCK_ENTRIES ? left : BLOCK_ENTRIES;
		r = table_piece(o, h, b->entry, n * SEEK_ENTRY_BYTES, e);
		left -= n;
	}
	return r ? r : table_piece(o, h, trailer, sizeof trailer, e);
}

int out_finish(struct out *o, struct footer *f, const struct seal *s, const struct secret *sign,
	       uint8_t digest[static SHA256_BYTES], struct err *e)
{
	struct place *table = &f->place[PLACE_SEEK_TABLE];
	uint8_t footer[FOOTER_BYTES];

	/* The table has an entry for the footer, and the footer the digest of the table. */
	int r = add_entry(o, FOOTER_BYTES, 0, e);
	if (r)
		return r;
	table->offset = o->at + FOOTER_BYTES;
	table->length = FRAME_HEAD + o->frames * SEEK_ENTRY_BYTES + SEEK_TRAILER;
	f->frames = o->frames;
	f->file_bytes = table->offset + table->length;
	struct sha256 *h = sha256_new();
	r = seek_table(o, h, e);
	sha256_end(h, table->digest);
	footer_encode(f, footer);
	if (!r)
		r = footer_close_(s, sign, footer, e);
	memcpy(digest, footer + FOOTER_DIGEST, SHA256_BYTES);
	if (!r)
		r = put(o, footer, sizeof footer, e);
	if (!r)
		r = seek_table(o, NULL, e);
	return r ? r : flush(o, e);
}
