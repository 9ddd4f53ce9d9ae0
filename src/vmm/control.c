/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/control.h"

#include "vmm/balloon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_NS 100000000 /* events no closer together than this */

struct control {
	struct vm *vm;
	struct server *server;
	struct save *save;	    /* NULL: none under way */
	struct save_setup *waiting; /* a save that begins once all of memory is there, and the guest
				     * has said what of it is free; owned */
	bool ask_guest;		    /* for that */
	struct server_call saver;
	uint64_t last_progress_ns;
};

static const char *state_name(const struct control *c)
{
	if (c->vm->end != VM_ENDS_NOT)
		return "ended";
	return c->save ? "saving" : c->vm->paused ? "paused" : "running";
}

static void tell_state(struct control *c)
{
	server_event(
	    c->server, NULL, "state",
	    json_pack("{s:s, s:b}", "state", state_name(c), "loading", c->vm->lazy != NULL));
}

static void end_waiting(struct control *c, const struct err *e)
{
	save_drop(c->waiting);
	free(c->waiting);
	c->waiting = NULL;
	if (e)
		server_fail(c->server, &c->saver, e);
}

static void begin_waiting(struct control *c)
{
	struct err e = ERR_INIT;
	int r = save_start(c->waiting, &c->save, &e);

	free(c->waiting);
	c->waiting = NULL;
	if (r)
		server_fail(c->server, &c->saver, &e);
}

static void on_hinted(void *arg)
{
	struct control *c = arg;

	if (c->vm->end != VM_ENDS_NOT)
		return;
	begin_waiting(c);
	tell_state(c);
}

/* All of memory is there. */
static void go_on_waiting(struct control *c)
{
	struct err e = ERR_INIT;

	if (c->ask_guest && hints_start(c->vm, on_hinted, c, &c->waiting->hints, &e))
		end_waiting(c, &e);
	else if (!c->waiting->hints)
		begin_waiting(c);
	c->ask_guest = false;
}

static void on_changed(void *arg)
{
	struct control *c = arg;

	if (c->waiting && !c->waiting->hints && !c->vm->lazy && c->vm->end == VM_ENDS_NOT)
		go_on_waiting(c);
	tell_state(c);
}

static json_t *disks_json(const struct vm *vm)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < vm->backend_n; i++) {
		const struct vm_backend *b = &vm->backend[i];
		if (b->disk)
			json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:I}", "id", b->id,
							      "path", disk_path(b->disk), "read_only",
							      disk_read_only(b->disk), "bytes",
							      (json_int_t)disk_bytes(b->disk)));
	}
	return list;
}

static int do_status(void *arg, const struct server_call *call, const json_t *params,
		     struct rpc *rpc, json_t **result, struct err *e)
{
	struct control *c = arg;
	struct vm *vm = c->vm;
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	layout_digest(&vm->layout, digest);
	json_t *balloon = balloon_json(vm);
	*result = json_pack("{s:s, s:s, s:b, s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "name",
			    vm->name, "state", state_name(c), "loading", vm->lazy != NULL, "pid",
			    (int)getpid(), "version", VMM_VERSION, "layout", vm->layout.id,
			    "layout_sha256", sha256_hex(digest, hex), "memory_bytes",
			    (json_int_t)vm->layout.params.ram_bytes, "page_bytes",
			    (json_int_t)vm->mem.page_bytes, "cpus",
			    (json_int_t)vm->layout.params.vcpus, "disk", disks_json(vm));
	if (balloon)
		json_object_set_new(*result, "balloon", balloon);
	return 0;
}

static int not_while_saving(const struct control *c, struct err *e)
{
	return c->save || c->waiting
		   ? err_set(e, ERR_BUSY, "a snapshot of %s is being taken", c->vm->name)
		   : 0;
}

static int do_balloon(void *arg, const struct server_call *call, const json_t *params,
		      struct rpc *rpc, json_t **result, struct err *e)
{
	struct control *c = arg;
	int r = not_while_saving(c, e);

	return r ? r : balloon_call(c->vm, params, result, e);
}

static int do_pause(void *arg, const struct server_call *call, const json_t *params,
		    struct rpc *rpc, json_t **result, struct err *e)
{
	struct control *c = arg;
	int r = not_while_saving(c, e);

	return r ? r : vm_pause(c->vm, e);
}

static int do_resume(void *arg, const struct server_call *call, const json_t *params,
		     struct rpc *rpc, json_t **result, struct err *e)
{
	struct control *c = arg;
	int r = not_while_saving(c, e);

