/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of encrypted snapshots: what people give to open a file, and what a file is encrypted with.
 *
 * Prefixes: snap_key_, snap_master_. Everything here is wiped when it is freed, and not dumped.
 */
#ifndef SNAPSHOT_KEY_H
#define SNAPSHOT_KEY_H

#include "base/crypto.h"

#define SNAP_MASTER_BYTES      32
#define SNAP_SALT_BYTES	       32
#define SNAP_SCRYPT_SALT_BYTES 16
#define SNAP_PASSPHRASE_MAX    1024

/* Where the master key comes from. Values of the header. */
enum snap_key_kind {
	SNAP_KEY_NONE = 0,
	SNAP_KEY_GIVEN = 1,	 /* 32 bytes that somebody keeps */
	SNAP_KEY_PASSPHRASE = 2, /* scrypt makes it */
};

/* How --encrypt and --key are written, for --help and messages. */
#define SNAP_KEY_SYNTAX "key=FILE, key-fd=N, passphrase-file=FILE, passphrase-fd=N or passphrase"

/* What somebody gave: a master key, or a passphrase. */
struct snap_key {
	enum snap_key_kind kind;
	struct secret secret;
};

/**
 * snap_key_load() - take a key from where @text says
 * @text: as SNAP_KEY_SYNTAX has it
 * @new:  for a file that is to be written: a passphrase that is typed is asked for twice
 * @out:  freed by snap_key_fini()
 *
 * A key is 32 bytes, or 64 hexadecimal digits and at most a newline; of a passphrase one newline at
 * its end is dropped. A descriptor is read to its end, and closed unless it is standard input.
 *
 * Returns 0, -ERR_USAGE (@text), -ERR_KEY (not a key; empty; typed twice unlike; file open to
 * others), -ERR_IO, -ERR_LIMIT, -ERR_CANCELLED, -ERR_NOMEM.
 */
int snap_key_load(const char *text, bool new, struct snap_key *out, struct err *e) MUST_CHECK;
void snap_key_fini(struct snap_key *k);

/* How a master key came about. Stands in the header; not secret. @log_n, @r, @p, @salt are of
 * scrypt, and zero for a key that was given. */
struct snap_kdf {
	enum snap_key_kind kind;
	uint8_t log_n, r, p;
	uint8_t salt[SNAP_SCRYPT_SALT_BYTES];
};

/* What new files use: 128 MiB and 0.4 s on a core of 2021. */
#define SNAP_SCRYPT_LOG_N 17
#define SNAP_SCRYPT_R	  8
#define SNAP_SCRYPT_P	  1

/** snap_kdf_check() - the bounds of formats/snapshot.md: at most 256 MiB of memory and four times
 * the work of SNAP_SCRYPT_*. Returns 0, -ERR_FEATURE (kind), -ERR_LIMIT. */
int snap_kdf_check(const struct snap_kdf *kdf, struct err *e) MUST_CHECK;

/* The key that the keys of files are derived from. */
struct snap_master {
	struct snap_kdf kdf;
	struct secret key; /* SNAP_MASTER_BYTES */
};

/** snap_master_new() - for a file that is to be written. A passphrase gets a salt of its own.
 * Returns 0, -ERR_NOMEM, -ERR_IO. */
int snap_master_new(const struct snap_key *key, struct snap_master *out, struct err *e) MUST_CHECK;

/** snap_master_again() - for a file whose header says @kdf. Returns 0, -ERR_KEY (it wants another
 * kind of key), -ERR_NOMEM, or what snap_kdf_check() returns. */
int snap_master_again(const struct snap_key *key, const struct snap_kdf *kdf,
		      struct snap_master *out, struct err *e) MUST_CHECK;
void snap_master_fini(struct snap_master *m);

#endif
