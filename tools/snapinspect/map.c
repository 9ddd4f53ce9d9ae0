/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"
#include "layout/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void draw(const struct inspect_args *a, const struct picture_map *second)
{
	const struct picture_map first = {snap_layout(a->snap), a->argv[0]};

	if (a->svg)
		picture_svg(&first, second, stdout);
	else
		picture_html(&first, second, stdout);
}

static int draw_against(const struct inspect_args *a, int fd, struct err *e)
{
	struct snap *other = NULL;
	struct io_src src;

	int r = io_src_fd(&src, fd, e);
	if (!r)
		r = snap_open(&src, &other, e);
	if (!r)
		draw(a, &(struct picture_map){snap_layout(other), a->against});
	snap_close(other);
	return r;
}

int cmd_map(const struct inspect_args *a, struct err *e)
{
	if (a->svg + a->html + a->json > 1)
		return err_set(e, ERR_USAGE, "map: one of --json, --svg and --html");
	if (a->against && !a->svg && !a->html)
		return err_set(e, ERR_USAGE, "map: --against goes with --svg or --html");
	if (!a->svg && !a->html)
		return cmd_layout(a, e);
	if (!a->against) {
		draw(a, NULL);
		return 0;
	}
	int fd = open(a->against, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? err_sys(e, ERR_IO, errno, "cannot open") : draw_against(a, fd, e);
	if (fd >= 0)
		close(fd);
	/* Otherwise it would seem to be about the first. */
	if (r)
		err_file(e, a->against);
	return r;
}
