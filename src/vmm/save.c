/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/moment.h"
#include "vmm/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TELL_NS 50000000

enum phase { PHASE_ARMING, PHASE_COPYING, PHASE_WRITING, PHASE_WRITTEN };

struct save {
	struct save_setup setup;
	struct moment moment;
	uint64_t held_since;

	enum phase phase;
	struct snap_live *live; /* NULL: the guest stands still */
	bool all_copied;	/* once; now and then again what was written to */
	uint64_t *unused;	/* pages that the guest has no use for; owned; NULL: none known */
	pthread_t thread;	/* that arms or copies, then the one that writes */
	int wake_fd;		/* tells the loop that progress or finished changed */
	atomic_bool cancel, finished;
	_Atomic uint64_t bytes_done, bytes_total;
	uint64_t told_ns; /* when the thread last told of progress */
	struct save_result result;
	struct err error;
	uint32_t flushing;
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
	uint64_t now = io_now_ns();

	/* First memory is copied, then written. */
	if (s->result.not_protected.code) {
		done += s->phase == PHASE_WRITING ? total : 0;
		total *= 2;
	}
	s->bytes_done = done;
	s->bytes_total = total;
	/* The loop has better things to do than to be told of every piece. */
	if (now - s->told_ns < TELL_NS && done != total)
		return;
	s->told_ns = now;
	wake(s);
}

/* Memory is cut as the parent has it. */
static uint32_t chunk_bytes(const struct save *s)
{
	return s->setup.has_parent ? s->setup.vm->track.chunk_bytes : SNAP_CHUNK_DEFAULT;
}

static void *write_main(void *arg)
{
	struct save *s = arg;
	const struct snap_write_opts opts = {
	    .threads = s->setup.threads,
	    .level = s->setup.level,
	    .chunk_bytes = chunk_bytes(s),
	    .parent = s->setup.has_parent ? &s->setup.parent : NULL,
	    .changed = s->setup.has_parent ? s->setup.vm->track.taken : NULL,
	    .raw = s->setup.raw,
	    .unused = s->unused,
	    .live = s->live,
	    .progress = {on_progress, s, &s->cancel},
	    .master = s->setup.keys.master.key.data ? &s->setup.keys.master : NULL,
	    .sign = s->setup.keys.sign.data ? &s->setup.keys.sign : NULL,
	};
	struct err e = ERR_INIT;

	if (snap_write(s->setup.fd, &s->moment.manifest, &s->setup.vm->mem, &opts, &s->result.stats,
		       &e))
		s->error = e;
	keys_out_fini(&s->setup.keys);
	s->finished = true;
	wake(s);
	return NULL;
}

void save_drop(struct save_setup *setup)
{
	for (uint32_t i = 0; i < setup->overlay_n; i++)
		if (setup->overlay[i].image.fd >= 0)
			close(setup->overlay[i].image.fd);
	if (setup->fd >= 0)
		close(setup->fd);
	if (setup->spill_fd >= 0)
		close(setup->spill_fd);
	hints_free(setup->hints);
	keys_out_fini(&setup->keys);
}

static void save_free(struct save *s)
{
	if (!s)
		return;
	save_drop(&s->setup);
	moment_fini(&s->moment);
	free(s->unused);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s);
}

/* What was written to before this moment is wanted again by the next snapshot if this one failed,
 * or was not to be a parent. */
static void end_tracking(struct save *s)
{
	struct vm *vm = s->setup.vm;

	if (s->error.code || !s->setup.track)
		track_undo(&vm->track, &vm->mem);
	else
		track_done(&vm->track, s->result.stats.digest, chunk_bytes(s));
	hints_free(s->setup.hints);
	s->setup.hints = NULL;
	track_rest(&vm->track, vm->arch, &vm->mem);
}

