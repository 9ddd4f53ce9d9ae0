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
struct inspect_args {
	bool json;
	bool cddl; /* of schema */
	bool svg, html;	     /* of map */
	const char *against; /* of map: a second file */
	int argc;  /* operands: the file first, where the command takes one */
	char **argv;
	struct snap *snap; /* opened by main(); NULL for commands without a file */
};

int cmd_info(const struct inspect_args *a, struct err *e);
int cmd_layout(const struct inspect_args *a, struct err *e);
int cmd_map(const struct inspect_args *a, struct err *e);
int cmd_state(const struct inspect_args *a, struct err *e);
int cmd_cpu(const struct inspect_args *a, struct err *e);
int cmd_verify(const struct inspect_args *a, struct err *e);
int cmd_schema(const struct inspect_args *a, struct err *e);

/* Prints and frees @j. */
int print_json(json_t *j, struct err *e);
/* "00112233-4455-6677-8899-aabbccddeeff"; returns @out. */
const char *uuid_text(const uint8_t uuid[static 16], char out[static 37]);

#endif
