/* SPDX-License-Identifier: Apache-2.0 */
/* mksnap RECIPE SNAPSHOT [RAM]: saves a machine of the fixtures, and its RAM as it is, for tests
 * that look at files from outside. Those that say so are formats/next/golden; the sealed ones are
 * "small" with the keys of fixture_keys_init(). */
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

/* The same, to be mapped. */
static void raw(struct fixture *f, struct snap_write_opts *o)
{
	small(f, o);
	o->raw = true;
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

/* Of small: another chunk, one that is zero now, and one that is as it was. */
static void child(struct fixture *f, struct snap_write_opts *o)
{
	uint64_t seed = 15;

	fixture_text(f->ram.host + 0x2100, 50, &seed);
	memset(f->ram.host + 0xc000, 0, 0x1000);
	mem_mark(&f->ram, 0x2000, 1);
	mem_mark(&f->ram, 0xc000, 1);
}

/* Of the child: what is written is back where small had zeros. */
static void grandchild(struct fixture *f, struct snap_write_opts *o)
{
	f->ram.host[0x4000] = 0x11;
	mem_mark(&f->ram, 0x4000, 1);
}

/* Of sparse: a leaf that is all of the parent, one with a chunk of its own, one that is zero again.
 */
static void offspring(struct fixture *f, struct snap_write_opts *o)
{
	f->ram.host[0x600000] = 0x22;
	mem_mark(&f->ram, 0x600000, 1);
	mem_mark(&f->ram, 0x800000, 0x4000);
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

enum { GOLDEN = 1, SIGNED = 2, WITH_KEY = 4, WITH_PASSPHRASE = 8 };

static const struct recipe {
	const char *name;
	void (*make)(struct fixture *f, struct snap_write_opts *o);
	unsigned flags;
	const char *parent;
} recipes[] = {
    {"small", small, GOLDEN, NULL},
    {"sparse", sparse, GOLDEN, NULL},
    {"signed", small, GOLDEN | SIGNED, NULL},
    {"encrypted", small, GOLDEN | WITH_KEY, NULL},
    {"passphrase", small, GOLDEN | WITH_PASSPHRASE, NULL},
    {"sealed", small, GOLDEN | WITH_KEY | SIGNED, NULL},
    {"child", child, GOLDEN, "small"},
    {"grandchild", grandchild, GOLDEN, "child"},
    {"offspring", offspring, GOLDEN, "sparse"},
    {"raw", raw, GOLDEN, NULL},
    {"mid", mid, 0, NULL},
    {"huge", huge, 0, NULL},
};

static void seal(const struct recipe *r, struct fixture_keys *k, struct snap_write_opts *o)
{
	fixture_keys_init(k);
	o->salt = k->salt;
	if (r->flags & SIGNED)
		o->sign = &k->sign;
	if (r->flags & (WITH_KEY | WITH_PASSPHRASE))
		o->master = &k->master;
	if (!(r->flags & WITH_PASSPHRASE))
		return;
	snap_master_fini(&k->master);
	if (snap_master_again(&k->passphrase, &k->passphrase_kdf, &k->master, NULL))
		abort();
}

static int save(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	struct err e = ERR_INIT;

	if (fd < 0 || io_write_all(fd, data, n, &e) || close(fd))
		return perror(path), 1;
	return 0;
}

static const struct recipe *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(recipes); i++)
		if (!strcmp(recipes[i].name, name))
			return &recipes[i];
	return NULL;
}

/* What is saved beside RAM. The golden files stay short. */
static void complete(struct fixture *f, bool golden)
{
	static struct clock guest_clock;
	static struct x86_vcpu vcpu;
	uint64_t seed = 99;

	fixture_fill(&clock_desc, &guest_clock, &seed);
	fixture_fill(&x86_vcpu_desc, &vcpu, &seed);
	if (golden) {
		f->machine.device_n = 2;
		f->manifest.n = 3;
	}
	if (snap_manifest_add(&f->manifest, &clock_desc, "", &guest_clock, NULL) ||
	    (!golden && snap_manifest_add(&f->manifest, &x86_vcpu_desc, "1", &vcpu, NULL)))
		abort();
}

/* With a parent, that is made first, and what it is named by is all that is kept of it. */
static void make(const struct recipe *r, struct fixture *f, struct snap_write_opts *o,
		 struct buf *file)
{
	static struct snapshot_parent parent;
	static uint64_t changed[64];
	struct snap_stats st;

	if (r->parent) {
		make(find(r->parent), f, o, file);
		buf_free(file);
		o->parent = &parent;
		o->changed = changed;
		if (mem_track(&f->ram, NULL))
			abort();
		f->identity.uuid[15]++;
	}
	r->make(f, o);
	if (r->parent) {
		memset(changed, 0, sizeof changed);
		mem_take_dirty(&f->ram, changed);
	} else {
		complete(f, r->flags & GOLDEN);
	}
	fixture_save(f, o, &st, file);
	memcpy(parent.uuid, f->identity.uuid, sizeof parent.uuid);
	memcpy(parent.digest, st.digest, sizeof parent.digest);
	snprintf(parent.file, sizeof parent.file, "%s.vmsnap", r->name);
}

int main(int argc, char **argv)
{
	struct snap_write_opts o = {0};
	const struct recipe *r = argc >= 3 ? find(argv[1]) : NULL;
	struct fixture_keys keys;
	struct fixture f = {0};
	struct buf file;

	if (!r)
		return fputs("usage: mksnap RECIPE SNAPSHOT [RAM]\n", stderr), 2;
	seal(r, &keys, &o);
	make(r, &f, &o, &file);
	int failed = save(argv[2], file.data, file.len) ||
		     (argc > 3 && save(argv[3], f.ram.host, f.ram.size));
	buf_free(&file);
	fixture_fini(&f);
	fixture_keys_fini(&keys);
	return failed;
}
