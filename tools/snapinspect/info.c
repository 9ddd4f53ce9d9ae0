/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"
#include "layout/print.h"
#include "state/disk.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char *time_text(uint64_t ns, char *out, size_t size)
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, size, "%" PRIu64 " ns", ns);
	return out;
}

static void put_features(const char *label, bool required, uint64_t bits)
{
	const char *sep = "";

	printf("%-12s ", label);
	for (unsigned i = 0; i < 64; i++) {
		const char *name = snap_feature_name(required, i);
		if (!(bits >> i & 1))
			continue;
		if (name)
			printf("%s%s", sep, name);
		else
			printf("%sbit %u, not known to this build", sep, i);
		sep = ", ";
	}
	puts(bits ? "" : "none");
}

/* Of the public key, as `openssl pkey -pubin -outform DER | sha256sum` prints it. */
static const char *fingerprint(const struct snap_info *i, char *hex)
{
	uint8_t digest[SHA256_BYTES];

	ed25519_fingerprint(i->signer, digest);
	return sha256_hex(digest, hex);
}

void put_signer(const struct snap_info *i)
{
	char hex[2 * SHA256_BYTES + 1];

	if (i->is_signed)
		printf("%-12s good, %s sha256 %s\n", "signature",
		       i->vouched ? "by the key given," : "by a key that nobody vouched for,",
		       fingerprint(i, hex));
}

json_t *signer_json(const struct snap_info *i)
{
	char hex[2 * SHA256_BYTES + 1];

	return i->is_signed ? json_pack("{s:s, s:b}", "key_sha256", fingerprint(i, hex), "vouched",
					i->vouched)
			    : json_null();
}

static const char *cipher_text(const struct snap_info *i)
{
	return i->key_kind == SNAP_KEY_PASSPHRASE ? "AES-256-GCM, by a passphrase"
						  : "AES-256-GCM, by a key";
}

/* What every file shows, whoever looks. */
static void put_outside(const struct snap_info *i)
{
	printf("%-12s %u\n", "format", i->version);
	put_features("required", true, i->required);
	put_features("optional", false, i->optional);
	if (i->key_kind)
		printf("%-12s %s\n", "encrypted", cipher_text(i));
	put_signer(i);
	printf("%-12s %" PRIu64 " bytes, %" PRIu64 " frames\n", "file", i->file_bytes, i->frames);
}

static double ratio(const struct snap_info *i)
{
	return i->stored_bytes ? (double)i->ram_bytes / (double)i->stored_bytes : 0;
}

static void put_ram(const struct snap_info *i, const struct snapshot_ram *ram)
{
	char bytes[32], chunk[32];

	printf("%-12s %s in chunks of %s, ", "ram", layout_size_text(i->ram_bytes, bytes),
	       layout_size_text(ram->chunk_bytes, chunk));
	if (i->is_raw) {
		printf("raw\n%-12s %" PRIu64 " bytes; %" PRIu64 " chunks, %" PRIu64 " zero\n",
		       "stored", i->stored_bytes, i->raw_chunks, i->zero_chunks);
		return;
	}
	printf("zstd level %u\n", ram->level);
	printf("%-12s %" PRIu64 " bytes, 1:%.1f; %" PRIu64 " chunks, %" PRIu64 " zero in %" PRIu64
	       " frames\n",
	       "stored", i->stored_bytes, ratio(i), i->zstd_chunks, i->zero_chunks, i->zero_frames);
}

/* RAM without the disk of the same moment is half a machine: where the other half is. */
static void put_images(const struct snap *s, const char *id)
{
	const struct disk_state *disk = snap_manifest_find(snap_manifest(s), &disk_state_desc, id);

	if (!disk)
		printf("    %-30s not part of the snapshot\n", "contents");
	for (uint32_t i = 0; disk && i < disk->image_n; i++)
		printf("    %-30s %s\n", i ? "over" : "contents", disk->image[i].path);
}

static void put_devices(const struct snap *s)
{
	const struct machine *m = snap_machine(s);

	printf("%-12s %u\n", "devices", m->device_n);
	for (uint32_t i = 0; i < m->device_n; i++) {
		const struct machine_device *d = &m->device[i];
		char size[32];
		printf("  %-32s %s@%u", d->id, d->type, d->version);
		if (d->blocks)
			printf("  disk of %s%s",
			       d->blocks > UINT64_MAX / 512
				   ? "?"
				   : layout_size_text(d->blocks * 512, size),
			       d->read_only ? ", read-only" : "");
		putchar('\n');
		if (d->blocks)
			put_images(s, d->id);
	}
}

/* How much of RAM an incremental snapshot has not, and who has it. */
static void put_parent(const struct snap *s)
{
	const struct snapshot_parent *p = snap_parent(s);
	const struct snap_info *i = snap_info(s);
	char hex[2 * SHA256_BYTES + 1], uuid[37], text[512];
	struct err e = ERR_INIT;

	if (!p)
		return;
	printf("%-12s %s, uuid %s, digest %s\n", "parent", p->file, uuid_text(p->uuid, uuid),
	       sha256_hex(p->digest, hex));
	printf("%-12s has %" PRIu64 " chunks of %" PRIu64 "\n", "", i->parent_chunks, i->chunks);
	if (snap_ram_readable(s, &e))
		printf("%-12s cannot be read: %s\n", "", err_text(&e, text, sizeof text));
}

