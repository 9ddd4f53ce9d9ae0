/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"
#include "snapshot/verdict.h"

#include <stdlib.h>

static int compare(const struct inspect_args *a, struct findings *out, struct err *e)
{
	struct host *host = a->host ? calloc(1, sizeof *host) : NULL;
	struct layout *other = a->against ? calloc(1, sizeof *other) : NULL;
	int r = (a->host && !host) || (a->against && !other)
		    ? err_set(e, ERR_NOMEM, "out of memory")
		    : 0;

	if (!r && host)
		r = state_read_file(&host_desc, a->host, host, e);
	if (!r && other)
		r = load_against(a, other, e);
	if (!r)
		r = verdict_snapshot(snap_manifest(a->snap), host, out, e);
	if (!r)
		verdict_disks_unseen(snap_manifest(a->snap), out);
	if (!r && other)
		layout_compare(snap_layout(a->snap), other, out);
	free(host);
	free(other);
	return r;
}

int cmd_check(const struct inspect_args *a, struct err *e)
{
	struct findings *f = calloc(1, sizeof *f);
	int r = f ? compare(a, f, e) : err_set(e, ERR_NOMEM, "out of memory");

	if (!r && a->json)
		r = print_json(findings_json(f), e);
	else if (!r)
		findings_text(f, stdout);
	if (!r && findings_verdict(f) == VERDICT_INCOMPATIBLE)
		*a->status = EXIT_INCOMPATIBLE;
	free(f);
	return r;
}
