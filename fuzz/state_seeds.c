/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a record of each state table into a folder, for fuzz_state to begin with: state_seeds DIR.
 */
#include "state/state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_one(const char *dir, const struct state_desc *d)
{
	void *st = calloc(1, d->size);
	struct buf b = BUF_INIT;
	char path[4096];

	if (!st)
		return -1;
	state_defaults(d, st);
	buf_put(&b, d->name, strlen(d->name) + 1);
	state_encode(d, st, &b);
	snprintf(path, sizeof path, "%s/%s", dir, d->name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 || b.failed ? -1 : io_write_all(fd, b.data, b.len, NULL);
	if (fd >= 0)
		close(fd);
	buf_free(&b);
	free(st);
	return r;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (size_t i = 0; state_all[i]; i++)
		if (write_one(argv[1], state_all[i]))
			return 1;
	return 0;
}
