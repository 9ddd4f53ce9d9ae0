/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cmd_restore.h"
#include "vmm/commands.h"
#include "vmm/disks.h"
#include "vmm/progress.h"
#include "vmm/restore.h"
#include "vmm/runtime.h"

#include "snapshot/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Value of "ID=VALUE" among @list for @id, or NULL. */
static const char *given(const struct option_list *list, const char *id)
{
	size_t n = strlen(id);

	for (uint32_t i = 0; i < list->n; i++)
		if (!strncmp(list->text[i], id, n) && list->text[i][n] == '=')
			return list->text[i] + n + 1;
	return NULL;
}

/* Each "ID=…" must name a device of this type, or somebody mistyped. */
static int check_given(const struct option_list *list, const char *type, const struct machine *m,
		       struct err *e)
{
	for (uint32_t i = 0; i < list->n; i++) {
		bool found = false;
		for (uint32_t d = 0; d < m->device_n; d++) {
			size_t n = strlen(m->device[d].id);
			found |= !strcmp(m->device[d].type, type) &&
				 !strncmp(list->text[i], m->device[d].id, n) &&
				 list->text[i][n] == '=';
		}
		if (!found)
			return err_set(e, ERR_USAGE, "%s: the snapshot has no %s of that id",
				       list->text[i], type);
	}
	return 0;
}

static int open_tap(struct restore_parts *s, const struct machine_device *md, const char *tap,
		    struct err *e)
{
	struct err why = ERR_INIT;
	char saved[48];
	int r = backends_tap(&s->backends, md->id, tap, &why);

	if (r == -ERR_INCOMPATIBLE) {
		snprintf(saved, sizeof saved, "%u queues of %u", md->queues, md->queue_size);
		findings_add(s->findings, RULE_D020, md->id, saved, why.msg);
		return findings_error(s->findings, e);
	}
	*e = why;
	return r;
}

static int open_net(const struct restore_options *o, struct restore_parts *s, struct err *e)
{
	const struct machine *m = snap_machine(s->snap);
	int r = check_given(&o->net, "virtio-net", m, e);

	for (uint32_t i = 0; !r && i < m->device_n; i++) {
		const struct machine_device *md = &m->device[i];
		if (strcmp(md->type, "virtio-net"))
			continue;
		const char *tap = given(&o->net, md->id);
		r = tap ? open_tap(s, md, tap, e)
			: err_set(e, ERR_USAGE, "network %s needs a TAP device (--net %s=NAME)",
				  md->id, md->id);
	}
	return r;
}

/* Overlays are made last: nothing is left behind by a restore that could not be. */
static int open_disks(const struct restore_options *o, struct restore_parts *s, struct err *e)
{
	const struct machine *m = snap_machine(s->snap);
	int r = check_given(&o->disk, "virtio-blk", m, e);

	for (uint32_t i = 0; !r && i < m->device_n; i++) {
		const struct machine_device *md = &m->device[i];
		if (!strcmp(md->type, "virtio-blk"))
			r = disks_reopen(&s->backends, snap_manifest(s->snap), md,
					 given(&o->disk, md->id), o->overlays, s->findings, e);
	}
	return r;
}

static int open_consoles(const struct restore_options *o, struct restore_parts *s, struct err *e)
{
	const struct machine *m = snap_machine(s->snap);
	bool has_hvc = false;

	for (uint32_t i = 0; i < m->device_n; i++)
		has_hvc |= !strcmp(m->device[i].id, "hvc");
	if (o->virtio_console && !has_hvc)
		return err_set(e, ERR_USAGE, "the snapshot has no virtio console");
	return backends_consoles(&s->backends, o->console, &o->serial, o->virtio_console, e);
}

int restore_open_(struct restore_options *o, struct restore_parts *s, struct err *e)
{
	int r = snap_open_file(o->file, &o->keys.opts, &s->snap, e);

	keys_in_fini(&o->keys);
	if (!r && !o->name)
		o->name = snap_identity(s->snap)->name;

	s->host = calloc(1, sizeof *s->host);
	s->findings = calloc(1, sizeof *s->findings);
	if (!r && (!s->host || !s->findings))
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (!r)
		r = arch_kvm_open(&s->kvm_fd, e);
	if (!r)
		r = arch_host(s->kvm_fd, s->host, e);
	if (!r)
		r = verdict_snapshot(snap_manifest(s->snap), s->host, s->findings, e);
	if (!r)
		r = findings_error(s->findings, e);
	if (!r && snap_ram_readable(s->snap, e)) {
		r = -e->code;
		err_file(e, o->file);
	}
	return r;
}

