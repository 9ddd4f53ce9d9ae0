/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"
#include "layout/print.h"

int cmd_layout(const struct inspect_args *a, struct err *e)
{
	const struct layout *l = snap_layout(a->snap);

	if (a->json)
		return print_json(layout_json(l), e);
	layout_print_text(l, stdout);
	return 0;
}
