/* SPDX-License-Identifier: Apache-2.0 */
/* Folding images together: vmm disk commit and flatten. */
#include "devices/disk_image.h"

#include "base/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STEP (1 * MIB)

/* Clusters from *@first on that @l holds, one after another, at most STEP bytes; 0 at the end. */
static uint64_t next_present(const struct disk_layer *l, uint64_t *first)
{
	uint64_t clusters = (l->bytes + DISK_CLUSTER - 1) / DISK_CLUSTER, n = 0;

	while (*first < clusters && !disk_layer_has_(l, *first))
		*first += *first % 8 || l->bitmap[*first / 8] ? 1 : 8;
	while (*first + n < clusters && n < STEP / DISK_CLUSTER && disk_layer_has_(l, *first + n))
		n++;
	return n;
}

static int copy_down(struct disk_layer *top, struct disk_layer *below, uint8_t *data, struct err *e)
{
	struct io_src src = {.size = top->data_offset + top->bytes, .fd = top->img.fd};
	uint64_t n;

	for (uint64_t first = 0; (n = next_present(top, &first)); first += n) {
		uint64_t offset = first * DISK_CLUSTER, bytes = n * DISK_CLUSTER;
		if (bytes > top->bytes - offset)
			bytes = top->bytes - offset;
		int r = io_read_at(&src, data, bytes, top->data_offset + offset, e);
		if (!r)
			r = disk_write_sparse_(below->img.fd, data, bytes,
					       below->data_offset + offset, e);
		if (r)
			return r;
		if (below->bitmap)
			disk_layer_set_(below, first, first + n - 1);
	}
	return disk_layer_flush_(below, e);
}

/* The image under @chain's topmost, once more, for writing. @chain's own descriptor of it is
 * closed: its lock is in the way. */
static int open_below(struct disk_chain *chain, bool force, struct err *e)
{
	struct disk_image_fd *img = &chain->image[1];
	struct stat st;

	if (fstat(img->fd, &st))
		return err_sys(e, ERR_IO, errno, "cannot stat");
	bool frozen = S_ISREG(st.st_mode) && !(st.st_mode & 0222);
	if (frozen && !force)
		return err_set(
		    e, ERR_WRONG_STATE,
		    "frozen: snapshots and overlays that need it would be lost (--force)");
	if (frozen && fchmod(img->fd, (st.st_mode & 07777) | 0200))
		return err_sys(e, ERR_IO, errno, "cannot give write permission");
	close(img->fd);
	img->fd = open(img->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (img->fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot open for writing");
	return disk_lock_(img, F_WRLCK, e);
}

/* From now on the parent's facts change, and everything in the overlay is still needed. */
static int mark_committing(struct disk_layer *top, struct disk_layer *below, struct err *e)
{
	int r = 0;

	top->head.committing = true;
	r = disk_header_write_(top->img.fd, &top->head, e);
	if (!r)
		r = disk_sync_(top->img.fd, e);
	if (!r && below->bitmap)
		r = secret_random(below->head.generation, sizeof below->head.generation, e);
	if (!r && below->bitmap)
		r = disk_header_write_(below->img.fd, &below->head, e);
	if (!r)
		r = disk_sync_(below->img.fd, e);
	return r;
}

static int mark_empty(struct disk_layer *top, struct disk_layer *below, struct err *e)
{
	struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL)}};
	int r = disk_zero_(top->img.fd, DISK_HEADER_BYTES, top->head.bitmap_bytes, e);

	if (!r)
		r = disk_sync_(top->img.fd, e);
	/* Whole seconds, which a copy keeps. */
	if (!r && futimens(below->img.fd, now))
		r = err_sys(e, ERR_IO, errno, "cannot set the time of %s", below->img.path);
	if (!r)
		r = disk_parent_fill_(&top->head.parent, &below->img, e);
	if (!r)
		r = secret_random(top->head.generation, sizeof top->head.generation, e);
	top->head.committing = false;
	if (!r)
		r = disk_header_write_(top->img.fd, &top->head, e);
	if (!r)
		r = disk_sync_(top->img.fd, e);
	/* Only to give back the room. */
	if (!r)
		r = disk_zero_(top->img.fd, top->data_offset, top->bytes, e);
	return r;
}

static int commit(struct disk_chain *chain, bool force, struct err *e)
{
	struct disk_layer top, below = {0};
	uint8_t *data = malloc(STEP);
	int r = data ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	if (!r)
		r = open_below(chain, force, e);
	if (r) {
		err_where(e, "%s", chain->image[1].path);
		free(data);
		return r;
	}
	r = disk_layer_open_(&top, &chain->image[0], e);
	if (!r)
		r = disk_layer_open_(&below, &chain->image[1], e);
	/* Between the two locks somebody may have been faster. */
	if (!r && !top.head.committing)
		r = disk_parent_check_(&top.head.parent, &below.img, e);
	if (!r && top.bytes != below.bytes)
		r = err_set(e, ERR_STRUCTURE, "%s: another size than what lies on it",
			    below.img.path);
	if (!r)
		r = mark_committing(&top, &below, e);
	if (!r)
		r = copy_down(&top, &below, data, e);
	if (!r)
		r = mark_empty(&top, &below, e);
	disk_layer_fini_(&top);
	disk_layer_fini_(&below);
	free(data);
	return r;
}

