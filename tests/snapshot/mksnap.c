/* SPDX-License-Identifier: Apache-2.0 */
/* mksnap RECIPE SNAPSHOT [RAM]: saves a machine of the fixtures, and its RAM as it is, for tests
 * that look at files from outside. The recipes "small" and "sparse" are formats/next/golden. */
#include "fixture.h"
#include "state/clock.h"
#include "state/x86_vcpu.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Short last chunks in each region; a run of zeros across the first two; noise. */
static void small(struct fixture *f, struct snap_write_opts *o)
{
	static const struct fixture_ram ram[] = {
	    {0, 0x7000}, {0x100000, 0x1000}, {0x100000000, 0x5000}};
	uint64_t seed = 11;

	fixture_init_regions(f, ram, ARRAY_LEN(ram));
	o->chunk_bytes = 8192;
	o->level = 3;
	memset(f->ram.host, 0xa5, 0x1800);
	fixture_text(f->ram.host + 0x2100, 40, &seed);
	fixture_noise(f->ram.host + 0x9000, 60, &seed);
	memset(f->ram.host + 0xc000, 0x3c, 0x1000);
}

/* Three leaves: all zero, mixed, and a short one that is all zero again. */
static void sparse(struct fixture *f, struct snap_write_opts *o)
{
	static const struct fixture_ram ram[] = {{0, 0x200000}, {0x40000000, 0x604000}};
	uint64_t seed = 12;

	fixture_init_regions(f, ram, ARRAY_LEN(ram));
	o->chunk_bytes = 4096;
	o->level = 2;
	fixture_noise(f->ram.host + 0x400000, 30, &seed);
	f->ram.host[0x7fffff] = 0x77;
}

static void mid(struct fixture *f, struct snap_write_opts *o)
{
	uint64_t seed = 13;

	fixture_init(f, 80 * MIB);
	fixture_text(f->ram.host + 5000, 3 * MIB, &seed);
	fixture_noise(f->ram.host + 20 * MIB, 2 * MIB + 77, &seed);
	for (uint64_t at = 40 * MIB; at < 79 * MIB; at += MIB + 4096)
		fixture_text(f->ram.host + at, 3000, &seed);
}

static void huge(struct fixture *f, struct snap_write_opts *o)
{
	uint64_t seed = 14;

	fixture_init(f, 6 * GIB);
	fixture_text(f->ram.host + f->ram.slot[1].offset - 5000, 10000, &seed);
	f->ram.host[f->ram.size - 1] = 9;
}

static const struct {
	const char *name;
	void (*make)(struct fixture *f, struct snap_write_opts *o);
} recipes[] = {{"small", small}, {"sparse", sparse}, {"mid", mid}, {"huge", huge}};

static int save(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	struct err e = ERR_INIT;

	if (fd < 0 || io_write_all(fd, data, n, &e) || close(fd))
		return perror(path), 1;
	return 0;
}

int main(int argc, char **argv)
{
	static struct clock guest_clock;
	static struct x86_vcpu vcpu;
	struct snap_write_opts o = {0};
	struct fixture f = {0};
	struct err e = ERR_INIT;
	struct buf file;
	uint64_t seed = 99;

	for (size_t i = 0; argc >= 3 && i < ARRAY_LEN(recipes); i++)
		if (!strcmp(recipes[i].name, argv[1]))
			recipes[i].make(&f, &o);
	if (!f.ram.host)
		return fputs("usage: mksnap small|sparse|mid|huge SNAPSHOT [RAM]\n", stderr), 2;
	fixture_fill(&clock_desc, &guest_clock, &seed);
	fixture_fill(&x86_vcpu_desc, &vcpu, &seed);
	/* The golden files stay short. */
	bool golden = argv[1][0] == 's';
	if (golden) {
		f.machine.device_n = 2;
		f.manifest.n = 3;
	}
	if (snap_manifest_add(&f.manifest, &clock_desc, "", &guest_clock, &e) ||
	    (!golden && snap_manifest_add(&f.manifest, &x86_vcpu_desc, "1", &vcpu, &e)))
		return fprintf(stderr, "mksnap: %s\n", e.msg), 1;
	fixture_save(&f, &o, NULL, &file);
	int r = save(argv[2], file.data, file.len) ||
		(argc > 3 && save(argv[3], f.ram.host, f.ram.size));
	buf_free(&file);
	fixture_fini(&f);
	return r;
}
