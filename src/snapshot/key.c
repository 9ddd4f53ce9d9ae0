/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/key.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#define HEX_DIGITS (2 * SNAP_MASTER_BYTES)

void snap_key_fini(struct snap_key *k)
{
	secret_fini(&k->secret);
	k->kind = SNAP_KEY_NONE;
}

/* 32 bytes stay as they are, 64 digits become 32 bytes, in place. */
static int normalize_key(struct secret *s, struct err *e)
{
	if (s->len == SNAP_MASTER_BYTES)
		return 0;
	if (s->len == HEX_DIGITS + 1 && s->data[HEX_DIGITS] == '\n')
		s->len--;
	bool ok = s->len == HEX_DIGITS;
	for (size_t i = 0; ok && i < HEX_DIGITS; i++)
		s->data[i] = (uint8_t)tolower(s->data[i]);
	ok = ok && num_unhex((const char *)s->data, s->data, SNAP_MASTER_BYTES);
	s->len = SNAP_MASTER_BYTES;
	return ok ? 0
		  : err_set(e, ERR_KEY,
			    "is no key: 32 bytes, or 64 hexadecimal digits and a newline");
}

static int normalize(struct snap_key *k, struct err *e)
{
	struct secret *s = &k->secret;

	if (k->kind == SNAP_KEY_GIVEN)
		return normalize_key(s, e);
	if (s->len && s->data[s->len - 1] == '\n')
		s->len--;
	return s->len ? 0 : err_set(e, ERR_KEY, "is an empty passphrase");
}

static size_t most(enum snap_key_kind kind)
{
	return kind == SNAP_KEY_GIVEN ? HEX_DIGITS + 1 : SNAP_PASSPHRASE_MAX + 1;
}

static int from_descriptor(const char *text, struct snap_key *k, struct err *e)
{
	uint64_t fd;

	if (num_parse_size(text, &fd) || fd > INT32_MAX || fd == 1 || fd == 2)
		return err_set(e, ERR_USAGE, "%s is no descriptor to read a key from", text);
	int r = secret_read((int)fd, most(k->kind), &k->secret, e);
	if (fd > 2)
		close((int)fd);
	if (!r)
		r = normalize(k, e);
	if (r)
		err_where(e, "descriptor %s", text);
	return r;
}

static int from_file(const char *path, struct snap_key *k, struct err *e)
{
	int r = secret_read_file(path, most(k->kind), &k->secret, e);

	if (!r)
		r = normalize(k, e);
	if (r)
		err_file(e, path);
	return r;
}

static int from_terminal(bool new, struct snap_key *k, struct err *e)
{
	struct secret again = SECRET_INIT;
	int r = secret_prompt("passphrase: ", SNAP_PASSPHRASE_MAX, &k->secret, e);

	if (!r && !k->secret.len)
		r = err_set(e, ERR_KEY, "no passphrase was given");
	if (r || !new)
		return r;
	r = secret_prompt("once more: ", SNAP_PASSPHRASE_MAX, &again, e);
	if (!r &&
	    (again.len != k->secret.len || !secret_same(again.data, k->secret.data, again.len)))
		r = err_set(e, ERR_KEY, "the passphrases differ");
	secret_fini(&again);
	return r;
}

int snap_key_load(const char *text, bool new, struct snap_key *out, struct err *e)
{
	static const struct {
		const char *prefix;
		enum snap_key_kind kind;
		int (*load)(const char *text, struct snap_key *k, struct err *e);
	} from[] = {
	    {"key=", SNAP_KEY_GIVEN, from_file},
	    {"key-fd=", SNAP_KEY_GIVEN, from_descriptor},
	    {"passphrase-file=", SNAP_KEY_PASSPHRASE, from_file},
	    {"passphrase-fd=", SNAP_KEY_PASSPHRASE, from_descriptor},
	};
	struct snap_key k = {0};
	int r = -ERR_BUG;
	size_t i;

	for (i = 0; i < ARRAY_LEN(from); i++) {
		size_t n = strlen(from[i].prefix);
		if (strncmp(text, from[i].prefix, n) || !text[n])
			continue;
		k.kind = from[i].kind;
		r = from[i].load(text + n, &k, e);
		break;
	}
	if (!strcmp(text, "passphrase")) {
		k.kind = SNAP_KEY_PASSPHRASE;
		r = from_terminal(new, &k, e);
	} else if (i == ARRAY_LEN(from)) {
		/* It is not repeated: somebody may have put a key here. */
		return err_set(e, ERR_USAGE, "a key is given as " SNAP_KEY_SYNTAX);
	}
	if (r)
		snap_key_fini(&k);
	else
		*out = k;
	return r;
}

int snap_kdf_check(const struct snap_kdf *kdf, struct err *e)
{
	uint64_t size, work;

	if (kdf->kind != SNAP_KEY_GIVEN && kdf->kind != SNAP_KEY_PASSPHRASE)
		return err_set(e, ERR_FEATURE, "key derivation %u is not known", kdf->kind);
	if (kdf->kind == SNAP_KEY_GIVEN)
		return 0;
	size = kdf->log_n < 32 ? ((uint64_t)kdf->r << kdf->log_n) : UINT64_MAX;
	if (kdf->log_n < 10 || !kdf->r || !kdf->p || size > UINT64_C(1) << 21 ||
	    !num_mul(size, kdf->p, &work) || work > UINT64_C(1) << 22)
		return err_set(e, ERR_LIMIT, "scrypt with N 2^%u, r %u, p %u", kdf->log_n, kdf->r,
			       kdf->p);
	return 0;
}

static int make(const struct snap_key *key, const struct snap_kdf *kdf, struct snap_master *out,
		struct err *e)
{
	struct snap_master m = {.kdf = *kdf};
	int r = secret_init(&m.key, SNAP_MASTER_BYTES, e);

	if (r)
		return r;
	m.key.len = SNAP_MASTER_BYTES;
	if (kdf->kind == SNAP_KEY_GIVEN)
		memcpy(m.key.data, key->secret.data, SNAP_MASTER_BYTES);
	else
		r = kdf_scrypt(&key->secret, kdf->salt, sizeof kdf->salt, kdf->log_n, kdf->r,
			       kdf->p, m.key.data, m.key.len, e);
	if (r)
		snap_master_fini(&m);
	else
		*out = m;
	return r;
}

int snap_master_new(const struct snap_key *key, struct snap_master *out, struct err *e)
{
	struct snap_kdf kdf = {.kind = key->kind};

	if (key->kind == SNAP_KEY_PASSPHRASE) {
		kdf.log_n = SNAP_SCRYPT_LOG_N;
		kdf.r = SNAP_SCRYPT_R;
		kdf.p = SNAP_SCRYPT_P;
		int r = secret_random(kdf.salt, sizeof kdf.salt, e);
		if (r)
			return r;
	}
	return make(key, &kdf, out, e);
}

int snap_master_again(const struct snap_key *key, const struct snap_kdf *kdf,
		      struct snap_master *out, struct err *e)
{
	int r = snap_kdf_check(kdf, e);

	if (r)
		return r;
	if (key->kind != kdf->kind)
		return err_set(e, ERR_KEY, "is encrypted with %s, not with %s",
			       kdf->kind == SNAP_KEY_GIVEN ? "a key" : "a passphrase",
			       kdf->kind == SNAP_KEY_GIVEN ? "a passphrase" : "a key");
	return make(key, kdf, out, e);
}

void snap_master_fini(struct snap_master *m)
{
	secret_fini(&m->key);
	m->kdf = (struct snap_kdf){0};
}
