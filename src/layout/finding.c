/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/finding.h"

#include <jansson.h>

static const char *const severity_names[] = {"note", "warning", "refusal"};

void findings_add(struct findings *f, const char *rule, enum severity severity,
		  const char *subject, const char *saved, const char *found, const char *why,
		  const char *todo)
{
	if (severity > f->worst)
		f->worst = severity;
	if (f->n == FINDINGS_MAX) {
		f->dropped++;
		return;
	}
	struct finding *x = &f->item[f->n++];
	x->rule = rule;
	x->severity = severity;
	x->why = why;
	x->todo = todo;
	snprintf(x->subject, sizeof x->subject, "%s", subject);
	snprintf(x->saved, sizeof x->saved, "%s", saved);
	snprintf(x->found, sizeof x->found, "%s", found);
}

enum verdict findings_verdict(const struct findings *f)
{
	return f->worst == FINDING_REFUSAL   ? VERDICT_INCOMPATIBLE
	       : f->worst == FINDING_WARNING ? VERDICT_COMPATIBLE
					     : VERDICT_IDENTICAL;
}

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = {"identical", "compatible", "incompatible"};

	return names[v];
}

void findings_text(const struct findings *f, FILE *out)
{
	for (uint32_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->item[i];
		fprintf(out, "%s %s: %s\n", x->rule, severity_names[x->severity], x->subject);
		if (x->saved[0] || x->found[0])
			fprintf(out, "    saved  %s\n    found  %s\n", x->saved, x->found);
		fprintf(out, "    why    %s\n", x->why);
		if (x->todo[0])
			fprintf(out, "    to do  %s\n", x->todo);
	}
	if (f->dropped)
		fprintf(out, "and %u more\n", f->dropped);
	fprintf(out, "verdict: %s\n", verdict_name(findings_verdict(f)));
}

struct json_t *findings_json(const struct findings *f)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->item[i];
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "rule", x->rule,
					"severity", severity_names[x->severity], "subject",
					x->subject, "saved", x->saved, "found", x->found, "why",
					x->why, "todo", x->todo));
	}
	return json_pack("{s:s, s:o, s:I}", "verdict", verdict_name(findings_verdict(f)),
			 "findings", list, "dropped", (json_int_t)f->dropped);
}

int findings_error(const struct findings *f, struct err *e)
{
	for (uint32_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->item[i];
		if (x->severity != FINDING_REFUSAL)
			continue;
		return err_set(e, ERR_INCOMPATIBLE, "%s %s: saved %s, found %s: %s", x->rule,
			       x->subject, x->saved, x->found, x->why);
	}
	return 0;
}
