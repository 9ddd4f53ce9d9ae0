/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio disk (virtio 1.1, 5.2). Requests go to the disk with pointers into guest memory. */
#include "devices/disk.h"
#include "devices/virtio_dev.h"

#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 256
#define SECTOR	   512
#define CLASS	   0x018000 /* mass storage, other */

#define PHYSICAL_SECTORS     8 /* 4 KiB */
#define PHYSICAL_EXPONENT    3
#define DISCARD_SECTORS_MAX  0x200000u /* 1 GiB, for zeroing too: it may have to write */
#define DISCARD_SEGMENTS_MAX 1

#define DISCARD_FEATURES (VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define FEATURES                                                                                   \
	(VIRTIO_RING_FEATURES | VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |                                 \
	 VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) |                   \
	 VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_RO) | DISCARD_FEATURES)

struct blk;

struct blk_req {
	struct disk_req disk;
	struct blk *blk;
	struct blk_req *next_free;
	struct gpa status_at;
	uint64_t data_bytes; /* written to the guest when all goes well, without the status */
	bool then_flush;
	struct virtq_chain chain;
};

struct blk {
	struct virtio v; /* first */
	struct virtio_blk_state st;
	struct disk *disk;
	uint64_t sectors;
	bool read_only;
	struct blk_req *req, *free;
	unsigned in_flight;
	bool submitting; /* in disk_submit(), lock held: only the loop's thread writes and reads it
			  */
	bool stalled;	 /* requests wait for one in flight to come back */
};

static struct blk *blk_of(struct device *d)
{
	return (struct blk *)d;
}

/* --- answers ------------------------------------------------------------------------------- */

static void answer(struct blk *b, struct blk_req *req, uint8_t status)
{
	struct virtio_queue *q = &b->v.queue[0];
	struct guest_mem *mem = b->v.host.mem;

	if (virtio_usable_(&b->v)) {
		uint64_t data = status == VIRTIO_BLK_S_OK ? req->data_bytes : 0;
		bool ok = mem_write(mem, req->status_at, &status, 1);
		(void)mem_rw(mem, req->status_at, 1); /* written by now: see virtq_push() */
		if (ok && virtq_push(&q->q, &req->chain, data + 1))
			virtio_signal_(q);
		else
			virtio_broken_(&b->v);
	}
	req->next_free = b->free;
	b->free = req;
	b->in_flight--;
	if (b->stalled) {
		b->stalled = false;
		virtio_again_(q);
	}
	if (!b->in_flight)
		virtio_idle_(&b->v);
}

static void submit(struct blk *b, struct blk_req *req)
{
	bool was = b->submitting;

	b->submitting = true;
	disk_submit(b->disk, &req->disk);
	b->submitting = was;
}

