/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/snapshot/. */
#ifndef SNAPSHOT_MANIFEST_H
#define SNAPSHOT_MANIFEST_H

#include "snapshot/snapshot.h"

/* "uart[com1]": how a component is called in errors. */
struct manifest_label {
	char text[80];
};
struct manifest_label manifest_label_(const struct state_desc *desc, const char *id);

/* The manifest begins with the @n records @lead, each with an empty id. -ERR_MISSING,
 * -ERR_STRUCTURE. */
int manifest_order_(const struct snap_manifest *m, const struct state_desc *const *lead, size_t n,
		    struct err *e);

#endif
