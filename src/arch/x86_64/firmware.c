/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/firmware.h"

#include <inttypes.h>
#include <string.h>

#define RESET_VECTOR_BYTES 16	      /* from there to 4 GiB (Intel SDM 3, 10.1.4) */

int firmware_check(const struct io_src *file, struct err *e)
{
	if (file->size < RESET_VECTOR_BYTES)
		return err_set(e, ERR_LIMIT,
			       "firmware of %" PRIu64 " bytes: its last %d are the reset vector",
			       file->size, RESET_VECTOR_BYTES);
	return 0;
}

/* The end of the file at the end of the row, zeros before it. */
static int fill(const struct io_src *file, const struct layout *l, const char *name,
		struct guest_mem *m, struct err *e)
{
	const struct layout_region *row;
	int r = layout_need(l, name, &row, e);

	if (r)
		return r;
	uint8_t *host = mem_rw(m, gpa(row->start), row->size);
	if (!host)
		return err_set(e, ERR_STRUCTURE, "%s is not backed", name);
	uint64_t n = row->size < file->size ? row->size : file->size;
	memset(host, 0, row->size - n);
	return io_read_at(file, host + row->size - n, n, file->size - n, e);
}

int firmware_load(const struct io_src *file, const struct layout *l, struct guest_mem *m,
		  struct err *e)
{
	if (l->params.firmware_bytes != file->size)
		return err_set(e, ERR_STRUCTURE,
			       "firmware of 0x%" PRIx64
			       " bytes, the layout has room for 0x%" PRIx64,
			       file->size, l->params.firmware_bytes);
	int r = fill(file, l, "BIOS_START", m, e);
	return r ? r : fill(file, l, "BIOS_SHADOW", m, e);
}
