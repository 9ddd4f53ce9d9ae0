/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"
#include "vmm/keys.h"
#include "vmm/output.h"
#include "vmm/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
	const char *file, *output, *encoding, *encrypt, *sign;
	uint32_t level, threads;
	struct keys_in keys;
	struct keys_out out;
	bool json;
};

bool encoding_is_raw(const char *encoding)
{
	return encoding && !strcmp(encoding, "raw");
}

int encoding_check(const char *encoding, const char *encrypt, const char *parent, struct err *e)
{
	if (encoding && !encoding_is_raw(encoding) && strcmp(encoding, "zstd"))
		return err_set(e, ERR_USAGE, "--encoding %s: zstd or raw", encoding);
	if (encoding_is_raw(encoding) && (encrypt || parent))
		return err_set(e, ERR_USAGE, "--encoding raw and --%s do not go together",
			       encrypt ? "encrypt" : "parent");
	return 0;
}

static int print_result(const struct options *o, const struct snap_stats *st)
{
	if (!strcmp(o->output, "-"))
		return STATUS_DONE;
	if (o->json)
		return print_json(json_pack(
		    "{s:I, s:I, s:I, s:I, s:I, s:I}", "file_bytes", (json_int_t)st->file_bytes,
		    "ram_bytes", (json_int_t)st->ram_bytes, "stored_bytes",
		    (json_int_t)st->stored_bytes, "zero_chunks", (json_int_t)st->zero_chunks,
		    "zstd_chunks", (json_int_t)st->zstd_chunks, "raw_chunks",
		    (json_int_t)st->raw_chunks));
	printf("%s: %.1f MiB for %.0f MiB of RAM\n", o->output, (double)st->file_bytes / (double)MIB,
	       (double)st->ram_bytes / (double)MIB);
	return STATUS_DONE;
}

static int merge(struct options *o, struct snap_stats *st, struct err *e)
{
	struct output t = OUTPUT_INIT;
	struct progress bar;
	struct snap *snap = NULL;
	const struct snap_write_opts opts = {
	    .threads = o->threads,
	    .level = o->level,
	    .raw = encoding_is_raw(o->encoding),
	    .master = o->out.master.key.data ? &o->out.master : NULL,
	    .sign = o->out.sign.data ? &o->out.sign : NULL,
	    .progress = {progress_show, &bar, NULL},
	};

	progress_init(&bar, "merging");
	int r = snap_open_file(o->file, &o->keys.opts, &snap, e);
	if (!r)
		r = output_open(o->output, &t, e);
	if (!r && t.temporary[0])
		r = snap_mark(t.fd, e);
	if (!r) {
		r = snap_merge(t.fd, snap, &opts, st, e);
		if (r)
			err_file(e, o->file);
	}
	progress_end(&bar);
	if (!r)
		r = output_publish(o->output, &t, e);
	output_close(&t);
	snap_close(snap);
	return r;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const struct option_spec spec[] = {
	    {'o', "output", "FILE", OPT_TEXT, &o.output, "where to write; - is standard output"},
	    KEYS_IN_OPTIONS(o.keys),
	    {0, "encoding", "ENCODING", OPT_TEXT, &o.encoding,
	     "of the new file: zstd, or raw: RAM as it is, which restores map (zstd)"},
	    {0, "encrypt", "KEY", OPT_TEXT, &o.encrypt, "encrypt it: " SNAP_KEY_SYNTAX},
	    {0, "sign", "FILE", OPT_TEXT, &o.sign, "sign it with this private key (Ed25519, PEM)"},
	    {0, "threads", "N", OPT_COUNT, &o.threads, "threads that read and check, 1 to 16 (2)"},
	    {0, "json", NULL, OPT_FLAG, &o.json, "print JSON"},
	};
	struct snap_stats st;
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 1, &o.file);

	if (status >= 0)
		return status;
	if (encoding_check(o.encoding, o.encrypt, NULL, &e))
		return fail(&e);
	int r = !o.output ? err_set(&e, ERR_USAGE, "merge: -o FILE is needed (vmm merge --help)")
		: !strcmp(o.output, "-") && isatty(1)
		    ? err_set(&e, ERR_USAGE, "a snapshot is not written to a terminal")
		    : keys_in_load(&o.keys, &e);
	if (!r)
		r = keys_out_load(o.encrypt, o.sign, &o.out, &e);
	if (!r)
		r = merge(&o, &st, &e);
	keys_in_fini(&o.keys);
	keys_out_fini(&o.out);
	return r ? fail(&e) : print_result(&o, &st);
}

const struct command cmd_merge = {"merge", "FILE -o FILE [options]",
				  "a snapshot and its parents as one file, in either encoding",
				  run};
