/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void mem_lay_out_(struct guest_mem *m, const struct layout *l)
{
	*m = (struct guest_mem){
	    .fd = -1, .pagemap_fd = -1, .page_bytes = (uint32_t)sysconf(_SC_PAGESIZE)};
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (!layout_backed(l, r))
			continue;
		m->slot[m->slot_n++] = (struct mem_slot){gpa(r->start), r->size, m->size};
		m->size += r->size;
	}
	m->file_bytes = m->size;
}

/* @flags: of mmap(). The file is there, and empty. */
static int map(struct guest_mem *m, int flags, struct err *e)
{
	if (ftruncate(m->fd, (off_t)m->file_bytes))
		return err_sys(e, ERR_NOMEM, errno, "cannot size guest memory");
	void *file = mmap(NULL, m->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | flags, m->fd, 0);
	if (file == MAP_FAILED)
		return err_sys(e, ERR_NOMEM, errno, "cannot map guest memory");
	m->host = (uint8_t *)file + m->head_bytes;
	return 0;
}

int mem_init(struct guest_mem *m, const struct layout *l, struct err *e)
{
	mem_lay_out_(m, l);
	m->fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot create guest memory");
	/* NORESERVE: a sparse guest may be larger than what the host has to spare. */
	int r = map(m, MAP_NORESERVE, e);
	if (r)
		mem_fini(m);
	return r;
}

/* KVM maps a huge page at once where guest address and file agree on where one starts. What lies
 * before the first such slot may be of any size: the head makes it agree for the largest one. */
static uint64_t head_for(const struct guest_mem *m)
{
	const struct mem_slot *largest = &m->slot[0];

	for (uint32_t i = 1; i < m->slot_n; i++)
		if (m->slot[i].size > largest->size)
			largest = &m->slot[i];
	return (largest->start.v - largest->offset) % MEM_HUGE_BYTES;
}

static uint64_t huge_pages(const char *which)
{
	char path[96];
	struct buf text = BUF_INIT;
	unsigned long long n = 0;

	snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-%dkB/%s",
		 (int)(MEM_HUGE_BYTES / KIB), which);
	if (!io_read_file(path, 32, &text, NULL)) {
		buf_put(&text, "", 1);
		n = text.failed ? 0 : strtoull((const char *)text.data, NULL, 10);
	}
	buf_free(&text);
	return n;
}

static int too_few(const struct guest_mem *m, struct err *e)
{
	uint64_t free = huge_pages("free_hugepages"), taken = huge_pages("resv_hugepages");

	return err_set(e, ERR_NOMEM,
		       "%" PRIu64 " huge pages of 2 MiB are needed for guest memory, the host has %" PRIu64
		       " to spare (sysctl vm.nr_hugepages)",
		       m->file_bytes / MEM_HUGE_BYTES, free > taken ? free - taken : 0);
}

/* The reservation that mmap() makes does not bind a control group: with all pages had, no access to
 * them can fail. */
static int take_all(struct guest_mem *m, struct err *e)
{
	int r;

	do
		r = fallocate(m->fd, 0, 0, (off_t)m->file_bytes);
	while (r && errno == EINTR);
	if (!r)
		return 0;
	return errno == ENOSPC || errno == ENOMEM
		   ? too_few(m, e)
		   : err_sys(e, ERR_IO, errno, "cannot take huge pages for guest memory");
}

int mem_init_huge(struct guest_mem *m, const struct layout *l, struct err *e)
{
	struct err why = ERR_INIT;

	mem_lay_out_(m, l);
	m->page_bytes = MEM_HUGE_BYTES;
	m->head_bytes = head_for(m);
	if (!num_align_up(m->size + m->head_bytes, MEM_HUGE_BYTES, &m->file_bytes))
		return err_set(e, ERR_RANGE, "more memory than can be mapped");
	m->fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	if (m->fd < 0)
		return err_sys(e, ERR_FEATURE, errno, "this host has no huge pages of 2 MiB");
	int r = map(m, 0, &why);
	if (!r)
		r = take_all(m, e);
	else if (why.sys == ENOMEM)
		r = too_few(m, e);
	else if (e)
		*e = why;
	if (r)
		mem_fini(m);
	return r;
}

void mem_fini(struct guest_mem *m)
{
	if (m->host)
		munmap(m->host - m->head_bytes, m->file_bytes);
	if (m->fd >= 0)
		close(m->fd);
	if (m->is_private && m->pagemap_fd >= 0)
		close(m->pagemap_fd);
	free(m->piece);
	free((void *)m->dirty);
	*m = (struct guest_mem){.fd = -1, .pagemap_fd = -1};
}

struct mem_part mem_pages(const struct guest_mem *m, uint64_t offset, uint64_t bytes)
{
	uint64_t page = m->page_bytes, head = m->head_bytes; /* pages are those of the file */
	uint64_t start = (offset + head) / page * page,
		 end = (offset + bytes + head + page - 1) / page * page;

	start = start > head ? start - head : 0;
	end = end - head < m->size ? end - head : m->size;
	return (struct mem_part){start, end - start};
}

