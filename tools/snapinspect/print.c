/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

int print_json(json_t *j, struct err *e)
{
	int r = j && !json_dumpf(j, stdout, JSON_INDENT(2)) && putchar('\n') != EOF
		    ? 0
		    : err_set(e, ERR_IO, "cannot write JSON");

	json_decref(j);
	return r;
}

const char *uuid_text(const uint8_t uuid[static 16], char out[static 37])
{
	char *p = out;

	/* 8-4-4-4-12 digits: RFC 9562, section 4 */
	for (int i = 0; i < 16; i++)
		p +=
		    sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
	return out;
}
