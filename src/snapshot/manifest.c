/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/geometry.h"
#include "layout/compat.h"
#include "snapshot/manifest.h"

#include <stdlib.h>
#include <string.h>

void snap_manifest_fini(struct snap_manifest *m)
{
	for (uint32_t i = 0; m->owned && i < m->n; i++)
		free(m->item[i].st);
	free(m->item);
	*m = (struct snap_manifest)SNAP_MANIFEST_INIT;
}

static struct snap_component *find(const struct snap_manifest *m, const struct state_desc *desc,
				   const char *id)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->item[i].desc == desc && !strcmp(m->item[i].id, id))
			return &m->item[i];
	return NULL;
}

const void *snap_manifest_find(const struct snap_manifest *m, const struct state_desc *desc,
			       const char *id)
{
	const struct snap_component *c = find(m, desc, id);

	return c ? c->st : NULL;
}

int snap_manifest_add(struct snap_manifest *m, const struct state_desc *desc, const char *id,
		      void *st, struct err *e)
{
	if (strlen(id) > SNAP_ID_MAX)
		return err_set(e, ERR_LIMIT, "id \"%s\" is longer than %d", id, SNAP_ID_MAX);
	if (m->n == SNAP_COMPONENTS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d components", SNAP_COMPONENTS_MAX);
	if (find(m, desc, id))
		return err_set(e, ERR_DUPLICATE, "%s twice", manifest_label_(desc, id).text);
	if (!(m->n & (m->n - 1))) {
		/* Room doubles at powers of two. */
		struct snap_component *item =
		    realloc(m->item, (m->n ? 2 * m->n : 1) * sizeof *item);
		if (!item)
			return err_set(e, ERR_NOMEM, "out of memory");
		m->item = item;
	}
	struct snap_component *c = &m->item[m->n++];
	*c = (struct snap_component){.desc = desc, .st = st};
	strcpy(c->id, id);
	return 0;
}

struct manifest_label manifest_label_(const struct state_desc *desc, const char *id)
{
	struct manifest_label l;

	snprintf(l.text, sizeof l.text, *id ? "%s[%s]" : "%s", desc->name, id);
	return l;
}

int manifest_order_(const struct snap_manifest *m, const struct state_desc *const *lead, size_t n,
		    struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (i < m->n && m->item[i].desc == lead[i] && !m->item[i].id[0])
			continue;
		if (!find(m, lead[i], ""))
			return err_set(e, ERR_MISSING, "no %s", lead[i]->name);
		return err_set(e, ERR_STRUCTURE, "%s is not component %zu", lead[i]->name, i);
	}
	return 0;
}

static void put_component(const struct state_desc *desc, const char *id, const void *st,
			  struct buf *out)
{
	cbor_put_array(out, 3);
	cbor_put_text(out, desc->name);
	cbor_put_text(out, id);
	state_encode(desc, st, out);
}

