/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"
#include "snapshot/index.h"

/* @identity: takes the place of the one of @from. What snap_write() puts in itself is left out. */
static int copy_manifest(const struct snap *from, struct snapshot_identity *identity,
			 struct snap_manifest *out, struct err *e)
{
	const struct snap_manifest *m = snap_manifest(from);
	int r = 0;

	for (uint32_t i = 0; !r && i < m->n; i++) {
		const struct snap_component *c = &m->item[i];
		if (c->desc == &snapshot_ram_desc || c->desc == &snapshot_parent_desc)
			continue;
		r = snap_manifest_add(out, c->desc, c->id,
				      c->desc == &snapshot_identity_desc ? identity : c->st, e);
	}
	return r;
}

int snap_merge(int fd, const struct snap *from, const struct snap_write_opts *opts,
	       struct snap_stats *stats, struct err *e)
{
	struct snapshot_identity identity = *snap_identity(from);
	struct snap_manifest m = SNAP_MANIFEST_INIT;
	struct snap_write_opts o = opts ? *opts : (struct snap_write_opts){0};

	int r = snap_ram_readable(from, e);
	if (!r)
		r = secret_uuid(identity.uuid, e);
	if (!r)
		r = copy_manifest(from, &identity, &m, e);
	o.from = from;
	o.parent = NULL;
	o.changed = NULL;
	o.unused = NULL;
	o.live = NULL;
	o.chunk_bytes = snap_ram(from)->chunk_bytes;
	if (!r)
		r = snap_write(fd, &m, NULL, &o, stats, e);
	snap_manifest_fini(&m);
	return r;
}