uint8_t *mem_map_again(const struct guest_mem *m, struct err *e)
{
	void *file = mmap(NULL, m->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);

	if (file == MAP_FAILED) {
		err_sys(e, ERR_NOMEM, errno, "cannot map guest memory again");
		return NULL;
	}
	return (uint8_t *)file + m->head_bytes;
}

void mem_unmap_again(const struct guest_mem *m, uint8_t *again)
{
	if (again)
		munmap(again - m->head_bytes, m->file_bytes);
}

uint64_t mem_next_data(const struct guest_mem *m, uint64_t offset)
{
	if (m->is_private)
		return mem_next_private_(m, offset, m->size);
	/* Huge pages are there from the beginning. */
	if (!mem_is_file(m))
		return offset;
	off_t at = lseek(m->fd, (off_t)offset, SEEK_DATA);
	if (at < 0)
		return errno == ENXIO ? UINT64_MAX : offset;
	return (uint64_t)at;
}

bool mem_is_file(const struct guest_mem *m)
{
	return m->fd >= 0 && !m->is_private && m->page_bytes != MEM_HUGE_BYTES;
}

int mem_fill(const struct guest_mem *m, uint64_t offset, const void *src, uint64_t bytes,
	     struct err *e)
{
	int r = io_write_all_at(m->fd, src, bytes, offset, e);

	return r == -ERR_NOSPACE ? err_set(e, ERR_NOMEM, "the host has no more memory") : r;
}

bool mem_has_data(const struct guest_mem *m, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;

	return (m->is_private ? mem_next_private_(m, offset, end) : mem_next_data(m, offset)) < end;
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
	uint8_t *p = translate(m, at, len);

	if (p && len)
		mem_mark(m, (uint64_t)(p - m->host), len);
	return p;
}

static bool give_back(struct guest_mem *m, uint64_t from, uint64_t to)
{
	if (m->is_private) {
		mem_clear_private_(m, from, to);
		return true;
	}
	return !fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
			  (off_t)(to - from));
}

bool mem_discard(struct guest_mem *m, struct gpa at, uint64_t len)
{
	uint8_t *p = mem_rw(m, at, len);

	if (!p || m->keep)
		return p;
	uint64_t page = m->page_bytes, start = (uint64_t)(p - m->host), end = start + len;
	uint64_t from = (start + page - 1) / page * page, to = end / page * page;
	if (page == MEM_HUGE_BYTES || from >= to || !give_back(m, from, to)) {
		memset(p, 0, len);
	} else {
		memset(p, 0, from - start);
		memset(m->host + to, 0, end - to);
	}
	(void)mem_rw(m, at, len); /* written by now */
	return true;
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

/* --- what was written to -------------------------------------------------------------------- */

uint64_t mem_track_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t mem_track_words(uint64_t bytes)
{
	return (bytes / mem_track_bytes() + 63) / 64;
}

int mem_track(struct guest_mem *m, struct err *e)
{
	/* Kept until the memory is gone: somebody may be about to use it. */
	if (!m->dirty)
		m->dirty = calloc(mem_track_words(m->size), sizeof *m->dirty);
	if (!m->dirty)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (uint64_t i = 0; i < mem_track_words(m->size); i++)
		m->dirty[i] = 0;
	m->tracked = true;
	return 0;
}

void mem_untrack(struct guest_mem *m)
{
	m->tracked = false;
}

void mem_mark(struct guest_mem *m, uint64_t offset, uint64_t len)
{
	if (!m->tracked)
		return;
	for (uint64_t page = offset / mem_track_bytes(); page <= (offset + len - 1) / mem_track_bytes();
	     page++)
		m->dirty[page / 64] |= 1ull << page % 64;
}

void mem_mark_pages(struct guest_mem *m, const uint64_t *pages)
{
	if (!m->tracked)
		return;
	for (uint64_t i = 0; i < mem_track_words(m->size); i++)
		if (pages[i])
			m->dirty[i] |= pages[i];
}

void mem_take_dirty(struct guest_mem *m, uint64_t *pages)
{
	for (uint64_t i = 0; i < mem_track_words(m->size); i++)
		if (m->dirty[i])
			pages[i] |= atomic_exchange(&m->dirty[i], 0);
}

void mem_add_pages(uint64_t *pages, uint64_t offset, const uint64_t *words, uint64_t n)
{
	uint64_t first = offset / mem_track_bytes(), shift = first % 64;

	for (uint64_t i = 0; i < n; i++) {
		if (!words[i])
			continue;
		pages[first / 64 + i] |= words[i] << shift;
		if (shift && words[i] >> (64 - shift))
			pages[first / 64 + i + 1] |= words[i] >> (64 - shift);
	}
}

bool mem_any_dirty(const uint64_t *pages, uint64_t offset, uint64_t len)
{
	uint64_t first = offset / mem_track_bytes(), last = (offset + len - 1) / mem_track_bytes();
	uint64_t from = ~0ull << first % 64, to = ~0ull >> (63 - last % 64);

	if (first / 64 == last / 64)
		return pages[first / 64] & from & to;
	for (uint64_t i = first / 64 + 1; i < last / 64; i++)
		if (pages[i])
			return true;
	return pages[first / 64] & from || pages[last / 64] & to;
}