	return r ? r : vm_resume(c->vm, e);
}

static int do_stop(void *arg, const struct server_call *call, const json_t *params,
		   struct rpc *rpc, json_t **result, struct err *e)
{
	struct control *c = arg;

	if (json_is_true(json_object_get(params, "force"))) {
		/* First: ending may take as long as a file that cannot be read. */
		server_answer(c->server, call, json_object());
		vm_end(c->vm, VM_ENDED_BY_USER);
		return SERVER_LATER;
	}
	if (c->vm->paused)
		return err_set(e, ERR_WRONG_STATE,
			       "%s is paused and cannot notice its power button (use --force)",
			       c->vm->name);
	return vm_power_button(c->vm, e);
}

/* --- snapshot ------------------------------------------------------------------------------- */

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct control *c = arg;
	uint64_t now = io_now_ns();

	if (now - c->last_progress_ns < PROGRESS_NS && done != total)
		return;
	c->last_progress_ns = now;
	server_event(c->server, &c->saver, "progress",
		     json_pack("{s:I, s:I, s:I}", "id", c->saver.id, "done", (json_int_t)done,
			       "total", (json_int_t)total));
}

static json_t *result_json(const struct save_result *r)
{
	const struct snap_stats *s = &r->stats;
	bool copied = r->not_protected.code;
	char why[256];
	json_t *result = json_pack(
	    "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "file_bytes",
	    (json_int_t)s->file_bytes, "ram_bytes", (json_int_t)s->ram_bytes, "stored_bytes",
	    (json_int_t)s->stored_bytes, "zero_chunks", (json_int_t)s->zero_chunks, "zstd_chunks",
	    (json_int_t)s->zstd_chunks, "raw_chunks", (json_int_t)s->raw_chunks, "held_ns",
	    (json_int_t)r->held_ns, "parent_chunks", (json_int_t)s->parent_chunks, "copied_chunks",
	    (json_int_t)r->live.copied_chunks, "hinted_bytes", (json_int_t)r->hinted_bytes, "memory",
	    copied	  ? "copied"
	    : r->was_live ? "protected"
			  : "stopped");

	if (copied)
		json_object_set_new(result, "not_protected",
				    json_string(err_text(&r->not_protected, why, sizeof why)));
	return result;
}

static void on_saved(void *arg, const struct save_result *r, const struct err *e)
{
	struct control *c = arg;

	c->save = NULL;
	if (e->code) {
		server_fail(c->server, &c->saver, e);
		tell_state(c);
		return;
	}
	server_answer(c->server, &c->saver, result_json(r));
	tell_state(c);
}

/* params.disks names the disks whose new overlays' descriptors follow that of the file. */
static int take_overlays(struct save_setup *setup, const json_t *disks, struct rpc *rpc,
			 struct err *e)
{
	size_t i;
	json_t *disk;

	json_array_foreach(disks, i, disk) {
		const char *id = json_string_value(json_object_get(disk, "id"));
		const char *path = json_string_value(json_object_get(disk, "path"));
		struct save_overlay *o = &setup->overlay[setup->overlay_n];
		int fd = rpc_take_fd(rpc);
		if (!id || !path || fd < 0 || setup->overlay_n == VM_BACKENDS_MAX ||
		    strlen(id) >= sizeof o->id || strlen(path) >= sizeof o->image.path) {
			if (fd >= 0)
				close(fd);
			return err_set(e, ERR_USAGE, "disks and descriptors do not match");
		}
		strcpy(o->id, id);
		strcpy(o->image.path, path);
		o->image.format = disk_name_format(path);
		o->image.fd = fd;
		setup->overlay_n++;
	}
	return 0;
}

static bool unhex(const json_t *text, uint8_t *out, size_t n)
{
	const char *s = json_string_value(text);

	return s && strlen(s) == 2 * n && num_unhex(s, out, n);
}

/* params.parent: {uuid, digest, file}. */
static int take_parent(struct save_setup *setup, const json_t *parent, struct err *e)
{
	struct snapshot_parent *p = &setup->parent;
	const char *file = json_string_value(json_object_get(parent, "file"));

	if (!parent)
		return 0;
	state_defaults(&snapshot_parent_desc, p);
	setup->has_parent = true;
	if (!file || !*file || strlen(file) >= sizeof p->file || strchr(file, '/') ||
	    !unhex(json_object_get(parent, "uuid"), p->uuid, sizeof p->uuid) ||
	    !unhex(json_object_get(parent, "digest"), p->digest, sizeof p->digest))
		return err_set(e, ERR_USAGE, "parent: uuid, digest and file do not name a snapshot");
	strcpy(p->file, file);
	return 0;
}

