/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving a VM: hold it, capture everything, write the file in a thread of its own, let the guest
 * go on. Whatever fails, the guest goes on as it was.
 *
 * Prefix: save_. Threads: the event loop's.
 */
#ifndef VMM_SAVE_H
#define VMM_SAVE_H

#include "snapshot/snapshot.h"
#include "vmm/vm.h"

struct save;

struct save_result {
	struct snap_stats stats;
	uint64_t held_ns; /* how long the guest stood still */
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
	bool leave_disks; /* --disks none */
	bool pause;	  /* the guest does not go on when it succeeded */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* @e->code is 0 when it succeeded. The save is gone when this returns. */
	void (*done)(void *arg, const struct save_result *result, const struct err *e);
	void *arg;
};

/** save_start() - the VM is held when this returns 0, and goes on before @done is called. */
int save_start(const struct save_setup *setup, struct save **out, struct err *e) MUST_CHECK;

/** save_cancel() - @done is called soon with -ERR_CANCELLED, or as if nothing had been said. */
void save_cancel(struct save *s);

/** save_wait() - returns after @done was called. */
void save_wait(struct save *s);

#endif
