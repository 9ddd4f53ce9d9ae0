/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/client.h"
#include "vmm/commands.h"
#include "vmm/disks.h"
#include "vmm/keys.h"
#include "vmm/leftovers.h"
#include "vmm/output.h"
#include "vmm/progress.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
	const char *name, *output, *disks, *encoding, *encrypt, *sign, *parent;
	uint32_t level, threads;
	bool stop, json, live, track, hints;
	struct keys_out keys;
};

static void on_event(void *arg, const char *name, const json_t *params)
{
	if (!strcmp(name, "progress"))
		progress_show(arg, (uint64_t)json_integer_value(json_object_get(params, "done")),
			      (uint64_t)json_integer_value(json_object_get(params, "total")));
}

/* A child that took its parent's place would need a file that is not there any more. */
static bool in_place_of(const char *parent, const char *output)
{
	struct stat a, b;

	return !stat(parent, &a) && !stat(output, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* Nor may it take the place of what its parent needs. Of an encrypted chain the names cannot be
 * read here: there only the parent itself is known. */
static int spare_ancestors(const char *parent, const char *output, struct err *e)
{
	const char *slash = strrchr(parent, '/');
	int n = slash ? (int)(slash + 1 - parent) : 0, r = 0;
	char beside[PATH_MAX];
	struct snap *snap;

	if (snap_open_file(parent, NULL, &snap, e))
		return -e->code;
	for (const struct snap *s = snap; !r && s && snap_parent(s); s = snap_parent_of(s)) {
		const char *file = snap_parent(s)->file;
		int len = snprintf(beside, sizeof beside, "%.*s%s", n, parent, file);
		if (len < (int)sizeof beside && in_place_of(beside, output))
			r = err_set(e, ERR_USAGE,
				    "%s would be written over what its parent %s needs", output,
				    parent);
	}
	snap_close(snap);
	return r;
}

/* What names the parent: its ends say it. */
static int add_parent(json_t *params, const struct options *o, struct err *e)
{
	const char *path = o->parent;
	const char *slash = strrchr(path, '/');
	struct snap_info info;
	char uuid[2 * sizeof info.uuid + 1], digest[2 * SHA256_BYTES + 1];
	int r = snap_peek(path, NULL, &info, e);

	if (r)
		return r;
	if (in_place_of(path, o->output))
		return err_set(e, ERR_USAGE, "%s would be written over its own parent", o->output);
	if (info.key_kind != o->keys.master.kdf.kind) {
		err_set(e, ERR_KEY,
			"is encrypted otherwise than its child would be: nobody could read both");
		err_file(e, path);
		return -ERR_KEY;
	}
	if (info.key_kind == SNAP_KEY_NONE)
		r = spare_ancestors(path, o->output, e);
	if (r)
		return r;
	json_object_set_new(
	    params, "parent",
	    json_pack("{s:s, s:s, s:s}", "uuid", num_hex(info.uuid, sizeof info.uuid, uuid),
		      "digest", sha256_hex(info.digest, digest), "file", slash ? slash + 1 : path));
	return 0;
}

static int call(struct client *c, const struct options *o, const struct output *t,
		const struct disks_overlays *overlays, json_t **result, struct err *e)
{
	const uint32_t most = RPC_FDS_MAX - KEYS_FDS - 2; /* the file, and room for copies */
	int fds[RPC_FDS_MAX];
	uint32_t n = 0;
	json_t *disks = json_array();
	int scratch = -1, r = 0;

	if (overlays->n > most)
		r = err_set(e, ERR_LIMIT, "more than %u writable disks", most);
	if (!r && o->live)
		r = output_scratch(o->output, &scratch, e);
	if (r) {
		json_decref(disks);
		return r;
	}
	fds[n++] = t->fd;
	if (o->live)
		fds[n++] = scratch;
	for (uint32_t i = 0; i < overlays->n; i++) {
		fds[n++] = overlays->item[i].fd;
		json_array_append_new(disks, json_pack("{s:s, s:s}", "id", overlays->item[i].id,
						       "path", overlays->item[i].path));
	}
	json_t *params =
	    json_pack("{s:o, s:b, s:I, s:I, s:b, s:b, s:b, s:b, s:b}", "disks", disks, "save_disks",
		      !o->disks, "level", (json_int_t)o->level, "threads", (json_int_t)o->threads,
		      "pause", o->stop, "live", o->live, "track", o->track, "free_page_hints",
		      o->hints, "raw", encoding_is_raw(o->encoding));
	uint32_t keys = n;
	r = o->parent ? add_parent(params, o, e) : 0;
	if (!r)
		r = keys_send(&o->keys, params, fds, &n, e);
	if (!r)
		r = client_call(c, "snapshot", json_incref(params), fds, n, result, e);
	json_decref(params);
	while (n > keys)
		close(fds[--n]);
	if (scratch >= 0)
		close(scratch);
	return r;
}

static void remove_leftovers(const struct options *o, const json_t *status)
{
	struct leftovers left = {0};
	size_t i;
	json_t *disk;

	if (strcmp(o->output, "-"))
		leftovers_beside(o->output, &left);
	json_array_foreach(json_object_get(status, "disk"), i, disk)
	{
		const char *path = json_string_value(json_object_get(disk, "path"));
		if (path && !json_is_true(json_object_get(disk, "read_only")))
			leftovers_over(path, &left);
	}
	leftovers_tell(&left);
}

static int take(struct client *c, const struct options *o, struct output *t, json_t **result,
		struct err *e)
{
	struct disks_overlays *overlays = calloc(1, sizeof *overlays);
	struct progress bar;
	json_t *before = NULL, *after = NULL;
	int r = overlays ? client_call(c, "status", NULL, NULL, 0, &before, e)
			 : err_set(e, ERR_NOMEM, "out of memory");

	if (!r)
		remove_leftovers(o, before);
	if (!r && !o->disks)
		r = disks_new_overlays(before, overlays, e);
	if (!r) {
		progress_init(&bar, "saving");
		c->event = on_event;
		c->arg = &bar;
		r = call(c, o, t, overlays, result, e);
		progress_end(&bar);
		/* Disks go back if they can. */
		if (r && !client_call(c, "status", NULL, NULL, 0, &after, NULL))
			disks_drop_overlays(overlays, after);
		else if (r)
			disks_leave_overlays(overlays);
	}
	json_decref(before);
	json_decref(after);
	free(overlays);
	return r;
}

/* With --stop the guest has stood still since: it ends only when the file is safe. */
static void end_or_resume(struct client *c, bool safe)
{
	json_t *ignored = NULL;

	if (!client_call(c, safe ? "stop" : "resume", safe ? json_pack("{s:b}", "force", 1) : NULL,
			 NULL, 0, &ignored, NULL))
		json_decref(ignored);
}

static void print_result(const struct options *o, const json_t *result)
{
	double file = (double)json_integer_value(json_object_get(result, "file_bytes"));
	double ram = (double)json_integer_value(json_object_get(result, "ram_bytes"));
	double ns = (double)json_integer_value(json_object_get(result, "held_ns"));
	double hinted = (double)json_integer_value(json_object_get(result, "hinted_bytes"));
	const char *why = json_string_value(json_object_get(result, "not_protected"));

	if (why)
		fprintf(stderr,
			"vmm: %s: memory was copied before the moment, and not protected: %s\n",
			o->output, why);
	if (!strcmp(o->output, "-"))
		return;
	printf("%s: %.1f MiB for %.0f MiB of RAM, the guest stood still for %.0f ms", o->output,
	       file / (double)MIB, ram / (double)MIB, ns / 1e6);
	if (o->hints)
		printf(", %.0f MiB were left out", hinted / (double)MIB);
	printf("\n");
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const struct option_spec spec[] = {
	    {'o', "output", "FILE", OPT_TEXT, &o.output, "where to write; - is standard output"},
	    {0, "level", "N", OPT_COUNT, &o.level, "zstd level, 1 to 19 (1)"},
	    {0, "threads", "N", OPT_COUNT, &o.threads, "threads that compress, 1 to 16 (2)"},
	    {0, "disks", "none", OPT_TEXT, &o.disks, "leave the disks out of it"},
	    {0, "encoding", "ENCODING", OPT_TEXT, &o.encoding,
	     "zstd, or raw: RAM as it is, which restores map (zstd)"},
	    {0, "encrypt", "KEY", OPT_TEXT, &o.encrypt, "encrypt it: " SNAP_KEY_SYNTAX},
	    {0, "sign", "FILE", OPT_TEXT, &o.sign, "sign it with this private key (Ed25519, PEM)"},
	    {0, "live", NULL, OPT_FLAG, &o.live, "let the guest go on while its memory is written"},
	    {0, "track", NULL, OPT_FLAG, &o.track,
	     "know what is written from now on: the next one can be incremental"},
	    {'p', "parent", "FILE", OPT_TEXT, &o.parent,
	     "incremental: only what was written since that snapshot"},
	    {0, "free-page-hints", NULL, OPT_FLAG, &o.hints,
	     "have the guest's balloon say which pages need not be saved"},
	    {0, "stop", NULL, OPT_FLAG, &o.stop, "end the VM once the file is safe"},
	    {0, "json", NULL, OPT_FLAG, &o.json, "print JSON"},
	};
	struct output t = OUTPUT_INIT;
	struct client c;
	struct err e = ERR_INIT;
	json_t *result = NULL;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 1, &o.name);

	if (status >= 0)
		return status;
	if (!o.output || (o.disks && strcmp(o.disks, "none"))) {
		err_set(&e, ERR_USAGE,
			o.output ? "--disks: none is the only choice (vmm snapshot --help)"
				 : "snapshot: -o FILE is needed (vmm snapshot --help)");
		return fail(&e);
	}
	if (o.live && o.stop) {
		err_set(&e, ERR_USAGE, "snapshot: --live and --stop do not go together");
		return fail(&e);
	}
	if (encoding_check(o.encoding, o.encrypt, o.parent, &e))
		return fail(&e);
	int r = !strcmp(o.output, "-") && isatty(1)
		    ? err_set(&e, ERR_USAGE, "a snapshot is not written to a terminal")
		    : keys_out_load(o.encrypt, o.sign, &o.keys, &e);
	if (!r)
		r = client_open(&c, o.name, &e);
	if (!r) {
		r = output_open(o.output, &t, &e);
		if (!r && t.temporary[0])
			r = snap_mark(t.fd, &e);
		if (!r)
			r = take(&c, &o, &t, &result, &e);
		if (!r)
			r = output_publish(o.output, &t, &e);
		if (result && o.stop)
			end_or_resume(&c, !r);
		output_close(&t);
		client_close(&c);
	}
	keys_out_fini(&o.keys);
	if (r)
		status = fail(&e);
	else if (o.json && strcmp(o.output, "-"))
		status = print_json(json_incref(result));
	else
		print_result(&o, result), status = STATUS_DONE;
	json_decref(result);
	return status;
}

const struct command cmd_snapshot = {"snapshot", "NAME -o FILE [options]",
				     "save a running VM, which goes on", run};
