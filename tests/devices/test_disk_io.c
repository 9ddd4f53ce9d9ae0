/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk holds, against an array that holds the same. */
#include "disk_fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not a multiple of the cluster, so that the last one is short. */
#define BYTES	  (2 * MIB + 5 * DISK_SECTOR)
#define IN_FLIGHT 100 /* more than the ring holds */

struct pending {
	struct disk_req req;
	struct iovec iov[3];
	uint8_t *data;
	uint8_t *expect; /* of a read */
	bool busy;
};

struct model {
	struct disk_fixture *f;
	struct disk *d;
	uint8_t *bytes;
	uint64_t hot; /* sector */
	struct pending p[IN_FLIGHT];
};

static void on_done(struct disk_req *req, int result)
{
	struct pending *p = req->owner;

	assert_int_equal(result, 0);
	assert_true(p->busy);
	if (p->expect)
		assert_memory_equal(p->data, p->expect, req->bytes);
	free(p->data);
	free(p->expect);
	p->busy = false;
}

static bool overlaps(const struct model *m, uint64_t offset, uint64_t bytes)
{
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		const struct disk_req *r = &m->p[i].req;
		if (m->p[i].busy && r->offset < offset + bytes && offset < r->offset + r->bytes)
			return true;
	}
	return false;
}

/* A random request into @p; false when it would meet one in flight, whose outcome is not defined.
 * They may well meet in a cluster. */
static bool random_request(struct model *m, struct pending *p)
{
	struct disk_fixture *f = m->f;
	/* Discards are rare because they are waited for. */
	static const enum disk_op ops[] = {DISK_READ,  DISK_READ,  DISK_READ,  DISK_WRITE,
					   DISK_WRITE, DISK_WRITE, DISK_WRITE, DISK_ZERO,
					   DISK_FLUSH, DISK_WRITE};
	enum disk_op op =
	    fixture_random(f, 60) ? ops[fixture_random(f, ARRAY_LEN(ops))] : DISK_DISCARD;
	uint64_t sectors = BYTES / DISK_SECTOR, n, at;
	uint64_t cut[2];

	/* Mostly small ones close together, so that they meet in clusters. */
	if (fixture_random(f, 8)) {
		n = 1 + fixture_random(f, 10);
		at = m->hot + fixture_random(f, 64);
	} else {
		n = 1 + fixture_random(f, 600);
		at = fixture_random(f, sectors);
		m->hot = fixture_random(f, sectors - 64);
	}
	if (n > sectors - at)
		n = sectors - at;
	*p = (struct pending){.req = {.op = op,
				      .offset = at * DISK_SECTOR,
				      .bytes = n * DISK_SECTOR,
				      .iov = p->iov,
				      .iov_n = 3,
				      .done = on_done,
				      .owner = p}};
	struct disk_req *r = &p->req;
	if (r->op == DISK_FLUSH)
		r->offset = r->bytes = 0;
	if (overlaps(m, r->offset, r->bytes))
		return false;
	p->data = malloc(r->bytes + 1);
	/* Three uneven pieces; one may be empty. */
	cut[0] = fixture_random(f, r->bytes + 1);
	cut[1] = cut[0] + fixture_random(f, r->bytes - cut[0] + 1);
	p->iov[0] = (struct iovec){p->data, cut[0]};
	p->iov[1] = (struct iovec){p->data + cut[0], cut[1] - cut[0]};
	p->iov[2] = (struct iovec){p->data + cut[1], r->bytes - cut[1]};
	uint8_t *model = m->bytes + r->offset;
	if (r->op == DISK_WRITE) {
		for (uint64_t i = 0; i < r->bytes; i++)
			p->data[i] = (uint8_t)fixture_random(f, 256);
		memcpy(model, p->data, r->bytes);
	} else if (r->op == DISK_ZERO) {
		memset(model, 0, r->bytes);
	} else if (r->op == DISK_READ) {
		memset(p->data, 0xee, r->bytes);
		p->expect = malloc(r->bytes);
		memcpy(p->expect, model, r->bytes);
	}
	p->busy = true;
	return true;
}

