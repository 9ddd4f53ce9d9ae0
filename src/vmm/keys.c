/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

int keys_in_load(struct keys_in *k, struct err *e)
{
	int r = 0;

	if (k->signer_path) {
		r = ed25519_read_public(k->signer_path, k->signer, e);
		k->opts.signer = k->signer;
	}
	if (!r && k->key_text) {
		r = snap_key_load(k->key_text, false, &k->key, e);
		k->opts.key = &k->key;
	}
	return r;
}

void keys_in_fini(struct keys_in *k)
{
	snap_key_fini(&k->key);
	k->opts = (struct snap_open_opts){0};
}

int keys_out_load(const char *encrypt, const char *sign, struct keys_out *k, struct err *e)
{
	struct snap_key key = {0};
	int r = 0;

	*k = (struct keys_out){0};
	if (sign)
		r = ed25519_read_private(sign, &k->sign, e);
	if (!r && encrypt)
		r = snap_key_load(encrypt, true, &key, e);
	if (!r && encrypt)
		r = snap_master_new(&key, &k->master, e);
	snap_key_fini(&key);
	return r;
}

void keys_out_fini(struct keys_out *k)
{
	snap_master_fini(&k->master);
	secret_fini(&k->sign);
}

/* --- between processes ----------------------------------------------------------------------- */

/* A pipe forgets what was read from it, and a message of a socket may be logged. */
static int send_secret(const struct secret *s, int *fds, uint32_t *n, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return err_sys(e, ERR_IO, errno, "pipe");
	int r = io_write_all(ends[1], s->data, s->len, e);
	close(ends[1]);
	fds[(*n)++] = ends[0];
	return r;
}

static json_t *scrypt_json(const struct snap_kdf *kdf)
{
	char salt[2 * SNAP_SCRYPT_SALT_BYTES + 1];

	return json_pack("{s:i, s:i, s:i, s:s}", "log_n", kdf->log_n, "r", kdf->r, "p", kdf->p,
			 "salt", num_hex(kdf->salt, SNAP_SCRYPT_SALT_BYTES, salt));
}

int keys_send(const struct keys_out *k, json_t *params, int *fds, uint32_t *n, struct err *e)
{
	json_t *encrypt = json_object();
	int r = 0;

	if (k->master.kdf.kind == SNAP_KEY_PASSPHRASE)
		json_object_set_new(encrypt, "scrypt", scrypt_json(&k->master.kdf));
	if (k->master.key.data) {
		json_object_set(params, "encrypt", encrypt);
		r = send_secret(&k->master.key, fds, n, e);
	}
	json_decref(encrypt);
	if (!r && k->sign.data) {
		json_object_set_new(params, "sign", json_true());
		r = send_secret(&k->sign, fds, n, e);
	}
	return r;
}

/* All of it is there, or it is refused: nobody else's pipe makes the VM wait. */
static int receive_secret(struct rpc *rpc, size_t bytes, struct secret *out, struct err *e)
{
	int fd = rpc_take_fd(rpc);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r = 0;

	if (fd < 0)
		return err_set(e, ERR_USAGE, "no descriptor with a key");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) || poll(&p, 1, 0) < 1)
		r = err_set(e, ERR_USAGE, "no key is in the descriptor for it");
	if (!r)
		r = secret_read(fd, bytes, out, e);
	close(fd);
	if (!r && out->len != bytes)
		r = err_set(e, ERR_USAGE, "a key of %zu bytes, not %zu", out->len, bytes);
	return r;
}

static bool salt_from_text(const char *text, uint8_t out[static SNAP_SCRYPT_SALT_BYTES])
{
	return text && strlen(text) == 2 * SNAP_SCRYPT_SALT_BYTES &&
	       num_unhex(text, out, SNAP_SCRYPT_SALT_BYTES);
}

static uint8_t small(const json_t *object, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(object, name));

	return v > 0 && v <= UINT8_MAX ? (uint8_t)v : 0;
}

/* What the header will say: nothing that a reader would refuse. */
static int kdf_from_json(const json_t *encrypt, struct snap_kdf *kdf, struct err *e)
{
	const json_t *scrypt = json_object_get(encrypt, "scrypt");

	*kdf = (struct snap_kdf){.kind = SNAP_KEY_GIVEN};
	if (!scrypt)
		return 0;
	kdf->kind = SNAP_KEY_PASSPHRASE;
	kdf->log_n = small(scrypt, "log_n");
	kdf->r = small(scrypt, "r");
	kdf->p = small(scrypt, "p");
	if (!salt_from_text(json_string_value(json_object_get(scrypt, "salt")), kdf->salt) ||
	    snap_kdf_check(kdf, NULL))
		return err_set(e, ERR_USAGE, "encrypt.scrypt is not what a snapshot can say");
	return 0;
}

int keys_receive(const json_t *params, struct rpc *rpc, struct keys_out *k, struct err *e)
{
	const json_t *encrypt = json_object_get(params, "encrypt");
	int r = 0;

	*k = (struct keys_out){0};
	if (encrypt && !json_is_object(encrypt))
		return err_set(e, ERR_USAGE, "encrypt must be an object");
	if (encrypt)
		r = kdf_from_json(encrypt, &k->master.kdf, e);
	if (!r && encrypt)
		r = receive_secret(rpc, SNAP_MASTER_BYTES, &k->master.key, e);
	if (!r && json_is_true(json_object_get(params, "sign")))
		r = receive_secret(rpc, ED25519_SEED_BYTES, &k->sign, e);
	return r;
}