int snap_manifest_encode(const struct snap_manifest *m, struct buf *out, struct err *e)
{
	size_t from = out->len;

	cbor_put_array(out, m->n);
	for (uint32_t i = 0; i < m->n; i++)
		put_component(m->item[i].desc, m->item[i].id, m->item[i].st, out);
	if (out->failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (out->len - from > SNAP_MANIFEST_MAX)
		return err_set(e, ERR_LIMIT, "manifest of %zu bytes", out->len - from);
	return 0;
}

/* Text of at most @max bytes into @out, which has room for a NUL more. */
static int get_text(struct cbor_in *in, size_t max, char *out, struct err *e)
{
	struct cbor_item it;
	int r = cbor_expect(in, CBOR_TEXT, &it, e);

	if (r)
		return r;
	if (it.value > max)
		return err_at(e, ERR_LIMIT, in->base + it.at,
			      "name of %llu bytes, at most %zu allowed",
			      (unsigned long long)it.value, max);
	if (it.value)
		memcpy(out, it.str, it.value);
	out[it.value] = '\0';
	return 0;
}

static int get_state(struct cbor_in *in, struct snap_component *c, uint64_t *budget, struct err *e)
{
	if (c->desc->size > *budget)
		return err_at(e, ERR_LIMIT, c->at, "records of more than %llu MiB in all",
			      (unsigned long long)(SNAP_STATE_MAX / MIB));
	*budget -= c->desc->size;
	c->st = malloc(c->desc->size);
	if (!c->st)
		return err_set(e, ERR_NOMEM, "out of memory");
	return state_decode(c->desc, in, c->st, e);
}

static int get_component(struct cbor_in *in, struct snap_manifest *m, uint64_t *budget,
			 struct err *e)
{
	char type[SNAP_ID_MAX + 1], id[SNAP_ID_MAX + 1];
	struct cbor_item it;
	uint64_t at = in->base + in->at;

	int r = cbor_expect(in, CBOR_ARRAY, &it, e);
	if (!r && it.value != 3)
		r = err_at(e, ERR_STRUCTURE, at, "component of %llu parts",
			   (unsigned long long)it.value);
	uint64_t type_at = in->base + in->at;
	if (!r)
		r = get_text(in, SNAP_ID_MAX, type, e);
	if (!r)
		r = get_text(in, SNAP_ID_MAX, id, e);
	if (r)
		return r;

	const struct state_desc *desc = state_find(type);
	if (!desc)
		return err_at(e, ERR_UNKNOWN, type_at, "no record is called \"%s\"", type);
	r = snap_manifest_add(m, desc, id, NULL, e);
	if (r) {
		if (e)
			e->offset = type_at;
		return r;
	}
	struct snap_component *c = &m->item[m->n - 1];
	c->at = in->base + in->at;
	r = get_state(in, c, budget, e);
	if (r)
		err_where(e, "%s", manifest_label_(desc, id).text);
	return r;
}

/* What the leading records say must fit together. A layout that breaks rules can be looked at, and
 * the rules say more than an error would: snap_open(). */
static int check_meaning(const struct snap_manifest *m, struct err *e)
{
	static const struct state_desc *const lead[] = {&snapshot_identity_desc, &layout_desc,
							&machine_desc, &snapshot_ram_desc};
	struct geometry g;
	uint64_t at = 0;

	int r = manifest_order_(m, lead, ARRAY_LEN(lead), e);
	if (r) {
		if (e)
			e->offset = m->n ? m->item[0].at : 0;
		return r;
	}
	const struct layout *l = m->item[1].st;
	const struct snapshot_ram *ram = m->item[3].st;
	r = layout_coherent(l, e);
	if (r) {
		at = m->item[1].at;
		err_where(e, "layout");
	} else if (!layout_check(l, NULL)) {
		at = m->item[3].at;
		r = geometry_init(&g, l, ram->chunk_bytes, e);
		if (!r && g.bytes != ram->stream_bytes)
			r = err_set(e, ERR_STRUCTURE, "%llu bytes of RAM, the layout has %llu",
				    (unsigned long long)ram->stream_bytes,
				    (unsigned long long)g.bytes);
		if (r)
			err_where(e, "ram");
	}
	if (r && e)
		e->offset = at;
	return r;
}

int snap_manifest_decode(const uint8_t *data, size_t n, uint64_t base, struct snap_manifest *out,
			 struct err *e)
{
	struct cbor_in in = {.data = data, .len = n, .base = base};
	struct snap_manifest m = SNAP_MANIFEST_INIT;
	uint64_t budget = SNAP_STATE_MAX;
	struct cbor_item it;

	m.owned = true;
	int r = cbor_expect(&in, CBOR_ARRAY, &it, e);
	if (!r && it.value > SNAP_COMPONENTS_MAX)
		r = err_at(e, ERR_LIMIT, base, "%llu components, at most %d allowed",
			   (unsigned long long)it.value, SNAP_COMPONENTS_MAX);
	for (uint64_t i = 0; !r && i < it.value; i++)
		r = get_component(&in, &m, &budget, e);
	if (!r)
		r = cbor_finish(&in, e);
	if (!r)
		r = check_meaning(&m, e);
	if (r) {
		snap_manifest_fini(&m);
		return r;
	}
	*out = m;
	return 0;
}
