/* SPDX-License-Identifier: Apache-2.0 */
/* refuse FILE...: for each, CODE@0xOFFSET of the reader's refusal, or OK, on a line. */
#include "snapshot/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check(const void *data, size_t n, struct err *e)
{
	struct io_src src;
	struct snap *s;

	io_src_mem(&src, data, n);
	int r = snap_open(&src, &s, e);
	if (r)
		return r;
	r = snap_verify(s, NULL, e);
	snap_close(s);
	return r;
}

/* Decoding and encoding a manifest must give the same bytes. */
static bool same_again(const uint8_t *data)
{
	/* Of the footer's fields only the length is needed: the manifest's own frame has it. */
	uint32_t n = num_le32(data + 132);
	struct snap_manifest m = SNAP_MANIFEST_INIT;
	struct buf again = BUF_INIT;

	bool same = !snap_manifest_decode(data + 136, n, 136, &m, NULL) &&
		    !snap_manifest_encode(&m, &again, NULL) && again.len == n &&
		    !memcmp(again.data, data + 136, n);
	snap_manifest_fini(&m);
	buf_free(&again);
	return same;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct err e = ERR_INIT;
		struct buf b = BUF_INIT;
		if (io_read_file(argv[i], 64 * MIB, &b, &e))
			return perror(argv[i]), 1;
		/* Of exactly that size, so that a sanitizer sees one byte too many. */
		uint8_t *data = malloc(b.len ? b.len : 1);
		if (b.len)
			memcpy(data, b.data, b.len);
		if (check(data, b.len, &e))
			printf("%s@0x%" PRIx64 "\n", err_code_name(e.code), e.offset);
		else
			puts(same_again(data) ? "OK" : "encoded otherwise");
		free(data);
		buf_free(&b);
	}
	return 0;
}
