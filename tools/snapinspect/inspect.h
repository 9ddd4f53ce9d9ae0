/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapinspect: answers questions about a snapshot without a VM, without KVM, on any architecture.
 * A command is one file here and one row in main.c's table. Commands print to stdout and return 0
 * or a negative error code; main() alone prints errors and chooses the exit status.
 */
#ifndef SNAPINSPECT_INSPECT_H
#define SNAPINSPECT_INSPECT_H

#include "snapshot/snapshot.h"

#include <jansson.h>

/* What stood on the command line behind the command. */
/* 3 is only for `check`: its rules refuse. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INCOMPATIBLE = 3 };

struct inspect_args {
	struct snap *snap; /* of argv[0]; NULL for commands that want no file */
	bool json, cddl, svg, html;
	const char *against, *host, *key, *verify_key; /* NULL when not given */
	struct snap_open_opts opts;		       /* what the last two gave */
	int argc;
	char **argv;
	int *status; /* of the program when the command succeeds */
};

int cmd_info(const struct inspect_args *a, struct err *e);
/* What is known of an encrypted file without its key. */
int cmd_info_outside(const struct inspect_args *a, struct err *e);
int cmd_layout(const struct inspect_args *a, struct err *e);
int cmd_check(const struct inspect_args *a, struct err *e);
int cmd_map(const struct inspect_args *a, struct err *e);
int cmd_state(const struct inspect_args *a, struct err *e);
int cmd_cpu(const struct inspect_args *a, struct err *e);
int cmd_verify(const struct inspect_args *a, struct err *e);
int cmd_schema(const struct inspect_args *a, struct err *e);

/* Prints and frees @j. */
int print_json(json_t *j, struct err *e);
/* "00112233-4455-6677-8899-aabbccddeeff"; returns @out. */
const char *uuid_text(const uint8_t uuid[static 16], char out[static 37]);

/* Who signed it, and whether anybody said that this is the right one; the second is NULL when it is
 * not signed. */
void put_signer(const struct snap_info *i);
json_t *signer_json(const struct snap_info *i);

/* The layout that --against names: of a snapshot, or a definition with the parameters of a->snap.
 */
int load_against(const struct inspect_args *a, struct layout *out, struct err *e);

#endif
