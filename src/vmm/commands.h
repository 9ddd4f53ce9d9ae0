/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/vmm/: the commands, one function each, and what several of them share. */
#ifndef VMM_COMMANDS_H
#define VMM_COMMANDS_H

#include "vmm/options.h"

#include <jansson.h>

extern const struct command cmd_run, cmd_snapshot, cmd_restore, cmd_check, cmd_pause, cmd_resume,
	cmd_stop, cmd_status, cmd_list, cmd_layout, cmd_host, cmd_disk, cmd_cpu, cmd_balloon,
	cmd_merge;

/** print_findings() - text or JSON; STATUS_DONE, STATUS_INCOMPATIBLE by the verdict, or STATUS_FAILED. */
struct findings;
int print_findings(const struct findings *f, bool json);

/** this_host() - what the host that this runs on can carry. */
struct host;
struct err;
int this_host(struct host *out, struct err *e) MUST_CHECK;

/** encoding_check() - what --encoding says, and that it goes together with the other options; any
 * may be NULL. -ERR_USAGE. */
int encoding_check(const char *encoding, const char *encrypt, const char *parent,
		   struct err *e) MUST_CHECK;
bool encoding_is_raw(const char *encoding);

/** print_json() - indented, with a newline; @j: taken over. Returns STATUS_DONE, or STATUS_FAILED. */
int print_json(json_t *j);

#endif
