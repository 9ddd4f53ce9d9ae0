/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of snapshots, as the commands see them: new overlays when one is taken, finding and
 * checking the frozen images when one is restored.
 *
 * Prefix: disks_.
 */
#ifndef VMM_DISKS_H
#define VMM_DISKS_H

#include "layout/finding.h"
#include "snapshot/snapshot.h"
#include "vmm/backends.h"

#include <jansson.h>

/* A new overlay, made beside the image it lies over. */
struct disks_overlay {
	char id[DEVICE_ID_MAX + 1];
	char path[DISK_PATH_MAX + 1], image[DISK_PATH_MAX + 1];
	int fd;
};

struct disks_overlays {
	uint32_t n;
	struct disks_overlay item[VM_BACKENDS_MAX];
};

/** disks_new_overlays() - one for each writable disk in the answer to `status`.
 * On failure those made are removed again. */
int disks_new_overlays(const json_t *status, struct disks_overlays *out, struct err *e) MUST_CHECK;

/** disks_is_new_overlay() - whether disks_new_overlays() names overlays over @image so; both without
 * folder. */
bool disks_is_new_overlay(const char *name, const char *image);

/** disks_leave_overlays() - close all. The VM does not answer: nobody knows whether it is on them, so that
 * only those go that cannot be needed. */
void disks_leave_overlays(struct disks_overlays *o);

/** disks_drop_overlays() - close all; remove those that no disk in @status is on (NULL: none is). */
void disks_drop_overlays(struct disks_overlays *o, const json_t *status);

/**
 * disks_reopen() - the disk of @md as it was saved, for a restored VM
 * @path: where its image is now; NULL for where it was
 * @dir: where the new overlay goes; NULL for beside the image
 *
 * The frozen chain is opened for reading and checked by the disk rules: what they find is added to
 * @out, a refusal is -ERR_INCOMPATIBLE. A writable disk gets a new overlay.
 */
int disks_reopen(struct backends *b, const struct snap_manifest *m,
		 const struct machine_device *md, const char *path, const char *dir,
		 struct findings *out, struct err *e) MUST_CHECK;

/** disks_undo() - remove the overlays that disks_reopen() made. */
void disks_undo(struct backends *b);

/** disks_verdict() - the disk rules on the images where they were saved. */
int disks_verdict(const struct snap_manifest *m, struct findings *out, struct err *e) MUST_CHECK;

#endif
