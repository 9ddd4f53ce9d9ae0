/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/spill.h"

#include <stdlib.h>
#include <string.h>

/* Every place of the file is written once: it makes the nonce. */
static void put_nonce(uint64_t at, uint8_t out[static GCM_NONCE_BYTES])
{
	memset(out, 0, GCM_NONCE_BYTES);
	num_put_le64(out + 4, at);
}

static int make_keys(struct spill *s, struct err *e)
{
	struct secret key;
	int r = secret_init(&key, GCM_KEY_BYTES, e);

	if (r)
		return r;
	r = secret_random(key.data, GCM_KEY_BYTES, e);
	if (!r)
		r = gcm_new(key.data, true, &s->seal, e);
	if (!r)
		r = gcm_new(key.data, false, &s->open, e);
	secret_fini(&key);
	return r;
}

int spill_init(struct spill *s, int fd, bool encrypt, struct err *e)
{
	*s = (struct spill){.fd = fd};
	pthread_mutex_init(&s->lock, NULL);
	return encrypt && fd >= 0 ? make_keys(s, e) : 0;
}

void spill_fini(struct spill *s)
{
	gcm_free(s->seal);
	gcm_free(s->open);
	free(s->sealed);
	pthread_mutex_destroy(&s->lock);
}

static int make_room(struct spill *s, size_t n, struct err *e)
{
	if (n <= s->room)
		return 0;
	uint8_t *sealed = realloc(s->sealed, n);
	if (!sealed)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->sealed = sealed;
	s->room = n;
	return 0;
}

int spill_put(struct spill *s, const uint8_t *data, size_t n, uint64_t *at, struct err *e)
{
	uint8_t nonce[GCM_NONCE_BYTES];
	size_t stored = n + (s->seal ? GCM_TAG_BYTES : 0);
	int r = 0;

	*at = s->end;
	s->end += stored;
	if (s->seal) {
		r = make_room(s, stored, e);
		if (r)
			return r;
		put_nonce(*at, nonce);
		memcpy(s->sealed, data, n);
		r = gcm_seal(s->seal, nonce, "", 0, s->sealed, n, s->sealed + n, e);
		data = s->sealed;
	}
	return r ? r : io_write_all_at(s->fd, data, stored, *at, e);
}

int spill_get(struct spill *s, uint64_t at, uint8_t *out, size_t n, struct err *e)
{
	uint8_t nonce[GCM_NONCE_BYTES], tag[GCM_TAG_BYTES];
	struct io_src src;
	int r = io_src_fd(&src, s->fd, e);

	if (!r)
		r = io_read_at(&src, out, n, at, e);
	if (r || !s->open)
		return r;
	r = io_read_at(&src, tag, sizeof tag, at + n, e);
	if (r)
		return r;
	put_nonce(at, nonce);
	pthread_mutex_lock(&s->lock);
	r = gcm_open(s->open, nonce, "", 0, out, n, tag, e);
	pthread_mutex_unlock(&s->lock);
	return r;
}
