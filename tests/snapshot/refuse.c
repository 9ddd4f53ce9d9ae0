/* SPDX-License-Identifier: Apache-2.0 */
/* refuse FILE...: for each, CODE@0xOFFSET of the reader's refusal, or OK, on a line. "+key",
 * "+passphrase" and "+signer" in a name ask for the keys of fixture_keys_init(). Parents are looked
 * for in the same folder. */
#include "fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct fixture_keys keys;

static struct snap_open_opts opts_of(const char *name)
{
	return (struct snap_open_opts){
	    .key = strstr(name, "+key")	       ? &keys.key
		   : strstr(name, "+passphrase") ? &keys.passphrase
						 : NULL,
	    .signer = strstr(name, "+signer") ? keys.signer : NULL,
	};
}

/* From the folder of @path. */
static int give_parent(struct snap *s, const char *path, const struct snap_open_opts *opts,
		       struct err *e)
{
	const char *slash = strrchr(path, '/');
	struct snap *parent = NULL;
	char beside[4096];

	if (!snap_parent(s))
		return 0;
	snprintf(beside, sizeof beside, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path,
		 snap_parent(s)->file);
	int r = snap_open_file(beside, &(struct snap_open_opts){.key = opts->key}, &parent, e);
	if (!r)
		r = snap_set_parent(s, parent, e);
	if (r)
		snap_close(parent);
	return r;
}

static int check(const char *path, const void *data, size_t n, const struct snap_open_opts *opts,
		 struct err *e)
{
	struct io_src src;
	struct snap *s;

	io_src_mem(&src, data, n);
	int r = snap_open(&src, opts, &s, e);
	if (r)
		return r;
	r = give_parent(s, path, opts, e);
	if (!r)
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
	fixture_keys_init(&keys);
	for (int i = 1; i < argc; i++) {
		const struct snap_open_opts opts = opts_of(argv[i]);
		struct err e = ERR_INIT;
		struct buf b = BUF_INIT;
		if (io_read_file(argv[i], 64 * MIB, &b, &e))
			return perror(argv[i]), 1;
		/* Of exactly that size, so that a sanitizer sees one byte too many. */
		uint8_t *data = malloc(b.len ? b.len : 1);
		if (b.len)
			memcpy(data, b.data, b.len);
		if (check(argv[i], data, b.len, &opts, &e))
			printf("%s@0x%" PRIx64 "\n", err_code_name(e.code), e.offset);
		else if (opts.key)
			puts("OK");
		else
			puts(same_again(data) ? "OK" : "encoded otherwise");
		free(data);
		buf_free(&b);
	}
	fixture_keys_fini(&keys);
	return 0;
}
