/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"
#include "layout/picture.h"

#include <stdlib.h>

int cmd_map(const struct inspect_args *a, struct err *e)
{
	const struct picture_map first = {snap_layout(a->snap), a->argv[0]};
	struct layout *other = a->against ? calloc(1, sizeof *other) : NULL;
	const struct picture_map second = {other, a->against};
	int r = 0;

	if (a->svg + a->html + a->json > 1)
		r = err_set(e, ERR_USAGE, "map: one of --json, --svg and --html");
	else if (a->against && !a->svg && !a->html)
		r = err_set(e, ERR_USAGE, "map: --against goes with --svg or --html");
	else if (a->against && !other)
		r = err_set(e, ERR_NOMEM, "out of memory");
	else if (other)
		r = load_against(a, other, e);
	if (!r && !a->svg && !a->html)
		r = cmd_layout(a, e);
	else if (!r)
		(a->svg ? picture_svg : picture_html)(&first, other ? &second : NULL, stdout);
	free(other);
	return r;
}