static void info_text(const struct snap *s)
{
	const struct snapshot_identity *id = snap_identity(s);
	const struct snap_info *i = snap_info(s);
	const struct layout *l = snap_layout(s);
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1], uuid[37], when[40];

	printf("%-12s %s\n", "name", id->name);
	printf("%-12s %s\n", "uuid", uuid_text(i->uuid, uuid));
	printf("%-12s %s\n", "taken", time_text(id->created_ns, when, sizeof when));
	printf("%-12s %s\n", "host", id->host);
	printf("%-12s %s %s\n", "program", id->program, id->version);
	put_outside(i);
	printf("%-12s %u records, %" PRIu64 " bytes\n", "manifest", snap_manifest(s)->n,
	       i->manifest_bytes);
	layout_digest(l, digest);
	printf("%-12s %s, %u regions, sha256 %s\n", "layout", l->id, l->region_n,
	       sha256_hex(digest, hex));
	put_ram(i, snap_ram(s));
	put_parent(s);
	printf("%-12s %u\n", "vcpus", l->params.vcpus);
	printf("%-12s %s\n", "cpu policy", snap_machine(s)->cpu);
	put_devices(s);
}

static json_t *features_json(bool required, uint64_t bits)
{
	json_t *j = json_array();

	for (unsigned i = 0; i < 64; i++)
		if (bits >> i & 1) {
			const char *name = snap_feature_name(required, i);
			json_array_append_new(j,
					      name ? json_string(name) : json_sprintf("bit %u", i));
		}
	return j;
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *ram_json(const struct snap *s)
{
	const struct snap_info *i = snap_info(s);
	json_t *j = state_json(&snapshot_ram_desc, snap_ram(s));

	json_object_set_new(j, "stored_bytes", number(i->stored_bytes));
	json_object_set_new(j, "chunks", number(i->chunks));
	json_object_set_new(j, "zstd_chunks", number(i->zstd_chunks));
	json_object_set_new(j, "raw_chunks", number(i->raw_chunks));
	json_object_set_new(j, "zero_chunks", number(i->zero_chunks));
	json_object_set_new(j, "parent_chunks", number(i->parent_chunks));
	json_object_set_new(j, "zero_frames", number(i->zero_frames));
	json_object_set_new(j, "index_leaves", number(i->leaves));
	return j;
}

static json_t *layout_brief_json(const struct layout *l)
{
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	layout_digest(l, digest);
	return json_pack("{s:s, s:s, s:i}", "id", l->id, "digest", sha256_hex(digest, hex),
			 "regions", (int)l->region_n);
}

static json_t *disks_json(const struct snap_manifest *m)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < m->n; i++)
		if (m->item[i].desc == &disk_state_desc)
			json_array_append_new(list, state_json(&disk_state_desc, m->item[i].st));
	return list;
}

/* What every file shows, whoever looks. */
static json_t *outside_json(const struct snap_info *i)
{
	json_t *j = json_object();

	json_object_set_new(j, "format", json_integer(i->version));
	json_object_set_new(j, "required", features_json(true, i->required));
	json_object_set_new(j, "optional", features_json(false, i->optional));
	json_object_set_new(j, "encrypted",
			    i->key_kind ? json_string(cipher_text(i)) : json_null());
	json_object_set_new(j, "signature", signer_json(i));
	json_object_set_new(j, "file_bytes", number(i->file_bytes));
	json_object_set_new(j, "frames", number(i->frames));
	return j;
}

static json_t *info_json(const struct snap *s)
{
	const struct snap_info *i = snap_info(s);
	json_t *j = outside_json(i);

	json_object_set_new(j, "manifest_bytes", number(i->manifest_bytes));
	json_object_set_new(j, "records", number(snap_manifest(s)->n));
	json_object_set_new(j, "identity", state_json(&snapshot_identity_desc, snap_identity(s)));
	json_object_set_new(j, "layout", layout_brief_json(snap_layout(s)));
	json_object_set_new(j, "ram", ram_json(s));
	json_object_set_new(j, "parent",
			    snap_parent(s) ? state_json(&snapshot_parent_desc, snap_parent(s))
					   : json_null());
	json_object_set_new(j, "vcpus", number(snap_layout(s)->params.vcpus));
	json_object_set_new(j, "machine", state_json(&machine_desc, snap_machine(s)));
	json_object_set_new(j, "disks", disks_json(snap_manifest(s)));
	return j;
}

int cmd_info(const struct inspect_args *a, struct err *e)
{
	if (a->json)
		return print_json(info_json(a->snap), e);
	info_text(a->snap);
	return 0;
}

int cmd_info_outside(const struct inspect_args *a, struct err *e)
{
	struct snap_info i;
	char uuid[37];
	int r = snap_peek(a->argv[0], &a->opts, &i, e);

	if (r)
		return r;
	uuid_text(i.uuid, uuid);
	if (a->json) {
		json_t *j = outside_json(&i);
		json_object_set_new(j, "uuid", json_string(uuid));
		return print_json(j, e);
	}
	printf("%-12s %s\n", "uuid", uuid);
	put_outside(&i);
	printf("%-12s encrypted: a key opens it (--key)\n", "the rest");
	return 0;
}
