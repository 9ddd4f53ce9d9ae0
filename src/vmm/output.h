/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a command writes: it grows under a name of its own, so that the one that was asked for is
 * whole or absent, or what it was. Prefix: output_.
 */
#ifndef VMM_OUTPUT_H
#define VMM_OUTPUT_H

#include "base/base.h"

#include <limits.h>

struct output {
	int fd; /* to write to; standard output for "-" */
	int dir_fd;
	char temporary[PATH_MAX];
};

#define OUTPUT_INIT                                                                                \
	{                                                                                          \
		.fd = -1, .dir_fd = -1                                                             \
	}

/** output_open() - @path: of a file in a folder that can be written to, or "-". */
int output_open(const char *path, struct output *o, struct err *e) MUST_CHECK;

/** output_publish() - sync what was written and give it its name. */
int output_publish(const char *path, struct output *o, struct err *e) MUST_CHECK;

/** output_close() - what was not published is gone. */
void output_close(struct output *o);

#endif
