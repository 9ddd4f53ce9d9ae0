/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <string.h>

/* A record that only ever stands inside others is no component. */
static bool is_nested(const struct state_desc *d)
{
	for (size_t i = 0; state_all[i]; i++)
		for (size_t j = 0; j < state_all[i]->n_fields; j++)
			if (state_all[i]->field[j].record == d)
				return true;
	return false;
}

static void cddl_manifest(void)
{
	static const char *const lead[] = {"identity", "layout", "machine", "ram"};

	puts("; Records of a .vmsnap file (RFC 8610). Printed by snapinspect schema --cddl.\n"
	     "; CBOR is deterministic (RFC 8949, section 4.2.1); formats/snapshot.md has what a "
	     "schema\n"
	     "; cannot say: sizes in all, the order of components, that type and id are unique.\n");
	puts("manifest = [");
	for (size_t i = 0; i < ARRAY_LEN(lead); i++)
		printf("  [\"%s\", \"\", %s],\n", lead[i], lead[i]);
	puts("  * component,\n]\n\nid = text .size (0..32)\n");
	fputs("component =", stdout);
	const char *sep = "";
	for (size_t i = 0; state_all[i]; i++) {
		bool leading = false;
		for (size_t j = 0; j < ARRAY_LEN(lead); j++)
			leading |= !strcmp(state_all[i]->name, lead[j]);
		if (leading || is_nested(state_all[i]))
			continue;
		printf("%s\n  [\"%s\", id, %s]", sep, state_all[i]->name, state_all[i]->name);
		sep = " /";
	}
	puts("\n");
}

int cmd_schema(const struct inspect_args *a, struct err *e)
{
	void (*print)(const struct state_desc *, FILE *) = a->cddl ? state_cddl : state_markdown;

	if (a->argc) {
		const struct state_desc *d = state_find(a->argv[0]);
		if (!d)
			return err_set(e, ERR_NAME, "no record is called \"%s\"", a->argv[0]);
		print(d, stdout);
		return 0;
	}
	if (a->cddl)
		cddl_manifest();
	else
		puts("# Records of a snapshot\n\nPrinted by `snapinspect schema --markdown`;"
		     " [snapshot.md](../snapshot.md) says how they are encoded.\n");
	for (size_t i = 0; state_all[i]; i++) {
		print(state_all[i], stdout);
		if (a->cddl && state_all[i + 1])
			putchar('\n');
	}
	return 0;
}
