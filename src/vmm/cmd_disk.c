/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"

#include "devices/disk.h"

#include <stdio.h>
#include <string.h>

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false, force = false;
	const char *output = NULL, *words[2];
	const struct option_spec spec[] = {
	    {0, "json", NULL, OPT_FLAG, &json, "info: print JSON"},
	    {'f', "force", NULL, OPT_FLAG, &force,
	     "commit: even into a frozen image; snapshots that need it are lost"},
	    {'o', "output", "FILE", OPT_TEXT, &output, "flatten: the new raw image"},
	};
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 2, 2, words);
	int r;

	if (status >= 0)
		return status;
	if (!strcmp(words[0], "info"))
		r = disk_tool_info(words[1], json, stdout, &e);
	else if (!strcmp(words[0], "commit"))
		r = disk_tool_commit(words[1], force, &e);
	else if (!strcmp(words[0], "flatten") && output)
		r = disk_tool_flatten(words[1], output, &e);
	else
		r = err_set(
		    &e, ERR_USAGE,
		    "disk: info FILE, commit FILE, or flatten FILE -o NEW (vmm disk --help)");
	return r ? fail(&e) : STATUS_DONE;
}

const struct command cmd_disk = {"disk", "info|commit|flatten FILE [options]",
				 "look at disk images, merge their overlays", run};