int disk_tool_commit(const char *path, bool force, struct err *e)
{
	struct disk_chain chain;
	int r = disk_chain_open_(path, DISK_FOR_COMMIT, &chain, e);

	if (r)
		return r;
	if (chain.n == 1)
		r = err_set(e, ERR_USAGE, "%s: a raw image lies on nothing", path);
	else
		r = commit(&chain, force, e);
	disk_chain_close(&chain);
	return r;
}

/* How much of @bytes at @at of the file is a hole from there on. */
static uint64_t hole_length(int fd, uint64_t at, uint64_t bytes)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? bytes : 0;
	return (uint64_t)data - at < bytes ? (uint64_t)data - at : bytes;
}

static int copy_run(const struct disk_layer *from, uint64_t offset, uint64_t run, int fd,
		    uint8_t *data, struct err *e)
{
	struct io_src src = {.size = from->data_offset + from->bytes, .fd = from->img.fd};

	while (run) {
		uint64_t skip = hole_length(src.fd, from->data_offset + offset, run);
		offset += skip;
		run -= skip;
		uint64_t n = run < STEP ? run : STEP;
		int r = io_read_at(&src, data, n, from->data_offset + offset, e);
		if (r) {
			err_where(e, "%s", from->img.path);
			return r;
		}
		r = disk_write_sparse_(fd, data, n, offset, e);
		if (r)
			return r;
		offset += n;
		run -= n;
	}
	return 0;
}

static int copy_out(struct disk_layer *l, uint32_t n, int fd, uint8_t *data, struct err *e)
{
	uint64_t run;

	for (uint64_t offset = 0; offset < l->bytes; offset += run) {
		struct disk_layer *from = disk_layers_find_(l, n, offset, l->bytes - offset, &run);
		int r = copy_run(from, offset, run, fd, data, e);
		if (r)
			return r;
	}
	return 0;
}

static int flatten_layers(const struct disk_chain *chain, int fd, struct err *e)
{
	struct disk_layer *l = calloc(chain->n, sizeof *l);
	uint8_t *data = malloc(STEP);
	uint32_t n = 0;
	int r = l && data ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	while (!r && n < chain->n) {
		r = disk_layer_open_(&l[n], &chain->image[n], e);
		n += !r;
		if (!r && l[n - 1].bytes != l[0].bytes)
			r = err_set(e, ERR_STRUCTURE, "%s: another size than what lies on it",
				    l[n - 1].img.path);
	}
	if (!r && ftruncate(fd, (off_t)l[0].bytes))
		r = err_sys(e, ERR_IO, errno, "cannot set the size");
	if (!r)
		r = copy_out(l, n, fd, data, e);
	if (!r && fsync(fd))
		r = err_sys(e, ERR_IO, errno, "cannot sync");
	while (n--)
		disk_layer_fini_(&l[n]);
	free(l);
	free(data);
	return r;
}

static int sync_directory(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 || fsync(fd) ? err_sys(e, ERR_IO, errno, "cannot sync its directory") : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

static int flatten(const struct disk_chain *chain, const char *out_path, struct err *e)
{
	char tmp[PATH_MAX];
	struct stat st;
	int n = snprintf(tmp, sizeof tmp, "%s.XXXXXX", out_path);

	if (n >= (int)sizeof tmp)
		return err_set(e, ERR_LIMIT, "path too long");
	if (fstat(chain->image[0].fd, &st))
		return err_sys(e, ERR_IO, errno, "cannot stat");
	int fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot create");
	int r = flatten_layers(chain, fd, e);
	if (!r && fchmod(fd, (st.st_mode & 0444) | 0600))
		r = err_sys(e, ERR_IO, errno, "cannot set permissions");
	if (!r && renameat2(AT_FDCWD, tmp, AT_FDCWD, out_path, RENAME_NOREPLACE))
		r = err_sys(e, errno == EEXIST ? ERR_WRONG_STATE : ERR_IO, errno, "cannot rename");
	if (r)
		unlink(tmp);
	close(fd);
	return r ? r : sync_directory(out_path, e);
}

int disk_tool_flatten(const char *path, const char *out_path, struct err *e)
{
	struct disk_chain chain;
	int r;

	if (disk_name_format(out_path) != DISK_RAW)
		return err_set(e, ERR_USAGE,
			       "%s: the result is a raw image, and this the name of an "
			       "overlay",
			       out_path);
	r = disk_chain_open(path, false, &chain, e);
	if (r)
		return r;
	if (!access(out_path, F_OK))
		r = err_set(e, ERR_WRONG_STATE, "exists already");
	if (!r)
		r = flatten(&chain, out_path, e);
	if (r && e && !e->where[0])
		err_where(e, "%s", out_path);
	disk_chain_close(&chain);
	return r;
}
