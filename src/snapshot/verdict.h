/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would this snapshot restore? The one place that applies every rule but those of disk images
 * and TAP devices, which need them at hand. `vmm check` and `snapinspect check` print the result,
 * `vmm restore` refuses by it.
 *
 * Prefix: verdict_. Pure.
 */
#ifndef SNAPSHOT_VERDICT_H
#define SNAPSHOT_VERDICT_H

#include "layout/compat.h"
#include "snapshot/snapshot.h"

/** verdict_snapshot() - @host: the one that is asked about; NULL: only this build is asked, and
 * that is said. Returns 0, or -ERR_MISSING for a snapshot without a host record. */
int verdict_snapshot(const struct snap_manifest *m, const struct host *host, struct findings *out,
		     struct err *e) MUST_CHECK;

/** verdict_disks_unseen() - D057 for each disk of the snapshot: nobody looked at its images. */
void verdict_disks_unseen(const struct snap_manifest *m, struct findings *out);

#endif
