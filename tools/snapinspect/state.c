/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <string.h>

static json_t *component_json(const struct snap_component *c)
{
	return json_pack("{s:s, s:s, s:o}", "type", c->desc->name, "id", c->id, "state",
			 state_json(c->desc, c->st));
}

static void component_text(const struct snap_component *c)
{
	printf(c->id[0] ? "%s[%s]:\n" : "%s:\n", c->desc->name, c->id);
	state_text(c->desc, c->st, 2, stdout);
}

typedef bool filter_fn(const struct snap_component *c, const char *arg);

/* Prints what @want takes; returns how many there were. */
static int print_components(const struct inspect_args *a, filter_fn *want, const char *arg,
			    unsigned *n, struct err *e)
{
	const struct snap_manifest *m = snap_manifest(a->snap);
	json_t *list = json_array();

	*n = 0;
	for (uint32_t i = 0; i < m->n; i++) {
		if (!want(&m->item[i], arg))
			continue;
		if (a->json)
			json_array_append_new(list, component_json(&m->item[i]));
		else
			component_text(&m->item[i]);
		++*n;
	}
	if (a->json && *n)
		return print_json(list, e);
	json_decref(list);
	return 0;
}

static bool has_name(const struct snap_component *c, const char *arg)
{
	return !arg || !strcmp(c->id, arg) || !strcmp(c->desc->name, arg);
}

int cmd_state(const struct inspect_args *a, struct err *e)
{
	const char *name = a->argc > 1 ? a->argv[1] : NULL;
	unsigned n;

	int r = print_components(a, has_name, name, &n, e);
	if (!r && !n)
		return err_set(e, ERR_NAME, "no record of type or id \"%s\"", name);
	return r;
}

static bool is_vcpu(const struct snap_component *c, const char *arg)
{
	static const char *const types[] = {"x86-vcpu", "arm64-vcpu"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strncmp(c->desc->name, types[i], strlen(types[i])))
			return true;
	return false;
}

int cmd_cpu(const struct inspect_args *a, struct err *e)
{
	unsigned n;

	int r = print_components(a, is_vcpu, NULL, &n, e);
	if (!r && !n)
		return err_set(e, ERR_MISSING, "no vCPU was saved");
	return r;
}
