/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/workset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Magic 0, uuid 8, number of chunks 24, zeros 28, chunks from 32, digest of all before. */
#define HEAD_BYTES  32
#define ENTRY_BYTES 8
static const uint8_t magic[8] = {'V', 'M', 'M', 'W', 'S', 'E', 'T', 1};

void workset_fini(struct workset *w)
{
	free(w->chunk);
	*w = (struct workset)WORKSET_INIT;
}

void workset_add(struct workset *w, uint64_t chunk)
{
	if (w->n == w->room) {
		uint32_t room = w->room ? 2 * w->room : 1024;
		uint64_t *grown =
		    w->n < WORKSET_MAX ? realloc(w->chunk, room * sizeof *grown) : NULL;
		if (!grown)
			return;
		w->chunk = grown;
		w->room = room;
	}
	w->chunk[w->n++] = chunk;
}

static int check_head(const uint8_t *head, const uint8_t uuid[static 16], uint64_t size,
		      uint32_t *n, struct err *e)
{
	if (memcmp(head, magic, sizeof magic))
		return err_at(e, ERR_MAGIC, 0, "not a working set");
	if (memcmp(head + 8, uuid, 16))
		return err_at(e, ERR_MISSING, 8, "the working set of another snapshot");
	*n = num_le32(head + 24);
	if (*n > WORKSET_MAX)
		return err_at(e, ERR_LIMIT, 24, "%u chunks, at most %u", *n, WORKSET_MAX);
	if (num_le32(head + 28))
		return err_at(e, ERR_RANGE, 28, "must be zero");
	uint64_t want = HEAD_BYTES + (uint64_t)*n * ENTRY_BYTES + SHA256_BYTES;
	if (size != want)
		return err_at(e, ERR_TRUNCATED, size, "should be %llu bytes",
			      (unsigned long long)want);
	return 0;
}

/* @file: all of it, of the length that its head says. */
static int take_chunks(const uint8_t *file, uint32_t n, uint64_t chunks, struct workset *out,
		       struct err *e)
{
	size_t end = HEAD_BYTES + (size_t)n * ENTRY_BYTES;
	uint8_t got[SHA256_BYTES], *seen;
	int r = 0;

	sha256_of(file, end, got);
	if (memcmp(got, file + end, sizeof got))
		return err_at(e, ERR_CHECKSUM, end, "the working set is damaged");
	seen = calloc(chunks / 8 + 1, 1);
	if (!seen)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (uint32_t i = 0; !r && i < n; i++) {
		uint64_t at = HEAD_BYTES + (uint64_t)i * ENTRY_BYTES, c = num_le64(file + at);
		if (c >= chunks)
			r = err_at(e, ERR_RANGE, at, "chunk %llu of %llu", (unsigned long long)c,
				   (unsigned long long)chunks);
		else if (seen[c / 8] & 1u << c % 8)
			r = err_at(e, ERR_DUPLICATE, at, "chunk %llu again", (unsigned long long)c);
		else
			workset_add(out, c);
		if (!r)
			seen[c / 8] |= (uint8_t)(1u << c % 8);
	}
	free(seen);
	return r;
}

int workset_read(int fd, const uint8_t uuid[static 16], uint64_t chunks, struct workset *out,
		 struct err *e)
{
	struct io_src src;
	uint8_t head[HEAD_BYTES];
	uint32_t n = 0;

	*out = (struct workset)WORKSET_INIT;
	int r = io_src_fd(&src, fd, e);
	if (!r && !src.size)
		r = err_set(e, ERR_MISSING, "no working set yet");
	if (!r)
		r = io_read_at(&src, head, sizeof head, 0, e);
	if (!r)
		r = check_head(head, uuid, src.size, &n, e);
	if (r)
		return r;
	uint8_t *file = malloc(src.size);
	if (!file)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = io_read_at(&src, file, src.size, 0, e);
	if (!r)
		r = take_chunks(file, n, chunks, out, e);
	free(file);
	if (r)
		workset_fini(out);
	return r;
}

int workset_write(int fd, const uint8_t uuid[static 16], const struct workset *w, struct err *e)
{
	struct buf b = BUF_INIT;
	uint8_t *head = buf_grow(&b, HEAD_BYTES), number[ENTRY_BYTES], digest[SHA256_BYTES];

	if (head) {
		memset(head, 0, HEAD_BYTES);
		memcpy(head, magic, sizeof magic);
		memcpy(head + 8, uuid, 16);
		num_put_le32(head + 24, w->n);
	}
	for (uint32_t i = 0; i < w->n; i++) {
		num_put_le64(number, w->chunk[i]);
		buf_put(&b, number, sizeof number);
	}
	int r = b.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
	if (!r) {
		sha256_of(b.data, b.len, digest);
		buf_put(&b, digest, sizeof digest);
		r = b.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
	}
	/* Cut off first: what a crash leaves is either whole or refused. */
	if (!r && ftruncate(fd, 0))
		r = err_sys(e, ERR_IO, errno, "ftruncate");
	if (!r)
		r = io_write_all_at(fd, b.data, b.len, 0, e);
	buf_free(&b);
	return r;
}
