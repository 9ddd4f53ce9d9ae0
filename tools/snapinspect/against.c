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

static int load_file(const char *path, struct layout *out, struct err *e)
{
	struct snap *other = NULL;
	int r = snap_open_file(path, &other, e);

	if (!r)
		*out = *snap_layout(other);
	snap_close(other);
	return r;
}

int load_against(const struct inspect_args *a, struct layout *out, struct err *e)
{
	const struct layout_def *def = layout_def_find(a->against);
	int r = def ? build(a, def, out, e) : load_file(a->against, out, e);

	/* Otherwise it would seem to be about the first. */
	if (r)
		err_file(e, a->against);
	return r;
}
