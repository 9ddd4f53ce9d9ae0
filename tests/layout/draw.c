/* SPDX-License-Identifier: Apache-2.0 */
/* draw svg|html MAP [MAP]: for test_picture.py and for people. A map is x86:SIZE, changed:SIZE,
 * arm:SIZE of the window, hostile:SEED. */
#include "layout/picture.h"
#include "maps.h"

#include <stdlib.h>
#include <string.h>

static bool make(const char *name, struct layout *l)
{
	const char *colon = strchr(name, ':');
	uint64_t n;

	if (!colon || num_parse_size(colon + 1, &n))
		return false;
	if (!strncmp(name, "x86:", 4) || !strncmp(name, "changed:", 8))
		maps_x86(l, n);
	else if (!strncmp(name, "arm:", 4))
		maps_arm(l, n);
	else if (!strncmp(name, "hostile:", 8))
		maps_hostile(l, n);
	else
		return false;
	if (!strncmp(name, "changed:", 8))
		maps_changed(l);
	return true;
}

int main(int argc, char **argv)
{
	static struct layout a, b;
	struct picture_map first = {&a, argc == 4 ? "saved" : argv[argc - 1]};
	struct picture_map second = {&b, "wanted"};

	if (argc < 3 || argc > 4 || !make(argv[2], &a) || (argc == 4 && !make(argv[3], &b))) {
		fprintf(stderr, "usage: draw svg|html MAP [MAP]\n");
		return 2;
	}
	(strcmp(argv[1], "svg") ? picture_html : picture_svg)(&first, argc == 4 ? &second : NULL,
							      stdout);
	return fflush(stdout) != 0;
}
