/* SPDX-License-Identifier: Apache-2.0 */
#include "state/codec.h"

#include <inttypes.h>
#include <string.h>

static const char *uint_rule(uint8_t type)
{
	static const char *const rule[] = {
		[STATE_U8] = "uint .size 1",  [STATE_U16] = "uint .size 2",
		[STATE_U32] = "uint .size 4", [STATE_U64] = "uint .size 8",
		[STATE_BOOL] = "bool",
	};

	return rule[type];
}

static void named_rule(const struct state_names *names, FILE *out)
{
	const char *sep = "";

	for (size_t i = 0; i < names->n; i++)
		if (names->name[i]) {
			fprintf(out, "%s%zu", sep, i);
			sep = " / ";
		}
}

static void cddl_type(const struct state_field *f, FILE *out)
{
	switch (f->shape) {
	case STATE_SCALAR:
		fputs(uint_rule(f->type), out);
		break;
	case STATE_NAMED:
		named_rule(f->names, out);
		break;
	case STATE_ARRAY:
		if (f->type == STATE_U8)
			fprintf(out, "bytes .size %zu", f->n);
		else
			fprintf(out, "[%zu*%zu %s]", f->n, f->n, uint_rule(f->type));
		break;
	case STATE_BLOB:
		fprintf(out, "bytes .size (0..%zu)", f->n);
		break;
	case STATE_STRING:
		fprintf(out, "text .size (0..%zu)", f->n);
		break;
	case STATE_RECORD:
		fputs(f->record->name, out);
		break;
	case STATE_LIST:
		fprintf(out, "[0*%zu %s]", f->n, f->record->name);
		break;
	}
}

void state_cddl(const struct state_desc *d, FILE *out)
{
	fprintf(out, "; %s\n%s = {\n  0: %u, ; version\n", d->meaning, d->name, d->version);
	for (size_t i = 0; i < d->n_fields; i++) {
		const struct state_field *f = &d->field[i];
		fprintf(out, "  %u: ", f->id);
		cddl_type(f, out);
		fprintf(out, ", ; %s: %s", f->name, f->meaning);
		if (f->shape == STATE_NAMED)
			for (size_t v = 0, n = 0; v < f->names->n; v++)
				if (f->names->name[v])
					fprintf(out, "%s%zu=%s", n++ ? " " : " (", v,
						f->names->name[v]);
		fputs(f->shape == STATE_NAMED ? ")\n" : "\n", out);
	}
	fputs("}\n", out);
}

void state_markdown(const struct state_desc *d, FILE *out)
{
	fprintf(out, "### `%s` (version %u)\n\n%s.\n\n", d->name, d->version, d->meaning);
	fputs("| id | field | type | since | default | meaning |\n", out);
	fputs("| --- | --- | --- | --- | --- | --- |\n", out);
	for (size_t i = 0; i < d->n_fields; i++) {
		const struct state_field *f = &d->field[i];
		fprintf(out, "| %u | `%s` | `", f->id, f->name);
		cddl_type(f, out);
		fprintf(out, "` | %u | ", f->since);
		if (f->shape == STATE_SCALAR || f->shape == STATE_NAMED)
			fprintf(out, "%" PRIu64, f->dflt);
		fprintf(out, " | %s", f->meaning);
		if (f->shape == STATE_NAMED)
			for (size_t v = 0; v < f->names->n; v++)
				if (f->names->name[v])
					fprintf(out, "; %zu %s", v, f->names->name[v]);
		fputs(" |\n", out);
	}
	fputc('\n', out);
}
