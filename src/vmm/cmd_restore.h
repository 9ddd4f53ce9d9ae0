/* SPDX-License-Identifier: Apache-2.0 */
/* Private to `vmm restore`: one VM (cmd_restore.c), or several at once (cmd_restore_clones.c). */
#ifndef VMM_CMD_RESTORE_H
#define VMM_CMD_RESTORE_H

#include "vmm/backends.h"
#include "vmm/image.h"
#include "vmm/keys.h"
#include "vmm/options.h"
#include "vmm/process.h"

struct restore_options {
	const char *file, *name, *console, *virtio_console, *clock, *overlays;
	uint32_t threads, clones;
	struct option_list disk, net, serial;
	struct image_files image;
	struct keys_in keys;
	bool detach, paused, hugepages, lazy, no_workset, track, verify, json;
};

/* Everything that is open, so that one function closes it. */
struct restore_parts {
	struct loop *loop;
	int kvm_fd, listen_fd;
	struct snap *snap;
	struct host *host;
	struct findings *findings;
	struct backends backends;
	struct image image;
	/* Of clones: memory that they share, fd -1 for none, and the machine as it is for this one.
	 */
	struct guest_mem ram;
	struct machine *machine;
};

/* All that is the same for every VM that goes on from the file. */
int restore_open_(struct restore_options *o, struct restore_parts *s, struct err *e);

/* With the snapshot open: what the VM has of its own, and its whole life. Returns an exit status.
 */
int restore_go_on_(const struct restore_options *o, struct restore_parts *s, struct process *p);

/* Nobody is to think that a damaged file would have been noticed. */
void restore_say_unchecked_(const struct restore_options *o);

/* Whether the options go together with --clones, or with its absence. */
int restore_check_clones_(const struct restore_options *o, struct err *e);

/* Returns an exit status: STATUS_DONE when all guests run. */
int restore_clones_(struct restore_options *o, struct restore_parts *s);

#endif
