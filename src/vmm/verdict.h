/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would this snapshot restore on this host, with these disks? The one place that applies every
 * rule; `check` prints the result, `restore` refuses by it.
 */
#ifndef VMM_VERDICT_H
#define VMM_VERDICT_H

#include "layout/compat.h"
#include "snapshot/snapshot.h"

/** verdict_snapshot() - all rules but those of disks, which need the images at hand.
 * @host: what this, or another, host can carry. */
int verdict_snapshot(const struct snap_manifest *m, const struct host *host, struct findings *out,
		     struct err *e) MUST_CHECK;

#endif
