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
	uint32_t threads;
	struct snap_progress progress;
};

/**
 * restore_vm() - build the saved machine, load memory and state
 * @snap: opened; its verdict has been looked at
 *
 * Every component is checked before any is applied; all of the file is verified.
 */
int restore_vm(struct snap *snap, const struct restore_setup *setup, struct vm **out,
	       struct err *e) MUST_CHECK;

#endif
