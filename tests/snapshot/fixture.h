/* SPDX-License-Identifier: Apache-2.0 */
/* A machine to be saved: every field of every record distinct and not its default. */
#ifndef TESTS_SNAPSHOT_FIXTURE_H
#define TESTS_SNAPSHOT_FIXTURE_H

#include "snapshot/snapshot.h"

struct fixture {
	struct snapshot_identity identity;
	struct layout layout;
	struct machine machine;
	struct host *host;
	struct snap_manifest manifest;
	struct guest_mem ram;
};

/* A piece of RAM of a made-up layout. */
struct fixture_ram {
	uint64_t start, size;
};

/* x86_64/linux@1 with that much RAM; or RAM regions wherever the caller wants them. */
void fixture_init(struct fixture *f, uint64_t ram_bytes);
void fixture_init_regions(struct fixture *f, const struct fixture_ram *ram, size_t n);
void fixture_fini(struct fixture *f);

/* Another value in every field, lists and blobs partly filled; strings are printable. */
void fixture_fill(const struct state_desc *d, void *st, uint64_t *seed);

uint64_t fixture_random(uint64_t *seed);
/* Contents that compress to about a third. */
void fixture_text(uint8_t *p, size_t n, uint64_t *seed);
void fixture_noise(uint8_t *p, size_t n, uint64_t *seed);

/* Saves into @out (freed by the caller) and fails the test if that fails. */
void fixture_save(struct fixture *f, const struct snap_write_opts *o, struct snap_stats *stats,
		  struct buf *out);

/* Opens @file, loads and compares RAM and every record. @threads: as in snap_load_opts. */
void fixture_compare(struct fixture *f, const struct buf *file, unsigned threads);

void fixture_compare_with(struct fixture *f, const struct buf *file,
			  const struct snap_open_opts *opts, unsigned threads);

/* The keys that formats/next/golden names: never to be used for anything else. */
struct fixture_keys {
	struct snap_key key; /* 40 41 42 ... 5f, and the master key that it is */
	struct snap_master master;
	uint8_t salt[SNAP_SALT_BYTES]; /* 80 81 82 ... 9f */
	struct secret sign;	       /* e0 df de ... c1 */
	uint8_t signer[ED25519_PUBLIC_BYTES];
	struct snap_key passphrase; /* "correct horse" */
	struct snap_kdf passphrase_kdf;
};

void fixture_keys_init(struct fixture_keys *k);
void fixture_keys_fini(struct fixture_keys *k);
struct secret fixture_secret(const void *data, size_t n);

#endif
