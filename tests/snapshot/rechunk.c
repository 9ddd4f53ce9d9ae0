/* SPDX-License-Identifier: Apache-2.0 */
/* rechunk SNAPSHOT BYTES OUT: the same snapshot with its memory in chunks of that size. */
#include "snapshot/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* All that the writer does not put in itself. */
static int manifest_of(const struct snap *s, struct snap_manifest *out, struct err *e)
{
	const struct snap_manifest *m = snap_manifest(s);
	int r = 0;

	for (uint32_t i = 0; !r && i < m->n; i++)
		if (m->item[i].desc != &snapshot_ram_desc)
			r = snap_manifest_add(out, m->item[i].desc, m->item[i].id, m->item[i].st,
					      e);
	return r;
}

int main(int argc, char **argv)
{
	struct snap_manifest m = SNAP_MANIFEST_INIT;
	struct guest_mem ram = {.fd = -1};
	struct err e = ERR_INIT;
	struct snap *s = NULL;

	if (argc != 4)
		return fputs("usage: rechunk SNAPSHOT BYTES OUT\n", stderr), 2;
	const struct snap_write_opts o = {.chunk_bytes = (uint32_t)strtoul(argv[2], NULL, 0)};
	int fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = snap_open_file(argv[1], NULL, &s, &e);
	if (!r)
		r = mem_init(&ram, snap_layout(s), &e);
	if (!r)
		r = snap_load_ram(s, &ram, NULL, &e);
	if (!r)
		r = manifest_of(s, &m, &e);
	if (!r)
		r = snap_write(fd, &m, &ram, &o, NULL, &e);
	if (r)
		fprintf(stderr, "rechunk: %s\n", e.msg);
	snap_manifest_fini(&m);
	mem_fini(&ram);
	snap_close(s);
	return close(fd) || r;
}
