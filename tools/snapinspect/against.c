/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

/* What the other definition has no row for is not asked of it, and shows as a difference. */
static int build(const struct inspect_args *a, const struct layout_def *def, struct layout *out,
		 struct err *e)
{
	struct layout_params p = snap_layout(a->snap)->params;

	layout_params_fit(def, &p);
	layout_params_complete(def, &p);
	return layout_build(def, &p, out, e);
}

/* --verify-key is about the other file, and this one need not be encrypted as that is. */
static int load_file(const struct inspect_args *a, const char *path, struct layout *out,
		     struct err *e)
{
	const struct snap_open_opts with_key = {.key = a->opts.key};
	struct snap *other = NULL;
	int r = snap_open_file(path, NULL, &other, e);

	if (r == -ERR_KEY && with_key.key)
		r = snap_open_file(path, &with_key, &other, e);
	if (!r)
		*out = *snap_layout(other);
	snap_close(other);
	return r;
}

int load_against(const struct inspect_args *a, struct layout *out, struct err *e)
{
	const struct layout_def *def = layout_def_find(a->against);
	int r = def ? build(a, def, out, e) : load_file(a, a->against, out, e);

	/* Otherwise it would seem to be about the first. */
	if (r)
		err_file(e, a->against);
	return r;
}
