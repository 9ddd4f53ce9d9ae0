/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind the devices of a VM on this host, opened by the command before the sandbox is
 * entered: disks, TAP devices, consoles.
 *
 * Prefix: backends_.
 */
#ifndef VMM_BACKENDS_H
#define VMM_BACKENDS_H

#include "vmm/vm.h"

struct backends {
	struct loop *loop;
	uint32_t n;
	struct vm_backend item[VM_BACKENDS_MAX];
};

/** backends_disk() - an image and what lies under it, locked. */
int backends_disk(struct backends *b, const char *id, const char *path, bool read_only,
		  struct disk **out, struct err *e) MUST_CHECK;
/** backends_add_disk() - as backends_disk(), from a chain that is open: it belongs to the disk when this
 * succeeds. @out may be NULL. */
int backends_add_disk(struct backends *b, const char *id, const struct disk_chain *chain,
		      bool read_only, struct disk **out, struct err *e) MUST_CHECK;
/** backends_tap() - a TAP device. */
int backends_tap(struct backends *b, const char *id, const char *name, struct err *e) MUST_CHECK;
/** backends_console() - where a serial line or console goes (console_open()). */
int backends_console(struct backends *b, const char *id, const char *target,
		     struct err *e) MUST_CHECK;

void backends_close(struct backends *b);

/** backends_consoles() - those of --console and --serial N=TARGET: com1 gets @console, or nothing. */
struct option_list;
int backends_consoles(struct backends *b, const char *console, const struct option_list *serial,
		      const char *virtio_console, struct err *e) MUST_CHECK;

#endif
