/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the definitions come out as, for comparison between compilers, architectures and releases.
 *
 * digests random       a line for each of some hundred random parameter sets, then a digest over
 * all digests frozen ID    the maps of one definition in formats/layouts, as they stand there
 * digests corpus DIR   a file for each of those, in CBOR: where fuzzing begins
 */
#include "layout/layout.h"
#include "oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_SETS 400 /* for each definition */

/* --- random sets ---------------------------------------------------------------------------- */

static uint64_t seed;

static uint64_t below(uint64_t n)
{
	return oracle_random(&seed) % n;
}

static void random_set(const struct layout_def *def, struct layout_params *p)
{
	layout_params_init(p, (4 + below(1ull << (5 + below(15)))) * 2 * MIB);
	p->vcpus = (uint32_t)(1 + below(8));
	p->phys_bits = (uint8_t)(p->phys_bits + below(3));
	p->kernel_bytes = below(4) ? below(80 * MIB) : 0;
	p->initrd_bytes = below(2) ? below(40 * MIB) : 0;
	p->swiotlb_bytes = below(3) ? 0 : (1 + below(64)) * 64 * KIB;
	p->pvm_firmware_bytes = below(4) ? 0 : 1 + below(4 * MIB);
	p->firmware_bytes = 1 + below(8 * MIB);
	p->gic_version = (uint8_t)(2 + below(2));
	p->gic_its = p->gic_version == 3 && below(2);
	layout_params_fit(def, p);
}

/* A set that nothing can be made of has a line too: refusals are part of a definition. */
static void random_line(const struct layout_def *def, unsigned i, struct buf *all)
{
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1] = "refused", line[256];
	struct layout_params p;
	struct layout l;

	random_set(def, &p);
	if (!layout_build(def, &p, &l, NULL)) {
		layout_digest(&l, digest);
		sha256_hex(digest, hex);
	}
	int n = snprintf(line, sizeof line, "%s %u ram=%" PRIu64 " vcpus=%u %s\n",
			 layout_def_id(def), i, p.ram_bytes, p.vcpus, hex);
	fputs(line, stdout);
	buf_put(all, line, (size_t)n);
}

static int print_digest(const char *what, const struct buf *b)
{
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	if (b->failed)
		return 1;
	sha256_of(b->data, b->len, digest);
	printf("all of %s %s\n", what, sha256_hex(digest, hex));
	return 0;
}

static int random_sets(void)
{
	const struct layout_def *def;
	struct buf all = BUF_INIT;
	int r = 0;

	for (size_t d = 0; (def = layout_def_at(d)); d++) {
		struct buf one = BUF_INIT;
		seed = d;
		for (unsigned i = 0; i < RANDOM_SETS; i++)
			random_line(def, i, &one);
		r |= print_digest(layout_def_id(def), &one);
		buf_put(&all, one.data, one.len);
		buf_free(&one);
	}
	r |= print_digest("them", &all);
	buf_free(&all);
	return r;
}

/* --- chosen sets ---------------------------------------------------------------------------- */

/* In every definition, as far as it takes them; what two definitions have in common can be
 * compared. Kernel and initrd are of a size that Debian's have. */
static const struct layout_params chosen[] = {
    {.ram_bytes = 64 * MIB, .vcpus = 1},
    {.ram_bytes = 64 * MIB, .vcpus = 1, .kernel_bytes = 0x1001234, .initrd_bytes = 12345},
    {.ram_bytes = 2 * GIB, .vcpus = 2, .kernel_bytes = 0x4178000, .initrd_bytes = 0x1e00123},
    {.ram_bytes = 0xd0000000, .vcpus = 4, .kernel_bytes = 0x4178000, .firmware_bytes = 0x20000},
    {.ram_bytes = 4 * GIB,
     .vcpus = 8,
     .kernel_bytes = 0x4178000,
     .gic_version = 2,
     .firmware_bytes = 0x400000},
    {.ram_bytes = 4 * GIB,
     .vcpus = 8,
     .kernel_bytes = 0x4178000,
     .pvm_firmware_bytes = 0x123456,
     .swiotlb_bytes = 0x1010000,
     .gic_its = true},
    {.ram_bytes = 64 * GIB, .vcpus = 16, .kernel_bytes = 0x4178000, .initrd_bytes = 0x1e00123},
    {.ram_bytes = TIB, .vcpus = 16, .kernel_bytes = 0x4178000, .phys_bits = 46},
};

