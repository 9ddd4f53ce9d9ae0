/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/finding.h"

#include <inttypes.h>
#include <jansson.h>

static const char *const severity_names[] = {"note", "warning", "refusal"};

void findings_add(struct findings *f, enum rule_id rule, const char *subject, const char *saved,
		  const char *found)
{
	const struct rule *r = &rules[rule];

	if (r->severity > f->worst)
		f->worst = r->severity;
	if (f->n == FINDINGS_MAX) {
		f->dropped++;
		return;
	}
	struct finding *x = &f->item[f->n++];
	x->rule = r;
	snprintf(x->subject, sizeof x->subject, "%s", subject);
	snprintf(x->saved, sizeof x->saved, "%s", saved);
	snprintf(x->found, sizeof x->found, "%s", found);
}

void findings_add_u64(struct findings *f, enum rule_id rule, const char *subject, uint64_t saved,
		      uint64_t found)
{
	char a[32], b[32];

	snprintf(a, sizeof a, "%" PRIu64, saved);
	snprintf(b, sizeof b, "%" PRIu64, found);
	findings_add(f, rule, subject, a, b);
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
		fprintf(out, "%s %s: %s\n", x->rule->id, severity_names[x->rule->severity],
			x->subject);
		if (x->saved[0])
			fprintf(out, "    saved  %s\n", x->saved);
		if (x->found[0])
			fprintf(out, "    found  %s\n", x->found);
		fprintf(out, "    why    %s\n", x->rule->why);
		if (x->rule->todo[0])
			fprintf(out, "    to do  %s\n", x->rule->todo);
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
		    list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "rule", x->rule->id,
				    "severity", severity_names[x->rule->severity], "subject",
				    x->subject, "saved", x->saved, "found", x->found, "why",
				    x->rule->why, "todo", x->rule->todo));
	}
	return json_pack("{s:s, s:o, s:I}", "verdict", verdict_name(findings_verdict(f)),
			 "findings", list, "dropped", (json_int_t)f->dropped);
}

int findings_error(const struct findings *f, struct err *e)
{
	for (uint32_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->item[i];
		if (x->rule->severity != FINDING_REFUSAL)
			continue;
		return err_set(e, ERR_INCOMPATIBLE, "%s %s: saved %s, found %s: %s", x->rule->id,
			       x->subject, x->saved, x->found, x->rule->why);
	}
	/* None among those that were kept. */
	return f->worst == FINDING_REFUSAL
		   ? err_set(e, ERR_INCOMPATIBLE, "more than %d differences", FINDINGS_MAX)
		   : 0;
}

void rules_markdown(FILE *out)
{
	static const struct {
		char letter;
		const char *title;
	} groups[] = {
	    {'L', "Memory map"},
	    {'D', "Devices and disks"},
	    {'C', "Processor"},
	    {'H', "Host"},
	};

	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		fprintf(out,
			"%s## %s (%c)\n\n| Rule | Severity | Compared | Why | What to do |\n"
			"| --- | --- | --- | --- | --- |\n",
			g ? "\n" : "", groups[g].title, groups[g].letter);
		for (size_t i = 0; i < RULE_COUNT; i++)
			if (rules[i].id[0] == groups[g].letter)
				fprintf(out, "| %s | %s | %s | %s | %s |\n", rules[i].id,
					severity_names[rules[i].severity], rules[i].compared,
					rules[i].why, rules[i].todo[0] ? rules[i].todo : "nothing");
	}
}
