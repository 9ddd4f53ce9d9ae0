/* SPDX-License-Identifier: Apache-2.0 */
/* Are these the images that a snapshot was made with? Rules D050-D056. */
#include "devices/disk_image.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct compare {
	const struct disk_state *saved;
	struct findings *out;
	char subject[64]; /* device and image */
};

static void add(struct compare *c, enum rule_id rule, const char *saved, const char *found)
{
	findings_add(c->out, rule, c->subject, saved, found);
}

static void set_subject(struct compare *c, const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(c->subject, sizeof c->subject, "%.32s: %.28s", c->saved->id,
		 slash ? slash + 1 : path);
}

static void compare_ids(struct compare *c, const struct disk_image_state *saved,
			const struct disk_image_state *now)
{
	const size_t n = sizeof now->uuid;
	char a[2 * sizeof now->uuid + 1], b[sizeof a];

	if (memcmp(saved->uuid, now->uuid, sizeof now->uuid) != 0)
		add(c, RULE_D053, num_hex(saved->uuid, n, a), num_hex(now->uuid, n, b));
	else if (memcmp(saved->generation, now->generation, sizeof now->generation) != 0)
		add(c, RULE_D054, num_hex(saved->generation, n, a), num_hex(now->generation, n, b));
}

/* As touch -d takes it. */
static const char *time_text(uint64_t ns, char out[static 64])
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;
	char date[32];

	if (gmtime_r(&t, &tm) && strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(out, 64, "%s.%09" PRIu64 " UTC", date, ns % 1000000000);
	else
		snprintf(out, 64, "@%" PRIu64 ".%09" PRIu64, ns / 1000000000, ns % 1000000000);
	return out;
}

static void compare_time(struct compare *c, const struct disk_image_state *saved,
			 const struct disk_image_state *now)
{
	char a[64], b[64];

	if (saved->mtime_ns != now->mtime_ns)
		add(c, RULE_D055, time_text(saved->mtime_ns, a), time_text(now->mtime_ns, b));
	if (saved->frozen && !now->frozen)
		add(c, RULE_D056, "frozen", "may be written");
}

static void compare_sizes(struct compare *c, uint64_t saved, uint64_t now)
{
	char a[32], b[32];

	if (saved == now)
		return;
	snprintf(a, sizeof a, "%llu bytes", (unsigned long long)saved);
	snprintf(b, sizeof b, "%llu bytes", (unsigned long long)now);
	add(c, RULE_D052, a, b);
}

/* What the chain looks like: "raw", "2 overlays on raw". */
static const char *shape(uint32_t n, char out[static 32])
{
	if (n == 1)
		return "raw";
	snprintf(out, 32, "%u overlay%s on raw", n - 1, n == 2 ? "" : "s");
	return out;
}

static bool same_shape(const struct disk_state *saved, const struct disk_chain *now)
{
	if (saved->image_n != now->n)
		return false;
	for (uint32_t i = 0; i < now->n; i++)
		if (saved->image[i].format != now->image[i].format)
			return false;
	return true;
}

static void add_missing(struct compare *c, const char *path, const char *found)
{
	set_subject(c, path);
	add(c, RULE_D050, path, found);
}

int disk_verify(const struct disk_state *saved, const struct disk_chain *now, struct findings *out,
		struct err *e)
{
	struct compare c = {.saved = saved, .out = out};
	char a[32], b[32];
	uint64_t bytes;

	if (!now) {
		add_missing(&c, saved->image_n ? saved->image[0].path : "", "none");
		return 0;
	}
	set_subject(&c, now->image[0].path);
	if (!same_shape(saved, now)) {
		add(&c, RULE_D051, shape(saved->image_n, a), shape(now->n, b));
		return 0;
	}
	int r = disk_image_bytes_(&now->image[0], &bytes, e);
	if (r)
		return r;
	compare_sizes(&c, saved->bytes, bytes);
	for (uint32_t i = 0; i < now->n; i++) {
		struct disk_image_state facts;
		r = disk_image_facts_(&now->image[i], &facts, e);
		if (r)
			return r;
		set_subject(&c, now->image[i].path);
		compare_sizes(&c, saved->image[i].file_bytes, facts.file_bytes);
		compare_ids(&c, &saved->image[i], &facts);
		compare_time(&c, &saved->image[i], &facts);
	}
	return 0;
}

int disk_verify_bytes(const char *id, uint64_t saved, const struct disk_chain *now,
		      struct findings *out, struct err *e)
{
	struct compare c = {.out = out};
	uint64_t bytes;
	int r = disk_image_bytes_(&now->image[0], &bytes, e);

	snprintf(c.subject, sizeof c.subject, "%s", id);
	if (!r)
		compare_sizes(&c, saved, bytes);
	return r;
}

int disk_verify_open(const struct disk_state *saved, const char *path, struct disk_chain *chain,
		     struct findings *out, struct err *e)
{
	struct compare c = {.saved = saved, .out = out};
	struct err why = ERR_INIT;
	int r = disk_chain_open(path, false, chain, &why);
	uint32_t before = out->n;

	if (!r)
		return disk_verify(saved, chain, out, e);
	chain->n = 0;
	if (r == -ERR_BUSY || r == -ERR_NOMEM) {
		if (e)
			*e = why;
		return r;
	}
	/* An overlay that knows that what it lies on was changed: the rules say more about that. */
	if (r == -ERR_INCOMPATIBLE && !disk_chain_peek(path, chain, NULL)) {
		r = disk_verify(saved, chain, out, e);
		disk_chain_close(chain);
		if (r || out->n > before)
			return r;
	}
	add_missing(&c, path, why.msg);
	return 0;
}
