/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <inttypes.h>
#include <unistd.h>

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	unsigned *last = arg, percent = total ? (unsigned)(done * 100 / total) : 100;

	if (percent == *last)
		return;
	*last = percent;
	fprintf(stderr, "\r%3u %%%s", percent, percent == 100 ? "\r     \r" : "");
}

int cmd_verify(const struct inspect_args *a, struct err *e)
{
	const struct snap_info *i = snap_info(a->snap);
	struct snap_load_opts o = {0};
	unsigned last = 101;

	if (isatty(STDERR_FILENO)) {
		o.progress.fn = show_progress;
		o.progress.arg = &last;
	}
	int r = snap_verify(a->snap, &o, e);
	if (r) {
		if (last <= 99)
			fputs("\r     \r", stderr);
		return r;
	}
	if (a->json)
		return print_json(
		    json_pack("{s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "ok", 1, "signature",
			      signer_json(i), "file_bytes",
			      (json_int_t)i->file_bytes, "frames", (json_int_t)i->frames, "records",
			      (json_int_t)snap_manifest(a->snap)->n, "ram_bytes",
			      (json_int_t)i->ram_bytes, "chunks", (json_int_t)i->chunks, "parent_chunks",
			      (json_int_t)i->parent_chunks),
		    e);
	put_signer(i);
	printf("%-12s good, %u records\n", "manifest", snap_manifest(a->snap)->n);
	printf("%-12s good, %" PRIu64 " leaves\n", "index", i->leaves);
	printf("%-12s good, %" PRIu64 " bytes in %" PRIu64 " chunks, %" PRIu64 " of them zero\n",
	       "ram", i->ram_bytes, i->chunks, i->zero_chunks);
	if (snap_parent(a->snap))
		printf("%-12s good, %" PRIu64 " of the chunks, beginning with %s\n", "parents",
		       i->parent_chunks, snap_parent(a->snap)->file);
	printf("%-12s good, %" PRIu64 " frames\n", "seek table", i->frames);
	printf("%-12s good, all %" PRIu64 " bytes\n", "file", i->file_bytes);
	return 0;
}
