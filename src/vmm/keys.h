/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of snapshots: the options that name them, the same for all commands, and their way from a
 * command to the VM that it saves.
 *
 * Prefix: keys_.
 */
#ifndef VMM_KEYS_H
#define VMM_KEYS_H

#include "snapshot/snapshot.h"
#include "vmm/rpc.h"

/* --- reading --------------------------------------------------------------------------------- */

/* What --key and --verify-key gave, and what came of it. */
struct keys_in {
	const char *key_text, *signer_path;
	struct snap_key key;
	uint8_t signer[ED25519_PUBLIC_BYTES];
	struct snap_open_opts opts; /* for snap_open_file() */
};

/* Two rows of a command's table of options. */
#define KEYS_IN_OPTIONS(k)                                                                         \
	{0,                                                                                        \
	 "key",                                                                                    \
	 "KEY",                                                                                    \
	 OPT_TEXT,                                                                                 \
	 &(k).key_text,                                                                            \
	 "of an encrypted snapshot, written as for 'vmm snapshot --encrypt'"},                     \
	{                                                                                          \
		0, "verify-key", "FILE", OPT_TEXT, &(k).signer_path,                               \
		    "public key (PEM) that must have signed the snapshot"                          \
	}

/** keys_in_load() - read what the options name; may ask on the terminal. Before inherited
 * descriptors are closed. keys_in_fini() as soon as the snapshot is open, whatever it returns. */
int keys_in_load(struct keys_in *k, struct err *e) MUST_CHECK;
void keys_in_fini(struct keys_in *k);

/* --- writing --------------------------------------------------------------------------------- */

/* Keys that a snapshot is written with; empty ones stand for "not". */
struct keys_out {
	struct snap_master master;
	struct secret sign;
};

/** keys_out_load() - @encrypt, @sign: values of the options, NULL when not given. keys_out_fini()
 * whatever it returns. */
int keys_out_load(const char *encrypt, const char *sign, struct keys_out *k,
		  struct err *e) MUST_CHECK;
void keys_out_fini(struct keys_out *k);

#define KEYS_FDS 2 /* descriptors that keys_send() adds, at most */

/**
 * keys_send() - put keys beside a request: their bytes into pipes, what is not secret into @params
 * @fds, @n: the pipes' ends to read from are appended, owned by the caller
 */
int keys_send(const struct keys_out *k, json_t *params, int *fds, uint32_t *n,
	      struct err *e) MUST_CHECK;

/** keys_receive() - the other end. Never waits. -ERR_USAGE for what is not as keys_send() makes
 * it. keys_out_fini() whatever it returns. */
int keys_receive(const json_t *params, struct rpc *rpc, struct keys_out *k,
		 struct err *e) MUST_CHECK;

#endif
