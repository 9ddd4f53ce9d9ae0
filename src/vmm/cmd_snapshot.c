/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/client.h"
#include "vmm/commands.h"
#include "vmm/disks.h"
#include "vmm/output.h"
#include "vmm/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	const char *name, *output, *disks;
	uint32_t level, threads;
	bool stop, json;
};

static void on_event(void *arg, const char *name, const json_t *params)
{
	if (!strcmp(name, "progress"))
		progress_show(arg, (uint64_t)json_integer_value(json_object_get(params, "done")),
			      (uint64_t)json_integer_value(json_object_get(params, "total")));
}

static int call(struct client *c, const struct options *o, const struct output *t,
		const struct disks_overlays *overlays, json_t **result, struct err *e)
{
	int fds[RPC_FDS_MAX];
	uint32_t n = 0;
	json_t *disks = json_array();

	if (overlays->n >= RPC_FDS_MAX) {
		json_decref(disks);
		return err_set(e, ERR_LIMIT, "more than %d writable disks", RPC_FDS_MAX - 1);
	}
	fds[n++] = t->fd;
	for (uint32_t i = 0; i < overlays->n; i++) {
		fds[n++] = overlays->item[i].fd;
		json_array_append_new(disks, json_pack("{s:s, s:s}", "id", overlays->item[i].id,
						       "path", overlays->item[i].path));
	}
	return client_call(c, "snapshot",
			   json_pack("{s:o, s:b, s:I, s:I, s:b}", "disks", disks, "save_disks",
				     !o->disks, "level", (json_int_t)o->level, "threads",
				     (json_int_t)o->threads, "pause", o->stop),
			   fds, n, result, e);
}

static int take(struct client *c, const struct options *o, struct output *t, json_t **result,
		struct err *e)
{
	struct disks_overlays *overlays = calloc(1, sizeof *overlays);
	struct progress bar;
	json_t *before = NULL, *after = NULL;
	int r = overlays ? client_call(c, "status", NULL, NULL, 0, &before, e)
			 : err_set(e, ERR_NOMEM, "out of memory");

	if (!r && !o->disks)
		r = disks_new_overlays(before, overlays, e);
	if (!r) {
		progress_init(&bar, "saving");
		c->event = on_event;
		c->arg = &bar;
		r = call(c, o, t, overlays, result, e);
		progress_end(&bar);
		/* Disks go back if they can. When the VM does not answer any more nobody knows:
		 * then the overlays stay. */
		if (r && !client_call(c, "status", NULL, NULL, 0, &after, NULL))
			disks_drop_overlays(overlays, after);
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

	if (strcmp(o->output, "-"))
		printf("%s: %.1f MiB for %.0f MiB of RAM, the guest stood still for %.0f ms\n",
		       o->output, file / (double)MIB, ram / (double)MIB, ns / 1e6);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const struct option_spec spec[] = {
	    {'o', "output", "FILE", OPT_TEXT, &o.output, "where to write; - is standard output"},
	    {0, "level", "N", OPT_COUNT, &o.level, "zstd level, 1 to 19 (1)"},
	    {0, "threads", "N", OPT_COUNT, &o.threads, "threads that compress, 1 to 16 (2)"},
	    {0, "disks", "none", OPT_TEXT, &o.disks, "leave the disks out of it"},
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
	int r = !strcmp(o.output, "-") && isatty(1)
		    ? err_set(&e, ERR_USAGE, "a snapshot is not written to a terminal")
		    : client_open(&c, o.name, &e);
	if (!r) {
		r = output_open(o.output, &t, &e);
		if (!r)
			r = take(&c, &o, &t, &result, &e);
		if (!r)
			r = output_publish(o.output, &t, &e);
		if (result && o.stop)
			end_or_resume(&c, !r);
		output_close(&t);
		client_close(&c);
	}
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
