/* SPDX-License-Identifier: Apache-2.0 */
/* A whole file: opened, loaded, read here and there; once as it came and once with its digests made
 * right, so that what lies behind them is reached. */
#include "fuzz.h"
#include "repair.h"
#include "snapshot/snapshot.h"

#include <string.h>

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
	FUZZ_REQUIRE(!mem_init(&m, snap_layout(s), NULL));
	FUZZ_REQUIRE(snap_load_ram(s, &m, &o, NULL) == verified);
	mem_fini(&m);
}

static void try(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct io_src src;
	struct snap *s;

	io_src_mem(&src, data, size);
	int r = snap_open(&src, &s, &e);
	FUZZ_REQUIRE(r ? r == -e.code && e.msg[0] : 1);
	if (r)
		return;
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
