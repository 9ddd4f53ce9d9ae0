/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int mem_init(struct guest_mem *m, const struct layout *l, struct err *e)
{
	*m = (struct guest_mem){.fd = -1};
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (!layout_backed(l, r))
			continue;
		m->slot[m->slot_n++] = (struct mem_slot){gpa(r->start), r->size, m->size};
		m->size += r->size;
	}
	m->fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (m->fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot create guest memory");
	if (ftruncate(m->fd, (off_t)m->size)) {
		int r = err_sys(e, ERR_NOMEM, errno, "cannot size guest memory");
		mem_fini(m);
		return r;
	}
	/* NORESERVE: a sparse guest may be larger than what the host has to spare. */
	void *host =
	    mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, m->fd, 0);
	if (host == MAP_FAILED) {
		int r = err_sys(e, ERR_NOMEM, errno, "cannot map guest memory");
		mem_fini(m);
		return r;
	}
	m->host = host;
	return 0;
}

void mem_fini(struct guest_mem *m)
{
	if (m->host)
		munmap(m->host, m->size);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct guest_mem){.fd = -1};
}

/* Slots that touch in guest addresses touch in the mapping too, so a range may run on. */
static uint8_t *translate(const struct guest_mem *m, struct gpa at, uint64_t len)
{
	for (uint32_t i = 0; i < m->slot_n; i++) {
		const struct mem_slot *s = &m->slot[i];
		if (at.v < s->start.v || at.v - s->start.v >= s->size)
			continue;
		uint64_t in = at.v - s->start.v, room = s->size - in;
		for (uint32_t j = i + 1; room < len && j < m->slot_n; j++) {
			if (m->slot[j].start.v != m->slot[j - 1].start.v + m->slot[j - 1].size)
				break;
			room += m->slot[j].size;
		}
		return len <= room ? m->host + s->offset + in : NULL;
	}
	return NULL;
}

const void *mem_ro(const struct guest_mem *m, struct gpa at, uint64_t len)
{
	return translate(m, at, len);
}

void *mem_rw(struct guest_mem *m, struct gpa at, uint64_t len)
{
	return translate(m, at, len);
}

bool mem_read(const struct guest_mem *m, struct gpa at, void *out, uint64_t len)
{
	const void *p = mem_ro(m, at, len);

	if (p)
		memcpy(out, p, len);
	return p;
}

bool mem_write(struct guest_mem *m, struct gpa at, const void *data, uint64_t len)
{
	void *p = mem_rw(m, at, len);

	if (p)
		memcpy(p, data, len);
	return p;
}
