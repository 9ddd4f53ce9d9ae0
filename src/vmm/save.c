/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/save.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

struct save {
	struct save_setup setup;
	struct vm_state *state;
	struct snapshot_identity identity;
	struct snap_manifest manifest;
	uint64_t held_since;

	pthread_t thread;
	int wake_fd; /* tells the loop that done, progressed or finished changed */
	atomic_bool cancel, finished;
	_Atomic uint64_t bytes_done, bytes_total;
	struct save_result result;
	struct err error;
	bool written; /* the thread has ended, the guest goes on */
	uint32_t disk_n, flushing;
	struct disk_state disk[VM_BACKENDS_MAX];
	struct disk_req flush[VM_BACKENDS_MAX];
};

static void wake(struct save *s)
{
	uint64_t one = 1;

	if (write(s->wake_fd, &one, sizeof one) < 0)
		return; /* awake already */
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct save *s = arg;

	s->bytes_done = done;
	s->bytes_total = total;
	wake(s);
}

static void *write_main(void *arg)
{
	struct save *s = arg;
	const struct snap_write_opts opts = {
		.threads = s->setup.threads,
		.level = s->setup.level,
		.progress = {on_progress, s, &s->cancel},
	};
	struct err e = ERR_INIT;

	if (snap_write(s->setup.fd, &s->manifest, &s->setup.vm->mem, &opts, &s->result.stats, &e))
		s->error = e;
	s->finished = true;
	wake(s);
	return NULL;
}

static void save_free(struct save *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->setup.overlay_n; i++)
		if (s->setup.overlay[i].image.fd >= 0)
			close(s->setup.overlay[i].image.fd);
	snap_manifest_fini(&s->manifest);
	vm_state_free(s->state);
	if (s->setup.fd >= 0)
		close(s->setup.fd);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s);
}

/* Those that were switched go back, while the guest has written nothing yet. One that cannot go back
 * goes on in its overlay, and nothing is lost. */
static void give_back_disks(struct save *s)
{
	struct vm *vm = s->setup.vm;

	for (uint32_t i = 0; i < vm->backend_n; i++)
		for (uint32_t d = 0; d < s->disk_n; d++) {
			if (strcmp(s->disk[d].id, vm->backend[i].id) || s->disk[d].read_only)
				continue;
			int stays = disk_switch_back(vm->backend[i].disk, NULL);
			(void)stays;
		}
	s->disk_n = 0;
}

static void report_end(struct save *s)
{
	s->setup.done(s->setup.arg, &s->result, &s->error);
	save_free(s);
}

static void on_flushed(struct disk_req *req, int result)
{
	struct save *s = req->owner;

	if (result && !s->error.code)
		err_set(&s->error, (enum err_code)-result, "a disk could not be synced");
	if (--s->flushing == 0)
		report_end(s);
}

/* A snapshot is not taken before what its images hold is on the medium, the bitmaps of overlays
 * included, which this process has. */
static void flush_disks(struct save *s)
{
	struct vm *vm = s->setup.vm;

	/* One for this function: none may end it all while there are more to submit. */
	s->flushing = 1;
	for (uint32_t i = 0; !s->error.code && !s->setup.leave_disks && i < vm->backend_n; i++) {
		struct disk *disk = vm->backend[i].disk;
		if (!disk || disk_read_only(disk))
			continue;
		s->flush[i] = (struct disk_req){.op = DISK_FLUSH, .done = on_flushed, .owner = s};
		s->flushing++;
		disk_submit(disk, &s->flush[i]);
	}
	if (--s->flushing == 0)
		report_end(s);
}

/* The guest goes on first: nothing that comes afterwards needs it to stand still. */
static void finish(struct save *s)
{
	pthread_join(s->thread, NULL);
	loop_del(s->setup.vm->loop, s->wake_fd);
	s->written = true;
	if (s->error.code)
		give_back_disks(s);
	if (s->setup.pause && !s->error.code)
		s->setup.vm->paused = true;
	if (!s->setup.vm->paused)
		vm_go(s->setup.vm);
	s->result.held_ns = io_now_ns() - s->held_since;
	flush_disks(s);
}

static void on_wake(void *arg, uint32_t events)
{
	struct save *s = arg;
	uint64_t n;

	if (read(s->wake_fd, &n, sizeof n) != sizeof n)
		return;
	if (s->finished)
		finish(s);
	else
		s->setup.progress(s->setup.arg, s->bytes_done, s->bytes_total);
}