/* What it has of its own. */
static int open_own(const struct restore_options *o, struct restore_parts *s, struct err *e)
{
	int r = runtime_listen(o->name, &s->listen_fd, e);

	if (!r)
		r = loop_new(&s->loop, e);
	s->backends.loop = s->loop;
	if (!r)
		r = open_net(o, s, e);
	if (!r)
		r = open_consoles(o, s, e);
	return r ? r : open_disks(o, s, e);
}

/* Beside the snapshot, where that may be. Only one VM records at a time; none waits for it. */
static int open_workset(const struct restore_options *o)
{
	char path[PATH_MAX];

	if (o->no_workset || snprintf(path, sizeof path, "%s.ws", o->file) >= (int)sizeof path)
		return -1;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	if (fd >= 0)
		close(fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

void restore_say_unchecked_(const struct restore_options *o)
{
	fprintf(
	    stderr,
	    "vmm: %s: its memory is mapped, and the digests of that were not checked (--verify)\n",
	    o->file);
}

static int build_vm(const struct restore_options *o, struct restore_parts *s, struct vm **out,
		    struct err *e)
{
	struct progress bar;
	struct restore_setup setup = {
	    .name = o->name,
	    .loop = s->loop,
	    .kvm_fd = s->kvm_fd,
	    .host = s->host,
	    .backend = s->backends.item,
	    .backend_n = s->backends.n,
	    .clock = strcmp(o->clock, "keep") ? RESTORE_ADVANCE : RESTORE_KEEP,
	    .hugepages = o->hugepages,
	    .shared = s->ram.fd >= 0 ? &s->ram : NULL,
	    .machine = s->machine,
	    .image = &s->image,
	    .verify = o->verify,
	    .threads = o->threads,
	    .progress = {progress_show, &bar, NULL},
	    .track = o->track,
	    .lazy = o->lazy,
	    .file = o->file,
	    .workset_fd = -1,
	};

	bool maps = restore_maps(s->snap, &setup);
	setup.lazy = o->lazy && !maps; /* a mapping is that by itself */
	if (setup.lazy)
		setup.workset_fd = open_workset(o);
	progress_init(&bar, "restoring");
	int r = restore_vm(&s->snap, &setup, out, e);
	progress_end(&bar);
	if (r)
		err_file(e, o->file);
	else if (maps && !o->verify && !o->clones)
		restore_say_unchecked_(o);
	return r;
}

static void close_all(struct restore_parts *s)
{
	loop_free(s->loop);
	snap_close(s->snap);
	mem_fini(&s->ram);
	free(s->machine);
	free(s->host);
	free(s->findings);
	/* The rest ends with the process. */
}

static void forget_keys(void *arg)
{
	keys_in_fini(arg);
}

int restore_go_on_(const struct restore_options *o, struct restore_parts *s, struct process *p)
{
	struct vm *vm = NULL;
	struct err e = ERR_INIT;
	int r = open_own(o, s, &e);

	if (!r)
		r = image_find(snap_manifest_find(snap_manifest(s->snap), &boot_desc, ""),
			       &o->image, &s->image, &e);
	if (!r)
		r = build_vm(o, s, &vm, &e);
	if (r)
		disks_undo(&s->backends);
	/* Tens of MiB of manifest and index at most, and the guest does not need them. */
	snap_close(s->snap);
	s->snap = NULL;
	int status = r ? fail(&e) : process_run(p, vm, s->listen_fd);
	vm_free(vm);
	/* Here and not by the process' end: what an overlay has is known to its file only now. */
	backends_close(&s->backends);
	image_close(&s->image);
	return status;
}

static int restore(struct restore_options *o, struct restore_parts *s)
{
	struct process p = {
	    .detach = o->detach, .paused = o->paused, .forget = forget_keys, .arg = &o->keys};
	struct err e = ERR_INIT;
	int r = process_detach(&p, &e);

	if (!r)
		r = restore_open_(o, s, &e);
	return r ? fail(&e) : restore_go_on_(o, s, &p);
}

static int restore_all(struct restore_options *o)
{
	struct restore_parts s = {.kvm_fd = -1, .listen_fd = -1, .ram = {.fd = -1}};

	close_range(3, ~0u, 0);
	int status = o->clones ? restore_clones_(o, &s) : restore(o, &s);
	close_all(&s);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct restore_options o = {.clock = "advance"};
	const struct option_spec spec[] = {
	    {'n', "name", "NAME", OPT_TEXT, &o.name, "another name than the saved one"},
	    {'d', "disk", "ID=FILE", OPT_LIST, &o.disk, "where a saved disk is now"},
	    {0, "overlays", "DIR", OPT_TEXT, &o.overlays,
	     "where to put new overlays (beside the images)"},
	    {0, "kernel", "FILE", OPT_TEXT, &o.image.kernel,
	     "where the saved kernel is now, for a guest that starts again"},
	    {0, "initrd", "FILE", OPT_TEXT, &o.image.initrd, "the initial RAM disk likewise"},
	    {0, "bios", "FILE", OPT_TEXT, &o.image.bios, "the firmware likewise"},
	    {0, "pvm-firmware", "FILE", OPT_TEXT, &o.image.pvm_firmware,
	     "that of a protected VM likewise"},
	    {0, "net", "ID=TAP", OPT_LIST, &o.net, "TAP device of a network"},
	    {0, "console", "TARGET", OPT_TEXT, &o.console,
	     "COM1: stdio, file:F, unix:F or none (stdio)"},
	    {0, "serial", "N=TARGET", OPT_LIST, &o.serial, "COM2 to COM4 likewise"},
	    {0, "virtio-console", "TARGET", OPT_TEXT, &o.virtio_console, "hvc0 likewise"},
	    {0, "clock", "HOW", OPT_TEXT, &o.clock,
	     "advance: guest time has passed; keep: it stood still (advance)"},
	    {0, "hugepages", NULL, OPT_FLAG, &o.hugepages, "memory in huge pages of the host"},
	    KEYS_IN_OPTIONS(o.keys),
	    {0, "threads", "N", OPT_COUNT, &o.threads, "threads that decompress, 1 to 16 (2)"},
	    {0, "lazy", NULL, OPT_FLAG, &o.lazy, "run at once; memory comes while the guest runs"},
	    {0, "no-working-set", NULL, OPT_FLAG, &o.no_workset,
	     "with --lazy: neither use nor record FILE.ws"},
	    {0, "track", NULL, OPT_FLAG, &o.track,
	     "know what is written: FILE can be the parent of the next snapshot"},
	    {0, "verify", NULL, OPT_FLAG, &o.verify,
	     "check all of FILE before the guest runs, also what is mapped or lazy"},
	    {0, "clones", "N", OPT_COUNT, &o.clones,
	     "N machines at once, NAME-1 and so on; %d in other options is the number"},
	    {0, "json", NULL, OPT_FLAG, &o.json, "with --clones: print JSON"},
	    {0, "detach", NULL, OPT_FLAG, &o.detach, "return once the guest runs"},
	    {0, "paused", NULL, OPT_FLAG, &o.paused, "wait for 'vmm resume'"},
	};
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 1, &o.file);

	if (status >= 0)
		return status;
	o.detach |= o.clones > 0;
	if (!o.console)
		o.console = o.detach ? "none" : "stdio";
	if (strcmp(o.clock, "advance") && strcmp(o.clock, "keep"))
		err_set(&e, ERR_USAGE, "--clock %s: advance or keep", o.clock);
	else if (o.detach && !strcmp(o.console, "stdio"))
		err_set(&e, ERR_USAGE, "restore: --detach and --console stdio do not go together");
	int r = e.code ? -e.code : restore_check_clones_(&o, &e);
	/* While the descriptors that somebody gave us are open, and the terminal is ours. */
	if (!r)
		r = keys_in_load(&o.keys, &e);
	status = r ? fail(&e) : restore_all(&o);
	keys_in_fini(&o.keys);
	return status;
}

const struct command cmd_restore = {"restore", "FILE [options]", "go on from a snapshot", run};