static void report_end(struct save *s)
{
	end_tracking(s);
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

static void end_live(struct save *s)
{
	snap_live_end(s->live, &s->result.live);
	s->setup.vm->mem.keep = false;
}

/* The guest goes on first: nothing that comes afterwards needs it to stand still. */
static void finish(struct save *s)
{
	struct vm *vm = s->setup.vm;

	pthread_join(s->thread, NULL);
	loop_del(vm->loop, s->wake_fd);
	end_live(s);
	s->phase = PHASE_WRITTEN;
	if (s->error.code)
		moment_undo(&s->moment);
	if (s->setup.pause && !s->error.code)
		vm->paused = true;
	if (!s->live) {
		if (!vm->paused)
			vm_go(vm);
		s->result.held_ns = io_now_ns() - s->held_since;
	}
	flush_disks(s);
}

static bool wants_log(const struct save *s)
{
	return s->setup.track || s->result.not_protected.code;
}

/* The moment that the snapshot is of. On failure everything is as before. */
static int capture(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;

	s->held_since = io_now_ns();
	int r = vm_hold_settled(vm, e);
	if (!r)
		r = hints_take(s->setup.hints, &s->unused, &s->result.hinted_bytes, e);
	if (!r)
		r = vm_capture(vm, s->moment.state, e);
	if (!r && wants_log(s))
		r = track_look(&vm->track, vm->arch, &vm->mem, e);
	/* What is left out of this snapshot belongs to the next. */
	if (!r && s->unused)
		mem_mark_pages(&vm->mem, s->unused);
	if (!r && s->live)
		r = snap_live_begin(s->live, vm->track.fresh, e);
	if (!r)
		r = moment_take(&s->moment, &s->setup, e);
	if (!r) {
		s->phase = PHASE_WRITING;
		r = thread_new(&s->thread, write_main, s, e);
	}
	if (r)
		moment_undo(&s->moment);
	if ((r || s->live) && !vm->paused)
		vm_go(vm);
	s->result.held_ns = io_now_ns() - s->held_since;
	return r;
}

static struct snap_live_opts live_opts(const struct save *s)
{
	return (struct snap_live_opts){.chunk_bytes = chunk_bytes(s),
				       .level = s->setup.level,
				       .spill_fd = s->setup.spill_fd,
				       .encrypt_spill = s->setup.keys.master.key.data != NULL};
}

static void *arm_main(void *arg)
{
	struct save *s = arg;
	const struct snap_live_opts opts = live_opts(s);
	struct err e = ERR_INIT;

	if (snap_live_arm(&s->setup.vm->uffd, &s->setup.vm->layout, &opts, &s->live, &e))
		s->error = e;
	s->finished = true;
	wake(s);
	return NULL;
}

/* Without a moment there is nothing to undo. */
static void give_up(struct save *s)
{
	loop_del(s->setup.vm->loop, s->wake_fd);
	end_live(s);
	s->phase = PHASE_WRITTEN;
	report_end(s);
}

/* --- memory that cannot be protected -------------------------------------------------------- */

static void *copy_main(void *arg)
{
	struct save *s = arg;
	const struct snap_progress progress = {s->all_copied ? NULL : on_progress, s, &s->cancel};
	bool all = !s->all_copied && !s->setup.has_parent;
	struct err e = ERR_INIT;

	if (snap_live_again(s->live, all ? NULL : s->setup.vm->track.fresh, &progress, &e))
		s->error = e;
	s->finished = true;
	wake(s);
	return NULL;
}

/* Who waits for the same logs is told. */
static int look_early(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;
	int r = track_look(&vm->track, vm->arch, &vm->mem, e);

	if (!r && s->setup.hints)
		hints_saw(s->setup.hints, &vm->track);
	return r;
}

/* @why: it is not protected. */
static int begin_copying(struct save *s, const struct err *why, struct err *e)
{
	struct vm *vm = s->setup.vm;
	const struct snap_live_opts opts = live_opts(s);

	s->result.not_protected = *why;
	s->phase = PHASE_COPYING;
	int r = track_start(&vm->track, vm->arch, &vm->mem, e);
	if (!r)
		r = look_early(s, e);
	if (!r)
		r = snap_live_new(&vm->mem, &vm->layout, &opts, &s->live, e);
	return r ? r : thread_new(&s->thread, copy_main, s, e);
}

/* After a round: another one, or the moment. */
static int go_on_copying(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;

	s->all_copied = true;
	track_copied(&vm->track, &vm->mem);
	int r = look_early(s, e);
	if (r)
		return r;
	return snap_live_settled(s->live, vm->track.fresh)
		   ? capture(s, e)
		   : thread_new(&s->thread, copy_main, s, e);
}

/* --- one after the other -------------------------------------------------------------------- */

static void on_prepared(struct save *s)
{
	pthread_join(s->thread, NULL);
	s->finished = false;
	struct err why = s->error;
	if (s->phase == PHASE_ARMING && why.code == ERR_FEATURE) {
		s->error = (struct err)ERR_INIT;
		if (begin_copying(s, &why, &s->error))
			give_up(s);
		return;
	}
	if (s->cancel && !s->error.code)
		err_set(&s->error, ERR_CANCELLED, "cancelled");
	if (s->error.code ||
	    (s->phase == PHASE_ARMING ? capture(s, &s->error) : go_on_copying(s, &s->error)))
		give_up(s);
}

static void on_wake(void *arg, uint32_t events)
{
	struct save *s = arg;
	uint64_t n;

	if (read(s->wake_fd, &n, sizeof n) != sizeof n)
		return;
	if (s->finished && s->phase < PHASE_WRITING)
		on_prepared(s);
	else if (s->finished)
		finish(s);
	else
		s->setup.progress(s->setup.arg, s->bytes_done, s->bytes_total);
}

static int begin_live(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;

	/* What the guest gives back must stay until it has been copied. */
	vm->mem.keep = true;
	return vm->uffd.fd < 0 ? begin_copying(s, &vm->no_uffd, e)
			       : thread_new(&s->thread, arm_main, s, e);
}

static int begin(struct save *s, struct err *e)
{
	struct vm *vm = s->setup.vm;
	int r = moment_init(&s->moment, vm, e);

	if (!r && s->setup.has_parent)
		r = track_is_since(&vm->track, s->setup.parent.digest, e);
	/* Before the guest stands still: it takes the longer the more memory there is. */
	s->setup.track |= s->setup.has_parent;
	if (!r && s->setup.track)
		r = track_start(&vm->track, vm->arch, &vm->mem, e);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!r && s->wake_fd < 0)
		r = err_sys(e, ERR_IO, errno, "eventfd");
	if (!r)
		r = loop_add(vm->loop, s->wake_fd, EPOLLIN, on_wake, s, e);
	if (r)
		return r;
	r = s->setup.live ? begin_live(s, e) : capture(s, e);
	if (r)
		loop_del(vm->loop, s->wake_fd);
	return r;
}

int save_start(const struct save_setup *setup, struct save **out, struct err *e)
{
	struct save *s = calloc(1, sizeof *s);

	if (!s) {
		struct save_setup unused = *setup;
		save_drop(&unused);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	s->setup = *setup;
	s->result.was_live = setup->live;
	s->wake_fd = -1;
	s->error = (struct err)ERR_INIT;
	int r = begin(s, &s->error);
	if (r) {
		if (e)
			*e = s->error;
		end_live(s);
		end_tracking(s);
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

	if (s->phase < PHASE_WRITING) {
		pthread_join(s->thread, NULL);
		err_set(&s->error, ERR_CANCELLED, "cancelled");
		give_up(s);
		return;
	}
	if (s->phase == PHASE_WRITING)
		finish(s);
	/* Completions call on_flushed(), and the last one of those frees @s. */
	for (uint32_t i = 0; i < vm->backend_n; i++)
		if (vm->backend[i].disk)
			disk_drain(vm->backend[i].disk);
}