static int do_snapshot(void *arg, const struct server_call *call, const json_t *params,
		       struct rpc *rpc, json_t **result, struct err *e)
{
	struct control *c = arg;
	struct save_setup setup = {
	    .vm = c->vm,
	    .fd = rpc_take_fd(rpc),
	    .level = (uint32_t)json_integer_value(json_object_get(params, "level")),
	    .threads = (uint32_t)json_integer_value(json_object_get(params, "threads")),
	    .pause = json_is_true(json_object_get(params, "pause")),
	    .leave_disks = json_is_false(json_object_get(params, "save_disks")),
	    .raw = json_is_true(json_object_get(params, "raw")),
	    .live = json_is_true(json_object_get(params, "live")),
	    .track = json_is_true(json_object_get(params, "track")),
	    .spill_fd = -1,
	    .progress = on_progress,
	    .done = on_saved,
	    .arg = c,
	};
	int r = not_while_saving(c, e);

	if (!r)
		r = take_parent(&setup, json_object_get(params, "parent"), e);
	if (!r && setup.fd < 0)
		r = err_set(e, ERR_USAGE, "no descriptor to write to");
	if (!r && setup.live)
		setup.spill_fd = rpc_take_fd(rpc);
	if (!r && setup.live && setup.spill_fd < 0)
		r = err_set(e, ERR_USAGE, "no descriptor for early copies");
	if (!r && setup.live && setup.pause)
		r = err_set(e, ERR_USAGE, "a live snapshot does not pause the guest");
	if (!r)
		r = take_overlays(&setup, json_object_get(params, "disks"), rpc, e);
	if (!r)
		r = keys_receive(params, rpc, &setup.keys, e);
	if (!r && setup.raw && (setup.has_parent || setup.keys.master.key.data))
		r = err_set(e, ERR_USAGE, "a raw snapshot is neither incremental nor encrypted");
	bool ask = json_is_true(json_object_get(params, "free_page_hints"));
	if (!r && ask && !vm_device(c->vm, "virtio-balloon"))
		r = err_set(e, ERR_WRONG_STATE,
			    "%s has no balloon to tell of free pages (vmm run --balloon)",
			    c->vm->name);
	if (!r) {
		c->waiting = malloc(sizeof *c->waiting);
		r = c->waiting ? 0 : err_set(e, ERR_NOMEM, "out of memory");
	}
	if (r) {
		save_drop(&setup);
		return r;
	}
	c->saver = *call;
	*c->waiting = setup;
	c->ask_guest = ask;
	if (!c->vm->lazy)
		go_on_waiting(c);
	if (c->save)
		tell_state(c);
	return SERVER_LATER;
}

static void on_cancelled(void *arg, const struct server_call *call)
{
	struct control *c = arg;
	struct err e = ERR_INIT;

	if (call->client != c->saver.client || (call->id != c->saver.id && call->id != -1))
		return;
	if (c->save)
		save_cancel(c->save);
	if (c->waiting) {
		err_set(&e, ERR_CANCELLED, "cancelled");
		end_waiting(c, &e);
	}
}

static const struct server_method methods[] = {
	{"status", do_status}, {"pause", do_pause},	  {"resume", do_resume},
	{"stop", do_stop},     {"snapshot", do_snapshot}, {"balloon", do_balloon},
};

int control_new(struct vm *vm, int listen_fd, struct control **out, struct err *e)
{
	struct control *c = calloc(1, sizeof *c);

	if (!c) {
		close(listen_fd);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	c->vm = vm;
	json_t *hello = json_pack("{s:s, s:s, s:i}", "name", vm->name, "version", VMM_VERSION,
				  "protocol", RPC_PROTOCOL);
	int r = server_new(vm->loop, listen_fd, hello, methods, ARRAY_LEN(methods), on_cancelled, c,
			   &c->server, e);
	if (r) {
		free(c);
		return r;
	}
	vm->changed = on_changed;
	vm->changed_arg = c;
	*out = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	if (c->waiting)
		end_waiting(c, NULL);
	if (c->save) {
		save_cancel(c->save);
		save_wait(c->save);
	}
	server_free(c->server);
	free(c);
}