static int identify(struct save *s, struct err *e)
{
	struct snapshot_identity *id = &s->identity;

	state_defaults(&snapshot_identity_desc, id);
	if (getrandom(id->uuid, sizeof id->uuid, 0) != sizeof id->uuid)
		return err_sys(e, ERR_IO, errno, "getrandom");
	id->uuid[6] = (id->uuid[6] & 0x0f) | 0x40; /* version 4, RFC 9562 5.4 */
	id->uuid[8] = (id->uuid[8] & 0x3f) | 0x80;
	snprintf(id->name, sizeof id->name, "%s", s->setup.vm->name);
	id->created_ns = io_realtime_ns();
	strcpy(id->program, "vmm");
	snprintf(id->version, sizeof id->version, "%s", VMM_VERSION);
	snprintf(id->host, sizeof id->host, "%s", s->setup.vm->host_name);
	return 0;
}

static struct save_overlay *overlay_of(struct save *s, const char *id)
{
	for (uint32_t i = 0; i < s->setup.overlay_n; i++)
		if (!strcmp(s->setup.overlay[i].id, id))
			return &s->setup.overlay[i];
	return NULL;
}

static int take_disk(struct save *s, const struct vm_backend *b, struct err *e)
{
	struct disk_state *rec = &s->disk[s->disk_n];
	struct save_overlay *o = overlay_of(s, b->id);
	int r;

	if (disk_read_only(b->disk)) {
		r = disk_record(b->disk, rec, e);
	} else if (!o || o->image.fd < 0) {
		r = err_set(e, ERR_USAGE, "no overlay given for it to go on in");
	} else {
		r = disk_switch(b->disk, &o->image, rec, e);
		if (!r)
			o->image.fd = -1;
	}
	if (r) {
		err_where(e, "%s", b->id);
		return r;
	}
	strcpy(rec->id, b->id);
	s->disk_n++;
	return 0;
}

static int take_disks(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;
	int r = 0;

	for (uint32_t i = 0; !r && !s->setup.leave_disks && i < vm->backend_n; i++)
		if (vm->backend[i].disk)
			r = take_disk(s, &vm->backend[i], e);
	return r;
}

/* In the order of formats/snapshot.md: what it is, where it ran, time, disks, CPUs, devices. */
static int collect(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;
	struct snap_manifest *m = &s->manifest;
	int r = snap_manifest_add(m, &snapshot_identity_desc, "", &s->identity, e);

	if (!r)
		r = snap_manifest_add(m, &layout_desc, "", &vm->layout, e);
	if (!r)
		r = snap_manifest_add(m, &machine_desc, "", &vm->machine, e);
	if (!r)
		r = snap_manifest_add(m, &host_desc, "", vm->host, e);
	if (!r)
		r = snap_manifest_add(m, &clock_desc, "", &s->state->clock, e);
	for (uint32_t i = 0; !r && i < s->disk_n; i++)
		r = snap_manifest_add(m, &disk_state_desc, s->disk[i].id, &s->disk[i], e);
	for (uint32_t i = 0; !r && i < s->state->vcpu_n; i++) {
		char id[16];
		snprintf(id, sizeof id, "%u", i);
		r = snap_manifest_add(m, arch_vcpu_state, id, s->state->vcpu[i], e);
	}
	if (!r)
		r = snap_manifest_add(m, arch_irqchip_state, "", s->state->irqchip, e);
	for (uint32_t i = 0; !r && i < vm->device_n; i++)
		r = snap_manifest_add(m, vm->device[i]->cls->state, vm->device[i]->id,
				      vm->device[i]->st, e);
	return r;
}

static int begin(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;
	int r = identify(s, e);

	if (!r)
		r = vm_state_new(vm->layout.params.vcpus, &s->state, e);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!r && s->wake_fd < 0)
		r = err_sys(e, ERR_IO, errno, "eventfd");
	if (!r)
		r = loop_add(vm->loop, s->wake_fd, EPOLLIN, on_wake, s, e);
	if (r)
		return r;

	s->held_since = io_now_ns();
	vm_hold(vm);
	r = vm_capture(vm, s->state, e);
	if (!r)
		r = take_disks(s, e);
	if (!r)
		r = collect(s, e);
	if (!r) {
		int sys = pthread_create(&s->thread, NULL, write_main, s);
		if (sys)
			r = err_sys(e, ERR_NOMEM, sys, "cannot start a thread");
	}
	if (r) {
		give_back_disks(s);
		if (!vm->paused)
			vm_go(vm);
		loop_del(vm->loop, s->wake_fd);
	}
	return r;
}

int save_start(const struct save_setup *setup, struct save **out, struct err *e)
{
	struct save *s = calloc(1, sizeof *s);

	if (!s) {
		close(setup->fd);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	s->setup = *setup;
	s->wake_fd = -1;
	s->error = (struct err)ERR_INIT;
	int r = begin(s, e);
	if (r) {
		save_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void save_cancel(struct save *s)
{
	s->cancel = true;
}

void save_wait(struct save *s)
{
	struct vm *vm = s->setup.vm;

	if (!s->written)
		finish(s);
	/* Completions call on_flushed(), and the last one of those frees @s. */
	for (uint32_t i = 0; i < vm->backend_n; i++)
		if (vm->backend[i].disk)
			disk_drain(vm->backend[i].disk);
}
