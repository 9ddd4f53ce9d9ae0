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

/** output_open() - @path: of a file in a folder that can be written to, or "-". It is locked (flock) for
 * as long as anybody has it open. */
int output_open(const char *path, struct output *o, struct err *e) MUST_CHECK;

/** output_is_temporary() - whether output_open() gives files such a name while they grow.
 * @of: the name of the file to be, NULL for any. */
bool output_is_temporary(const char *name, const char *of);

/** output_scratch() - a file without a name beside @path, or in $TMPDIR for "-"; -ERR_IO. */
int output_scratch(const char *path, int *fd, struct err *e) MUST_CHECK;

/** output_publish() - sync what was written and give it its name. */
int output_publish(const char *path, struct output *o, struct err *e) MUST_CHECK;

/** output_close() - what was not published is gone. */
void output_close(struct output *o);

#endif
