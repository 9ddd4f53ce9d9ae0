/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory that is what files hold until it is written to. */
#include "layout/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* An entry of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_PRESENT (1ull << 63)
#define PAGE_SWAPPED (1ull << 62)
#define PAGE_OF_FILE (1ull << 61)

int mem_init_private(struct guest_mem *m, const struct layout *l, struct err *e)
{
	mem_lay_out_(m, l);
	m->is_private = true;
	/* Without it all of memory is looked at; a sandbox lets nobody open it later. */
	m->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	void *room =
	    mmap(NULL, m->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED) {
		int r = err_sys(e, ERR_NOMEM, errno, "cannot map guest memory");
		mem_fini(m);
		return r;
	}
	m->host = room;
	return 0;
}

static int keep_file(struct guest_mem *m, int fd, struct err *e)
{
	struct statfs fs;

	if (m->fd >= 0)
		return 0;
	m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (m->fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot keep the file of guest memory");
	m->is_shmem = !fstatfs(m->fd, &fs) && fs.f_type == TMPFS_MAGIC;
	return 0;
}

int mem_map(struct guest_mem *m, uint64_t offset, uint64_t bytes, int fd, uint64_t at,
	    struct err *e)
{
	struct mem_piece *more = reallocarray(m->piece, m->piece_n + 1, sizeof *more);

	if (!more)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->piece = more;
	int r = keep_file(m, fd, e);
	if (!r && mmap(m->host + offset, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, (off_t)at) == MAP_FAILED)
		r = err_sys(e, ERR_IO, errno, "cannot map guest memory");
	if (!r)
		m->piece[m->piece_n++] = (struct mem_piece){offset, bytes, at};
	return r;
}

uint64_t mem_mapping_end(const struct guest_mem *m, uint64_t offset)
{
	for (uint32_t i = 0; i < m->piece_n; i++) {
		const struct mem_piece *p = &m->piece[i];
		if (offset < p->offset + p->bytes)
			return p->offset + p->bytes;
	}
	return m->size;
}

int mem_share(struct guest_mem *m, struct err *e)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

	munmap(m->host, m->file_bytes);
	m->host = NULL;
	if (fcntl(m->fd, F_ADD_SEALS, seals))
		return err_sys(e, ERR_IO, errno, "cannot seal guest memory");
	return 0;
}

/* What is behind the end of a file is no hole of it: whoever looks there is told. */
static bool is_whole(const struct guest_mem *m, const struct mem_piece *p)
{
	struct stat st;

	return !fstat(m->fd, &st) &&
	       (!S_ISREG(st.st_mode) || (uint64_t)st.st_size >= p->at + p->bytes);
}

/* Where the file has something, from @offset of the mapping on. */
static uint64_t next_in_file(const struct guest_mem *m, uint64_t offset)
{
	for (uint32_t i = 0; i < m->piece_n; i++) {
		const struct mem_piece *p = &m->piece[i];
		if (offset >= p->offset + p->bytes)
			continue;
		uint64_t from = offset > p->offset ? offset - p->offset : 0;
		off_t at = lseek(m->fd, (off_t)(p->at + from), SEEK_DATA);
		if (at >= 0 && (uint64_t)at < p->at + p->bytes)
			return p->offset + ((uint64_t)at - p->at);
		if ((at < 0 && errno != ENXIO) || !is_whole(m, p))
			return p->offset + from;
	}
	return UINT64_MAX;
}

static bool is_own(uint64_t entry)
{
	return entry & PAGE_SWAPPED || (entry & PAGE_PRESENT && !(entry & PAGE_OF_FILE));
}

/* The first page of this process's own between @offset and @end; @end if there is none. */
static uint64_t next_own(const struct guest_mem *m, uint64_t offset, uint64_t end)
{
	uint64_t entry[512], first = (uint64_t)(uintptr_t)m->host / m->page_bytes;

	for (uint64_t page = offset / m->page_bytes; page * m->page_bytes < end;) {
		uint64_t left = (end + m->page_bytes - 1) / m->page_bytes - page;
		uint64_t n = left < ARRAY_LEN(entry) ? left : ARRAY_LEN(entry);
		ssize_t got = pread(m->pagemap_fd, entry, n * sizeof *entry,
				    (off_t)((first + page) * sizeof *entry));
		if (got < (ssize_t)sizeof *entry)
			return offset;
		n = (uint64_t)got / sizeof *entry;
		for (uint64_t i = 0; i < n; i++) {
			uint64_t at = (page + i) * m->page_bytes;
			if (is_own(entry[i]))
				return at > offset ? at : offset;
		}
		page += n;
	}
	return end;
}

/* What is before @end, or anything behind it. */
uint64_t mem_next_private_(const struct guest_mem *m, uint64_t offset, uint64_t end)
{
	uint64_t file = next_in_file(m, offset);

	end = file < end ? file : end;
	if (m->pagemap_fd < 0 || end <= offset)
		return offset;
	uint64_t own = next_own(m, offset, end);
	return own < end ? own : file;
}

/* What the file has would come back: only its holes can be let go of. */
void mem_clear_private_(struct guest_mem *m, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t data = next_in_file(m, from), end = data < to ? data : to;
		uint64_t page = m->page_bytes;
		end = end / page * page;
		if (end > from && !madvise(m->host + from, end - from, MADV_DONTNEED)) {
			from = end;
			continue;
		}
		uint64_t step = to - from < page ? to - from : page;
		memset(m->host + from, 0, step);
		from += step;
	}
}
