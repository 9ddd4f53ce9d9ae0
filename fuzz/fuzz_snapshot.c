/* SPDX-License-Identifier: Apache-2.0 */
/* A whole file: opened, loaded, read here and there; once as it came and once with its digests made
 * right, so that what lies behind them is reached. A file that says it is encrypted is opened with
 * the key that repair.c uses. */
#include "fuzz.h"
#include "repair.h"
#include "snapshot/verdict.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Guest memory that is worth the time. */
#define RAM_MAX (16 * MIB)

static void read_here_and_there(struct snap *s)
{
	uint64_t bytes = snap_info(s)->ram_bytes;
	uint8_t part[100];

	for (uint64_t at = 0; at < bytes && at < RAM_MAX; at += 40000) {
		size_t n = bytes - at < sizeof part ? bytes - at : sizeof part;
		(void)!snap_read_ram(s, at, part, n, NULL);
	}
}

static void load(struct snap *s)
{
	struct snap_load_opts o = {.threads = 1};
	struct guest_mem m;

	if (snap_info(s)->ram_bytes > RAM_MAX)
		return;
	int verified = snap_verify(s, &o, NULL);
	/* A map that breaks rules can be looked at, but no memory be made from it. */
	if (layout_check(snap_layout(s), NULL)) {
		FUZZ_REQUIRE(verified == -ERR_STRUCTURE);
		return;
	}
	FUZZ_REQUIRE(!mem_init(&m, snap_layout(s), NULL));
	FUZZ_REQUIRE(snap_load_ram(s, &m, &o, NULL) == verified);
	mem_fini(&m);
}

/* A full snapshot of the same layout, with RAM that is all zero but for a byte. The record is made
 * to name it: no input could. */
static void give_parent(struct snap *s)
{
	struct snap_write_opts o = {.chunk_bytes = snap_ram(s)->chunk_bytes, .threads = 1};
	struct snapshot_parent *named = (void *)(uintptr_t)snap_parent(s);
	struct snap_manifest m = SNAP_MANIFEST_INIT;
	struct snap *parent = NULL;
	struct guest_mem ram;
	char path[64];

	if (!named || snap_info(s)->ram_bytes > RAM_MAX || layout_check(snap_layout(s), NULL))
		return;
	int fd = memfd_create("parent", MFD_CLOEXEC);
	FUZZ_REQUIRE(fd >= 0 && !mem_init(&ram, snap_layout(s), NULL));
	ram.host[ram.size / 2] = 1;
	for (uint32_t i = 0; i < 3; i++)
		FUZZ_REQUIRE(!snap_manifest_add(&m, snap_manifest(s)->item[i].desc, "",
						snap_manifest(s)->item[i].st, NULL));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	FUZZ_REQUIRE(!snap_write(fd, &m, &ram, &o, NULL, NULL));
	FUZZ_REQUIRE(!snap_open_file(path, NULL, &parent, NULL));
	memcpy(named->digest, snap_info(parent)->digest, sizeof named->digest);
	FUZZ_REQUIRE(!snap_set_parent(s, parent, NULL));
	snap_manifest_fini(&m);
	mem_fini(&ram);
	close(fd);
}

static void judge(const struct snap *s)
{
	struct findings f = {0};
	int r = verdict_snapshot(snap_manifest(s), NULL, &f, NULL);
	const struct host *own = snap_manifest_find(snap_manifest(s), &host_desc, "");

	FUZZ_REQUIRE(!r || r == -ERR_MISSING);
	FUZZ_REQUIRE(!own == !!r);
	if (own)
		FUZZ_REQUIRE(!verdict_snapshot(snap_manifest(s), own, &f, NULL));
	verdict_disks_unseen(snap_manifest(s), &f);
}

static void try(const uint8_t *data, size_t size)
{
	bool encrypted = size > 24 && data[24] & 1 << SNAP_REQ_ENCRYPTED;
	const struct snap_open_opts opts = {.key = encrypted ? fuzz_key() : NULL};
	struct err e = ERR_INIT;
	struct io_src src;
	struct snap *s;

	io_src_mem(&src, data, size);
	int r = snap_open(&src, &opts, &s, &e);
	FUZZ_REQUIRE(r ? r == -e.code && e.msg[0] : 1);
	if (r)
		return;
	judge(s);
	give_parent(s);
	read_here_and_there(s);
	load(s);
	snap_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	FUZZ_REQUIRE(copy);
	try(data, size);
	if (size)
		memcpy(copy, data, size);
	repair(copy, size);
	try(copy, size);
	free(copy);
	return 0;
}