/* What a discard leaves is the disk's affair: take it over, once it is there. */
static void settle_discard(struct model *m, struct pending *p)
{
	uint64_t offset = p->req.offset, bytes = p->req.bytes;

	disk_drain(m->d);
	uint8_t *now = malloc(bytes);
	fixture_read(m->d, offset, now, bytes);
	for (uint64_t i = 0; i < bytes; i++)
		assert_true(now[i] == 0 || now[i] == m->bytes[offset + i]);
	memcpy(m->bytes + offset, now, bytes);
	free(now);
}

static void random_ops(struct model *m, int n)
{
	for (int i = 0; i < n; i++) {
		struct pending *p = &m->p[fixture_random(m->f, IN_FLIGHT)];
		if (p->busy || !random_request(m, p)) {
			if (!fixture_random(m->f, 30))
				disk_drain(m->d);
			continue;
		}
		bool discard = p->req.op == DISK_DISCARD;
		disk_submit(m->d, &p->req);
		if (discard)
			settle_discard(m, p);
	}
	disk_drain(m->d);
	for (size_t i = 0; i < IN_FLIGHT; i++)
		assert_false(m->p[i].busy);
}

static void model_start(struct model *m, void **state, int overlays)
{
	char below[32] = "base.raw", name[32];

	*m = (struct model){.f = *state, .bytes = malloc(BYTES)};
	m->f->random += (uint64_t)overlays;
	fixture_raw(below, BYTES, 3);
	fixture_pattern(m->bytes, BYTES, 3);
	for (int i = 0; i < overlays; i++) {
		snprintf(name, sizeof name, "o%d.vmdisk", i);
		fixture_overlay(name, below);
		m->d = fixture_open(m->f, name, true);
		random_ops(m, i == overlays - 1 ? 0 : 40);
		fixture_close(m->d);
		strcpy(below, name);
	}
	m->d = fixture_open(m->f, below, true);
}

static void check_random(void **state, int overlays)
{
	struct model m;
	char path[300];

	model_start(&m, state, overlays);
	for (int round = 0; round < 6; round++) {
		random_ops(&m, 400);
		fixture_expect(m.d, m.bytes);
		snprintf(path, sizeof path, "%s", disk_path(m.d));
		fixture_close(m.d);
		m.d = fixture_open(m.f, path, round < 5);
		fixture_expect(m.d, m.bytes);
	}
	fixture_close(m.d);
	free(m.bytes);
}

static void test_raw(void **state)
{
	check_random(state, 0);
}

static void test_overlay_1(void **state)
{
	check_random(state, 1);
}

static void test_overlay_2(void **state)
{
	check_random(state, 2);
}

static void test_overlay_3(void **state)
{
	check_random(state, 3);
}

/* Eight writes of a sector each to one cluster, at once; and a whole one, a hole and a part of it.
 */
static void test_one_cluster(void **state)
{
	struct model m;

	model_start(&m, state, 1);
	for (uint64_t at = 0; at < BYTES - 16 * KIB; at += 16 * KIB) {
		/* In sectors; the second half is one request that ends in the middle of a cluster.
		 */
		static const struct {
			enum disk_op op;
			uint64_t first, n;
		} part[] = {
		    {DISK_WRITE, 3, 1}, {DISK_WRITE, 1, 1},   {DISK_WRITE, 5, 1},
		    {DISK_ZERO, 7, 1},	{DISK_WRITE, 0, 1},   {DISK_ZERO, 2, 1},
		    {DISK_WRITE, 6, 1}, {DISK_WRITE, 12, 4},  {DISK_ZERO, 8, 4},
		    {DISK_WRITE, 4, 1}, {DISK_WRITE, 16, 12}, {DISK_ZERO, 28, 4},
		};
		for (size_t i = 0; i < ARRAY_LEN(part); i++) {
			struct pending *p = &m.p[i];
			uint64_t offset = at + part[i].first * DISK_SECTOR;
			uint64_t bytes = part[i].n * DISK_SECTOR;
			*p = (struct pending){.busy = true, .data = malloc(bytes)};
			p->iov[0] = (struct iovec){p->data, bytes};
			p->req = (struct disk_req){.op = part[i].op,
						   .offset = offset,
						   .bytes = bytes,
						   .iov = p->iov,
						   .iov_n = 1,
						   .done = on_done,
						   .owner = p};
			memset(p->data, part[i].op == DISK_ZERO ? 0 : 0x80 + (int)i, bytes);
			memcpy(m.bytes + offset, p->data, bytes);
			disk_submit(m.d, &p->req);
		}
		disk_drain(m.d);
	}
	fixture_expect(m.d, m.bytes);
	fixture_close(m.d);
	free(m.bytes);
}