static int build(const struct layout_def *def, size_t i, struct layout *l)
{
	struct layout_params p = chosen[i], dflt;
	struct err e = ERR_INIT;

	layout_params_init(&dflt, p.ram_bytes);
	if (!p.phys_bits)
		p.phys_bits = dflt.phys_bits;
	layout_params_fit(def, &p);
	layout_params_complete(def, &p);
	int r = layout_build(def, &p, l, &e);
	if (r)
		fprintf(stderr, "digests: %s, set %zu: %s\n", layout_def_id(def), i, e.msg);
	return r;
}

/* Not by layout_print_text(), which may become prettier at any time; notes are documentation. */
static void print_map(const struct layout *l)
{
	const struct layout_params *p = &l->params;
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	layout_digest(l, digest);
	printf("\nram_bytes=0x%" PRIx64 " vcpus=%u phys_bits=%u kernel_bytes=0x%" PRIx64
	       " initrd_bytes=0x%" PRIx64 "\nswiotlb_bytes=0x%" PRIx64 " firmware_bytes=0x%" PRIx64
	       " pvm_firmware_bytes=0x%" PRIx64 " gic_version=%u gic_its=%d\nsha256 %s\n",
	       p->ram_bytes, p->vcpus, p->phys_bits, p->kernel_bytes, p->initrd_bytes,
	       p->swiotlb_bytes, p->firmware_bytes, p->pvm_firmware_bytes, p->gic_version,
	       p->gic_its, sha256_hex(digest, hex));
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		printf("0x%011" PRIx64 " 0x%011" PRIx64 " %-12s %-30s", r->start, region_end(r),
		       region_kind_names.name[r->kind], r->name);
		if (r->irq == LAYOUT_NO_IRQ)
			printf("  -");
		else
			printf(" %2u", r->irq);
		printf(" %s\n", r->parent ? l->region[r->parent - 1].name : "-");
	}
}

static int frozen(const char *id)
{
	const struct layout_def *def = layout_def_find(id);
	struct layout l;

	if (!def) {
		fprintf(stderr, "digests: no definition %s\n", id);
		return 2;
	}
	printf("%s\n", id);
	for (size_t i = 0; i < ARRAY_LEN(chosen); i++) {
		if (build(def, i, &l))
			return 1;
		print_map(&l);
	}
	return 0;
}

static int write_file(const char *dir, const char *id, size_t i, const struct layout *l)
{
	char path[4096], name[LAYOUT_ID_MAX + 1];
	struct buf b = BUF_INIT;

	snprintf(name, sizeof name, "%s", id);
	name[strcspn(name, "/")] = '-';
	name[strcspn(name, "@")] = '-';
	snprintf(path, sizeof path, "%s/%s-%zu", dir, name, i);
	state_encode(&layout_desc, l, &b);
	FILE *f = fopen(path, "wb");
	bool done = f && !b.failed && fwrite(b.data, 1, b.len, f) == b.len;
	if (f && fclose(f))
		done = false;
	buf_free(&b);
	if (!done)
		perror(path);
	return done ? 0 : 1;
}

/* The smallest set and the one with most rows are enough to begin with. */
static int corpus(const char *dir)
{
	static const size_t sets[] = {0, 5};
	const struct layout_def *def;
	struct layout l;

	for (size_t d = 0; (def = layout_def_at(d)); d++)
		for (size_t i = 0; i < ARRAY_LEN(sets); i++)
			if (build(def, sets[i], &l) ||
			    write_file(dir, layout_def_id(def), sets[i], &l))
				return 1;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "random"))
		return random_sets();
	if (argc == 2 && !strcmp(argv[1], "ids")) {
		for (size_t d = 0; layout_def_at(d); d++)
			puts(layout_def_id(layout_def_at(d)));
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "frozen"))
		return frozen(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "corpus"))
		return corpus(argv[2]);
	fprintf(stderr, "usage: digests random | ids | frozen ID | corpus DIR\n");
	return 2;
}
