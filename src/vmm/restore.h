/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a snapshot to a VM that is ready to go on.
 *
 * Prefix: restore_.
 */
#ifndef VMM_RESTORE_H
#define VMM_RESTORE_H

#include "snapshot/snapshot.h"
#include "vmm/vm.h"

enum restore_clock {
	RESTORE_ADVANCE, /* guest time has passed as real time has */
	RESTORE_KEEP,	 /* it stood still */
};

struct restore_setup {
	const char *name;
	struct loop *loop;
	int kvm_fd;
	const struct host *host;
	const struct vm_backend *backend;
	uint32_t backend_n;
	enum restore_clock clock;
	/* The guest goes on as the only one there is, and need not know: not a copy of a moment that may be
	 * copied again. */
	bool keep_generation;
	bool hugepages; /* as in struct vm_setup */
	const struct guest_mem *shared; /* likewise; all of the snapshot's RAM is in it */
	const struct machine *machine;	/* NULL: as saved */
	struct image *image; /* what it started from, for when it starts again; outlives the VM */
	bool verify; /* all of the file before the guest runs, however its memory comes */
	uint32_t threads;
	struct snap_progress progress;
	bool track;	  /* what is written from now on: a snapshot can have this one as its parent */
	bool lazy;	  /* the guest runs before its memory is there */
	const char *file; /* name of the snapshot, for errors; outlives the VM */
	int workset_fd;	  /* with @lazy; taken over with the snapshot; -1: none */
};

/**
 * restore_vm() - build the saved machine, load memory and state
 * @snap: opened; its verdict has been looked at. Set to NULL when the VM has taken it over, which
 * then closes it
 *
 * Every component is checked before any is applied. All of the file is verified, but for a lazy
 * restore, which verifies each chunk when it comes, and for one of the encoding raw, which is
 * mapped (restore_maps()) and not verified unless that is wanted. Unless told not to, the guest is
 * given another generation identifier and told so.
 */
int restore_vm(struct snap **snap, const struct restore_setup *setup, struct vm **out,
	       struct err *e) MUST_CHECK;

/** restore_maps() - whether the memory of a restored VM is a mapping of the file. */
bool restore_maps(const struct snap *snap, const struct restore_setup *setup);

#endif
