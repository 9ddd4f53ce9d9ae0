/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving a VM: hold it, capture everything, write the file in a thread of its own, let the guest
 * go on. A live save lets it go on as soon as everything is captured, and protects its memory
 * before; or copies it before, where it cannot be protected. Whatever fails, the guest goes on as
 * it was.
 *
 * Prefix: save_. Threads: the event loop's.
 */
#ifndef VMM_SAVE_H
#define VMM_SAVE_H

#include "snapshot/snapshot.h"
#include "vmm/hints.h"
#include "vmm/keys.h"
#include "vmm/vm.h"

struct save;

struct save_result {
	struct snap_stats stats;
	uint64_t held_ns; /* how long the guest stood still */
	bool was_live;
	struct snap_live_stats live;
	uint64_t hinted_bytes; /* that the guest had no use for, and that were not saved */
	/* Of a live save: why memory was copied before; code 0: it was not. */
	struct err not_protected;
};

struct save_setup {
	struct vm *vm;
	int fd; /* where to; taken over, also on failure */
	uint32_t level, threads;
	/* Descriptors of new overlays for the writable disks, by device id; taken over. */
	struct save_overlay {
		char id[DEVICE_ID_MAX + 1];
		struct disk_image_fd image; /* fd -1 once it is in use */
	} overlay[VM_BACKENDS_MAX];
	uint32_t overlay_n;
	struct keys_out keys; /* taken over; wiped as soon as the file is written */
	bool leave_disks; /* --disks none */
	bool raw;	  /* the encoding raw; not with keys.master or @has_parent */
	bool live;	  /* the guest goes on while its memory is written */
	bool track;	  /* know from now on what is written, so that the next one can be incremental */
	bool has_parent;  /* only what was written since @parent; implies @track */
	struct snapshot_parent parent;
	struct hints *hints; /* that were started; taken over; NULL: all is saved */
	int spill_fd;	  /* with @live: for what does not fit in memory; taken over; -1: none */
	bool pause;	  /* the guest does not go on when it succeeded */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* @e->code is 0 when it succeeded. The save is gone when this returns. */
	void (*done)(void *arg, const struct save_result *result, const struct err *e);
	void *arg;
};

/** save_drop() - close and wipe what a setup took over, when it is not to be used after all. */
void save_drop(struct save_setup *setup);

/** save_start() - all of the VM's memory is there. The VM is held when this returns 0, and goes on
 * before @done is called. */
int save_start(const struct save_setup *setup, struct save **out, struct err *e) MUST_CHECK;

/** save_cancel() - @done is called soon with -ERR_CANCELLED, or as if nothing had been said. */
void save_cancel(struct save *s);

/** save_wait() - returns after @done was called. */
void save_wait(struct save *s);

#endif