static void on_done(struct disk_req *disk, int result)
{
	struct blk_req *req = disk->owner;
	struct blk *b = req->blk;
	bool locked = b->submitting;

	if (!locked)
		device_lock(&b->v.fn.dev);
	if (!result && req->then_flush) {
		req->then_flush = false;
		req->disk.op = DISK_FLUSH;
		submit(b, req);
	} else {
		answer(b, req, result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	}
	if (!locked)
		device_unlock(&b->v.fn.dev);
}

/* --- requests ------------------------------------------------------------------------------ */

static bool in_range(const struct blk *b, uint64_t sector, uint64_t sectors)
{
	return num_inside(sector, sectors, 0, b->sectors);
}

static void start(struct blk *b, struct blk_req *req, enum disk_op op, uint64_t sector,
		  uint64_t bytes)
{
	req->disk.op = op;
	req->disk.offset = sector * SECTOR;
	req->disk.bytes = bytes;
	submit(b, req);
}

/* A driver that did not accept FLUSH counts on written data to be safe (5.2.6.2). */
static bool writes_through(const struct blk *b)
{
	return !virtio_has_(&b->v, VIRTIO_BLK_F_FLUSH);
}

static void transfer(struct blk *b, struct blk_req *req, bool write, uint64_t sector)
{
	struct virtq_chain *c = &req->chain;
	uint64_t bytes = write ? c->out_bytes : c->in_bytes;

	if (bytes % SECTOR || !in_range(b, sector, bytes / SECTOR) || (write && b->read_only)) {
		answer(b, req, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (!write)
		req->data_bytes = bytes;
	if (!bytes) {
		answer(b, req, VIRTIO_BLK_S_OK);
		return;
	}
	req->disk.iov = write ? c->iov : c->iov + c->out_n;
	req->disk.iov_n = write ? c->out_n : c->in_n;
	req->then_flush = write && writes_through(b);
	start(b, req, write ? DISK_WRITE : DISK_READ, sector, bytes);
}

static void discard(struct blk *b, struct blk_req *req, bool zero)
{
	struct virtio_blk_discard_write_zeroes seg;
	uint32_t flags_known = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (!virtio_has_(&b->v, zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD)) {
		answer(b, req, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (req->chain.out_bytes != sizeof seg * DISCARD_SEGMENTS_MAX || b->read_only) {
		answer(b, req, VIRTIO_BLK_S_IOERR);
		return;
	}
	virtq_read(&req->chain, 0, &seg, sizeof seg);
	if (seg.flags & ~flags_known) {
		answer(b, req, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (seg.num_sectors > DISCARD_SECTORS_MAX || !in_range(b, seg.sector, seg.num_sectors)) {
		answer(b, req, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (!seg.num_sectors) {
		answer(b, req, VIRTIO_BLK_S_OK);
		return;
	}
	req->then_flush = writes_through(b);
	start(b, req, zero ? DISK_ZERO : DISK_DISCARD, seg.sector,
	      (uint64_t)seg.num_sectors * SECTOR);
}

static void get_id(struct blk *b, struct blk_req *req)
{
	char id[VIRTIO_BLK_ID_BYTES] = {0}; /* no NUL when it fills them */

	memcpy(id, b->v.fn.dev.id, strnlen(b->v.fn.dev.id, sizeof id));
	req->data_bytes = virtq_write(&req->chain, 0, id, sizeof id);
	answer(b, req, VIRTIO_BLK_S_OK);
}

/* Take header and status off the chain, leaving the data. */
static bool unwrap(struct blk_req *req, struct virtio_blk_outhdr *hdr)
{
	struct virtq_chain *c = &req->chain;
	size_t skip = sizeof *hdr;
	unsigned first = 0, last = c->out_n + c->in_n - 1u;

	if (c->out_bytes < sizeof *hdr || !c->in_bytes)
		return false;
	virtq_read(c, 0, hdr, sizeof *hdr);
	c->out_bytes -= sizeof *hdr;
	while (first < c->out_n && skip >= c->iov[first].iov_len)
		skip -= c->iov[first++].iov_len;
	if (skip) {
		c->iov[first].iov_base = (char *)c->iov[first].iov_base + skip;
		c->iov[first].iov_len -= skip;
		c->at[first] = gpa_add(c->at[first], skip);
	}
	c->iov[last].iov_len--;
	c->in_bytes--;
	req->status_at = gpa_add(c->at[last], c->iov[last].iov_len);
	if (!c->iov[last].iov_len)
		c->in_n--;
	if (first) {
		unsigned n = (unsigned)c->out_n + c->in_n - first;
		memmove(c->iov, c->iov + first, n * sizeof c->iov[0]);
		memmove(c->at, c->at + first, n * sizeof c->at[0]);
		c->out_n = (uint16_t)(c->out_n - first);
	}
	return true;
}

static bool handle(struct blk *b, struct blk_req *req)
{
	struct virtio_blk_outhdr hdr;

	req->data_bytes = 0;
	req->then_flush = false;
	if (!unwrap(req, &hdr))
		return false;
	b->free = req->next_free;
	b->in_flight++;
	switch (hdr.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		transfer(b, req, hdr.type == VIRTIO_BLK_T_OUT, hdr.sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		start(b, req, DISK_FLUSH, 0, 0);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		discard(b, req, hdr.type == VIRTIO_BLK_T_WRITE_ZEROES);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(b, req);
		break;
	default:
		answer(b, req, VIRTIO_BLK_S_UNSUPP);
	}
	return true;
}

static void work(struct virtio *v, struct virtio_queue *q)
{
	struct blk *b = (struct blk *)v;

	virtq_quiet(&q->q);
	for (unsigned budget = q->q.st->size; budget; budget--) {
		struct blk_req *req = b->free;
		if (!req) {
			b->stalled = true;
			return;
		}
		int r = virtq_pop(&q->q, &req->chain);
		if (r < 0 || (r > 0 && !handle(b, req))) {
			virtio_broken_(v);
			return;
		}
		/* An answer that came at once may have found the queue broken. */
		if (!virtio_usable_(v) || (!r && virtq_wait(&q->q)))
			return;
	}
	virtio_again_(q);
}

/* --- life ---------------------------------------------------------------------------------- */

static bool busy(const struct virtio *v)
{
	return ((const struct blk *)v)->in_flight;
}

static void blk_pause(struct device *d)
{
	virtio_pause_(d);
	device_unlock(d);
	disk_drain(blk_of(d)->disk);
	device_lock(d);
}

static void blk_free(struct device *d)
{
	struct blk *b = blk_of(d);

	disk_drain(b->disk);
	virtio_fini_(&b->v);
	free(b->req);
	free(b);
}

static const struct device_class blk_class = {
    .type = "virtio-blk",
    .state = &virtio_blk_state_desc,
    .pause = blk_pause,
    .resume = virtio_resume_,
    .pre_save = virtio_pre_save_,
    .check = virtio_check_,
    .post_load = virtio_post_load_,
    .reset = virtio_reset_,
    .free = blk_free,
};

static const struct virtio_kind blk_kind = {
    .cls = &blk_class,
    .id = VIRTIO_ID_BLOCK,
    .pci_class = CLASS,
    .features = FEATURES,
    .queues = 1,
    .queue_size = QUEUE_SIZE,
    .work = work,
    .busy = busy,
};

void virtio_blk_describe(struct machine_device *md, const char *id, uint64_t sectors,
			 bool read_only)
{
	virtio_describe_(md, id, &blk_kind);
	md->blocks = sectors;
	md->read_only = read_only;
	md->features &= ~(read_only ? DISCARD_FEATURES : VIRTIO_BIT(VIRTIO_BLK_F_RO));
}

static void fill_config(struct virtio *v, const struct machine_device *md)
{
	struct virtio_blk_config c = {
	    .capacity = md->blocks,
	    .seg_max = md->queue_size - 2u, /* and header and status */
	    .blk_size = SECTOR,
	    .physical_block_exp = PHYSICAL_EXPONENT,
	    .min_io_size = PHYSICAL_SECTORS,
	    .num_queues = md->queues,
	    .max_discard_sectors = DISCARD_SECTORS_MAX,
	    .max_discard_seg = DISCARD_SEGMENTS_MAX,
	    .discard_sector_alignment = PHYSICAL_SECTORS,
	    .max_write_zeroes_sectors = DISCARD_SECTORS_MAX,
	    .max_write_zeroes_seg = DISCARD_SEGMENTS_MAX,
	    .write_zeroes_may_unmap = 1,
	};

	v->config_bytes = offsetof(struct virtio_blk_config, max_secure_erase_sectors);
	memcpy(v->config, &c, v->config_bytes);
}

static int check_disk(const struct machine_device *md, const struct disk *disk, struct err *e)
{
	if (md->blocks > disk_bytes(disk) / SECTOR)
		return err_set(e, ERR_INCOMPATIBLE,
			       "%s: a disk of %" PRIu64 " bytes, %" PRIu64 " sectors are described",
			       md->id, disk_bytes(disk), md->blocks);
	if (disk_read_only(disk) && !md->read_only)
		return err_set(e, ERR_INCOMPATIBLE, "%s: the disk cannot be written", md->id);
	if (md->read_only != !!(md->features & VIRTIO_BIT(VIRTIO_BLK_F_RO)))
		return err_set(e, ERR_INCOMPATIBLE,
			       "%s: described as read-only in one place and not in the other",
			       md->id);
	return 0;
}

static int set_up(struct blk *b, const struct machine_device *md, struct err *e)
{
	b->req = calloc(md->queue_size, sizeof *b->req);
	if (!b->req)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (unsigned i = md->queue_size; i-- > 0;) {
		b->req[i].blk = b;
		b->req[i].disk.owner = &b->req[i];
		b->req[i].disk.done = on_done;
		b->req[i].next_free = b->free;
		b->free = &b->req[i];
	}
	return 0;
}

int virtio_blk_new(const struct machine_device *md, const struct virtio_host *host,
		   struct disk *disk, struct device **out, struct err *e)
{
	int r = check_disk(md, disk, e);

	if (r)
		return r;
	struct blk *b = calloc(1, sizeof *b);
	if (!b)
		return err_set(e, ERR_NOMEM, "out of memory");
	b->disk = disk;
	b->sectors = md->blocks;
	b->read_only = md->read_only;
	fill_config(&b->v, md);
	r = set_up(b, md, e);
	if (!r)
		r = virtio_init_(&b->v, &blk_kind, &b->st, md, host, e);
	if (r) {
		free(b->req);
		free(b);
		return r;
	}
	*out = &b->v.fn.dev;
	return 0;
}
