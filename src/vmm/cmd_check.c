/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"
#include "vmm/disks.h"
#include "vmm/keys.h"

#include "snapshot/verdict.h"

#include <stdio.h>
#include <stdlib.h>

/* Another host's disks are not at hand. */
static int apply_rules(const struct snap *snap, const char *profile, struct findings *out,
		       struct err *e)
{
	const struct snap_manifest *m = snap_manifest(snap);
	struct host *host = calloc(1, sizeof *host);
	int r = !host	  ? err_set(e, ERR_NOMEM, "out of memory")
		: profile ? state_read_file(&host_desc, profile, host, e)
			  : this_host(host, e);

	if (!r)
		r = verdict_snapshot(m, host, out, e);
	if (!r && profile)
		verdict_disks_unseen(m, out);
	else if (!r)
		r = disks_verdict(m, out, e);
	free(host);
	return r;
}

static int check(const char *path, struct keys_in *keys, const char *profile, struct findings *out,
		 struct err *e)
{
	struct snap *snap = NULL;
	int r = keys_in_load(keys, e);

	if (!r)
		r = snap_open_file(path, &keys->opts, &snap, e);
	keys_in_fini(keys);
	if (!r)
		r = apply_rules(snap, profile, out, e);
	snap_close(snap);
	return r;
}

int print_findings(const struct findings *f, bool json)
{
	if (json && print_json(findings_json(f)))
		return STATUS_FAILED;
	if (!json)
		findings_text(f, stdout);
	return findings_verdict(f) == VERDICT_INCOMPATIBLE ? STATUS_INCOMPATIBLE : STATUS_DONE;
}

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false, list = false;
	const char *path, *profile = NULL;
	struct keys_in keys = {0};
	const struct option_spec spec[] = {
	    {0, "host", "PROFILE", OPT_TEXT, &profile, "on that host, by its exported profile"},
	    KEYS_IN_OPTIONS(keys),
	    {0, "json", NULL, OPT_FLAG, &json, "print JSON"},
	    {0, "rules", NULL, OPT_FLAG, &list, "print every rule there is, as Markdown"},
	};
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 0, 1, &path);

	if (status >= 0)
		return status;
	if (list && !path) {
		rules_markdown(stdout);
		return STATUS_DONE;
	}
	struct findings *f = calloc(1, sizeof *f);
	int r = !f	? err_set(&e, ERR_NOMEM, "out of memory")
		: !path ? err_set(&e, ERR_USAGE, "check: no snapshot given (vmm check --help)")
			: check(path, &keys, profile, f, &e);
	status = r ? fail(&e) : print_findings(f, json);
	free(f);
	return status;
}

const struct command cmd_check = {
    "check", "FILE [--host PROFILE] [--key KEY] [--verify-key FILE] [--json] | --rules",
    "would this snapshot restore here, or on another host? exit status 3 if not", run};