static uint64_t anonymous_bytes(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	uint64_t kib = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
			break;
	fclose(f);
	return kib * KIB;
}

/* A large disk costs what was written to it, not what it could hold. */
static void test_huge(void **state)
{
	const uint64_t bytes = 4 * TIB;
	struct disk_fixture *f = *state;
	uint8_t sector[DISK_SECTOR], got[DISK_SECTOR];
	int fd = open("base.raw", O_CREAT | O_RDWR, 0644);

	assert_true(fd >= 0);
	if (ftruncate(fd, (off_t)bytes)) {
		fprintf(stderr, "SKIPPED: no files of 4 TiB here\n");
		close(fd);
		skip();
	}
	close(fd);
	fixture_overlay("o.vmdisk", "base.raw");
	uint64_t before = anonymous_bytes();

	assert_true(before);
	for (int round = 0; round < 2; round++) {
		struct disk *d = fixture_open(f, "o.vmdisk", true);
		for (uint64_t i = 0; i < 40; i++) {
			uint64_t at = i * (bytes / 40 / DISK_SECTOR * DISK_SECTOR) + DISK_SECTOR;
			memset(sector, (int)i + 1, sizeof sector);
			if (!round)
				fixture_write(d, at, sector, sizeof sector);
			fixture_read(d, at, got, sizeof got);
			assert_memory_equal(got, sector, sizeof got);
			fixture_read(d, at - DISK_SECTOR, got, sizeof got);
			assert_true(!got[0] && !memcmp(got, got + 1, sizeof got - 1));
		}
		fixture_flush(d);
#ifndef __SANITIZE_ADDRESS__ /* which remembers each byte of what is allocated */
		assert_in_range(anonymous_bytes(), 0, before + 2 * MIB);
#endif
		assert_int_equal(fixture_do(d, DISK_READ, bytes, got, sizeof got), -ERR_RANGE);
		assert_int_equal(fixture_do(d, DISK_READ, bytes - DISK_SECTOR, got, sizeof got), 0);
		fixture_close(d);
	}
}

static void on_refused(struct disk_req *req, int result)
{
	struct pending *p = req->owner;

	assert_int_equal(result, -ERR_RANGE);
	p->busy = false;
}

/* What a guest must not ask is refused, and nothing happens. */
static void test_refused(void **state)
{
	static const struct {
		uint64_t offset, bytes;
	} bad[] = {
	    {0, 511},
	    {1, 512},
	    {BYTES, 512},
	    {BYTES - 512, 1024},
	    {UINT64_MAX - 511, 512},
	    {512, UINT64_MAX - 511},
	    {0, UINT64_MAX - 511},
	};
	struct disk_fixture *f = *state;
	uint8_t *data = calloc(1, 2048), *model = malloc(BYTES);

	fixture_raw("base.raw", BYTES, 3);
	fixture_pattern(model, BYTES, 3);
	struct disk *d = fixture_open(f, "base.raw", true);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (int op = DISK_READ; op <= DISK_ZERO; op++)
			if (op != DISK_FLUSH)
				assert_int_equal(fixture_do(d, (enum disk_op)op, bad[i].offset,
							    data, bad[i].bytes),
						 -ERR_RANGE);
	/* Memory of another size than it says. */
	struct iovec iov = {data, 1024};
	struct pending p = {.busy = true};
	p.req = (struct disk_req){.op = DISK_WRITE,
				  .bytes = 512,
				  .iov = &iov,
				  .iov_n = 1,
				  .done = on_refused,
				  .owner = &p};
	disk_submit(d, &p.req);
	assert_false(p.busy);
	assert_int_equal(fixture_do(d, DISK_WRITE, BYTES, data, 0), 0);
	fixture_expect(d, model);
	fixture_close(d);
	free(data);
	free(model);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, disk_fixture_setup, disk_fixture_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_raw),	 T(test_overlay_1), T(test_overlay_2), T(test_overlay_3),
	    T(test_one_cluster), T(test_huge),	    T(test_refused),
	};

	return cmocka_run_group_tests_name("disk_io", tests, NULL, NULL);
}
