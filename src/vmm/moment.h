/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a snapshot holds but memory, as it was at one moment; and the disks of that moment,
 * which stay while the guest goes on in overlays.
 *
 * Prefix: moment_. Threads: the event loop's.
 */
#ifndef VMM_MOMENT_H
#define VMM_MOMENT_H

#include "vmm/save.h"

struct moment {
	struct vm *vm; /* borrowed */
	struct vm_state *state;
	struct snapshot_identity identity;
	struct snap_manifest manifest;
	void *device[MACHINE_DEVICES_MAX]; /* records as they were; the devices go on */
	uint32_t disk_n;
	struct disk_state disk[VM_BACKENDS_MAX];
};

/** moment_init() - before it comes; moment_fini() whatever it returns. */
int moment_init(struct moment *m, struct vm *vm, struct err *e) MUST_CHECK;
void moment_fini(struct moment *m);

/** moment_take() - this is it: the VM is held, and m->state captured. Takes overlays out of @setup.
 * moment_undo() after a failure, here or later. */
int moment_take(struct moment *m, struct save_setup *setup, struct err *e) MUST_CHECK;

/** moment_undo() - disks that were switched go back, if the guest has written nothing yet. */
void moment_undo(struct moment *m);

#endif
