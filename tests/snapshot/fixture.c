/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "state/host.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

uint64_t fixture_random(uint64_t *seed)
{
	/* xorshift64*, Vigna 2016 */
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

void fixture_noise(uint8_t *p, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(fixture_random(seed) >> 56);
}

void fixture_text(uint8_t *p, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = "etaoin shrdlu"[(fixture_random(seed) >> 40) % 13];
}

static void store(const struct state_field *f, uint8_t *p, uint64_t v)
{
	switch (f->type) {
	case STATE_U8:
		*p = (uint8_t)v;
		break;
	case STATE_U16:
		*(uint16_t *)(void *)p = (uint16_t)v;
		break;
	case STATE_U32:
		*(uint32_t *)(void *)p = (uint32_t)v;
		break;
	case STATE_U64:
		*(uint64_t *)(void *)p = v;
		break;
	case STATE_BOOL:
		*(bool *)(void *)p = v & 1;
		break;
	}
}

static void fill_scalars(const struct state_field *f, uint8_t *p, uint64_t *seed)
{
	static const size_t width[] = {1, 2, 4, 8, sizeof(bool)};

	for (size_t i = 0; i < f->n; i++)
		store(f, p + i * width[f->type], fixture_random(seed) >> 3 | 1);
}

static void fill_field(const struct state_field *f, void *st, uint64_t *seed)
{
	uint8_t *p = (uint8_t *)st + f->offset;
	uint32_t *count = (uint32_t *)(void *)((uint8_t *)st + f->count_offset);
	size_t k;

	switch (f->shape) {
	case STATE_SCALAR:
		store(f, p,
		      f->type == STATE_BOOL ? !f->dflt
					    : (fixture_random(seed) >> 3 | 1) ^ (f->dflt & ~1ull));
		break;
	case STATE_NAMED:
		for (k = f->names->n - 1; !f->names->name[k];)
			k--;
		*p = (uint8_t)k;
		break;
	case STATE_ARRAY:
		fill_scalars(f, p, seed);
		break;
	case STATE_BLOB:
		*count = (uint32_t)(f->n > 40 ? 40 : f->n);
		fixture_noise(p, *count, seed);
		break;
	case STATE_STRING:
		k = f->n > 12 ? 12 : f->n;
		for (size_t i = 0; i < k; i++)
			p[i] = (uint8_t)('a' + fixture_random(seed) % 26);
		break;
	case STATE_RECORD:
		fixture_fill(f->record, p, seed);
		break;
	case STATE_LIST:
		*count = (uint32_t)(f->n > 3 ? 3 : f->n);
		for (uint32_t i = 0; i < *count; i++)
			fixture_fill(f->record, p + i * f->record->size, seed);
		break;
	}
}

void fixture_fill(const struct state_desc *d, void *st, uint64_t *seed)
{
	state_defaults(d, st);
	for (size_t i = 0; i < d->n_fields; i++)
		fill_field(&d->field[i], st, seed);
}

static void add(struct fixture *f, const struct state_desc *d, const char *id, void *st)
{
	struct err e = ERR_INIT;

	if (snap_manifest_add(&f->manifest, d, id, st, &e))
		fail_msg("%s", e.msg);
}

/* All but the layout, which is there already. */
static void finish(struct fixture *f)
{
	struct err e = ERR_INIT;
	uint64_t seed = 42;

	fixture_fill(&snapshot_identity_desc, &f->identity, &seed);
	f->identity.created_ns = 1767225600123456789ull;
	fixture_fill(&machine_desc, &f->machine, &seed);
	f->host = calloc(1, sizeof *f->host);
	fixture_fill(&host_desc, f->host, &seed);
	add(f, &snapshot_identity_desc, "", &f->identity);
	add(f, &layout_desc, "", &f->layout);
	add(f, &machine_desc, "", &f->machine);
	add(f, &host_desc, "", f->host);
	if (mem_init(&f->ram, &f->layout, &e))
		fail_msg("%s", e.msg);
}

void fixture_init(struct fixture *f, uint64_t ram_bytes)
{
	struct layout_params p;
	struct err e = ERR_INIT;

	memset(f, 0, sizeof *f);
	layout_params_init(&p, ram_bytes);
	p.vcpus = 3;
	if (layout_build(layout_def_find("x86_64/linux@1"), &p, &f->layout, &e))
		fail_msg("%s", e.msg);
	finish(f);
}

void fixture_init_regions(struct fixture *f, const struct fixture_ram *ram, size_t n)
{
	struct err e = ERR_INIT;
	uint64_t sum = 0;

	memset(f, 0, sizeof *f);
	for (size_t i = 0; i < n; i++) {
		struct layout_region *r = &f->layout.region[i];
		*r = (struct layout_region){.kind = REGION_RAM,
					    .start = ram[i].start,
					    .size = ram[i].size,
					    .irq = LAYOUT_NO_IRQ};
		snprintf(r->name, sizeof r->name, "RAM_%zu", i);
		sum += ram[i].size;
	}
	f->layout.region_n = (uint32_t)n;
	layout_params_init(&f->layout.params, sum);
	f->layout.params.vcpus = 3;
	strcpy(f->layout.id, "made-up@7");
	if (layout_check(&f->layout, &e))
		fail_msg("%s", e.msg);
	finish(f);
}

struct secret fixture_secret(const void *data, size_t n)
{
	struct secret s;

	if (secret_init(&s, n, NULL))
		fail_msg("no memory for a secret");
	memcpy(s.data, data, n);
	s.len = n;
	return s;
}

void fixture_keys_init(struct fixture_keys *k)
{
	uint8_t bytes[32];

	memset(k, 0, sizeof *k);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(0x40 + i);
	k->key.kind = SNAP_KEY_GIVEN;
	k->key.secret = fixture_secret(bytes, sizeof bytes);
	k->master.kdf.kind = SNAP_KEY_GIVEN;
	k->master.key = fixture_secret(bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++) {
		bytes[i] = (uint8_t)(0xe0 - i);
		k->salt[i] = (uint8_t)(0x80 + i);
	}
	k->sign = fixture_secret(bytes, sizeof bytes);
	if (ed25519_public(&k->sign, k->signer, NULL))
		fail_msg("no public key");
	/* As cheap as the format lets it be. */
	k->passphrase.kind = SNAP_KEY_PASSPHRASE;
	k->passphrase.secret = fixture_secret("correct horse", 13);
	k->passphrase_kdf =
	    (struct snap_kdf){.kind = SNAP_KEY_PASSPHRASE, .log_n = 10, .r = 8, .p = 1};
	memset(k->passphrase_kdf.salt, 0x53, sizeof k->passphrase_kdf.salt);
}

void fixture_keys_fini(struct fixture_keys *k)
{
	snap_key_fini(&k->key);
	snap_key_fini(&k->passphrase);
	snap_master_fini(&k->master);
	secret_fini(&k->sign);
}

void fixture_fini(struct fixture *f)
{
	snap_manifest_fini(&f->manifest);
	mem_fini(&f->ram);
	free(f->host);
}

void fixture_save(struct fixture *f, const struct snap_write_opts *o, struct snap_stats *stats,
		  struct buf *out)
{
	struct err e = ERR_INIT;
	struct snap_stats st;
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	if (snap_write(fd, &f->manifest, &f->ram, o, &st, &e))
		fail_msg("%s: %s", e.where, e.msg);
	off_t size = lseek(fd, 0, SEEK_END);
	assert_int_equal(st.file_bytes, size);
	*out = (struct buf)BUF_INIT;
	assert_non_null(buf_grow(out, (size_t)size));
	assert_int_equal(pread(fd, out->data, (size_t)size, 0), size);
	close(fd);
	if (stats)
		*stats = st;
}

/* Only where the saved machine has data: the rest of the loaded one must be holes as well. */
static void compare_ram(const struct guest_mem *want, const struct guest_mem *got)
{
	off_t at = 0;

	while ((at = lseek(want->fd, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(want->fd, at, SEEK_HOLE);
		assert_memory_equal(want->host + at, got->host + at, (size_t)(end - at));
		at = end;
	}
	for (at = 0; (at = lseek(got->fd, at, SEEK_DATA)) >= 0;) {
		off_t end = lseek(got->fd, at, SEEK_HOLE);
		assert_memory_equal(want->host + at, got->host + at, (size_t)(end - at));
		at = end;
	}
}

void fixture_compare(struct fixture *f, const struct buf *file, unsigned threads)
{
	fixture_compare_with(f, file, NULL, threads);
}

void fixture_compare_with(struct fixture *f, const struct buf *file,
			  const struct snap_open_opts *opts, unsigned threads)
{
	struct snap_load_opts o = {.threads = threads};
	struct err e = ERR_INIT;
	struct guest_mem ram;
	struct io_src src;
	struct snap *s;

	io_src_mem(&src, file->data, file->len);
	if (snap_open(&src, opts, &s, &e))
		fail_msg("0x%lx: %s: %s", e.offset, e.where, e.msg);
	assert_memory_equal(snap_info(s)->uuid, f->identity.uuid, 16);
	assert_int_equal(snap_manifest(s)->n, f->manifest.n + 1);
	for (uint32_t i = 0; i < f->manifest.n; i++) {
		const struct snap_component *c = &f->manifest.item[i];
		const void *got = snap_manifest_find(snap_manifest(s), c->desc, c->id);
		assert_non_null(got);
		assert_true(state_equal(c->desc, c->st, got));
	}
	if (mem_init(&ram, snap_layout(s), &e) || snap_load_ram(s, &ram, &o, &e))
		fail_msg("0x%lx: %s: %s", e.offset, e.where, e.msg);
	compare_ram(&f->ram, &ram);
	if (snap_verify(s, &o, &e))
		fail_msg("0x%lx: %s: %s", e.offset, e.where, e.msg);
	mem_fini(&ram);
	snap_close(s);
}
