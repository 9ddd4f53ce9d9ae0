/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings of a compatibility check: what differs, why it matters, what to do. Rules of layouts
 * (L), devices and disks (D), processors (C) and hosts (H) all end up in one list, whose gravest
 * entry is the verdict.
 *
 * Prefix: findings_.
 */
#ifndef LAYOUT_FINDING_H
#define LAYOUT_FINDING_H

#include "base/base.h"
#include "layout/rules.h"

#include <stdio.h>

enum verdict { VERDICT_IDENTICAL, VERDICT_COMPATIBLE, VERDICT_INCOMPATIBLE };

struct finding {
	const struct rule *rule;
	char subject[64]; /* region, device, register */
	char saved[160], found[160];
};

#define FINDINGS_MAX 64

/* When there are more, the list keeps the first and counts the rest. */
struct findings {
	uint32_t n, dropped;
	enum severity worst; /* of all, dropped ones too; FINDING_NOTE when there are none */
	struct finding item[FINDINGS_MAX];
};

/** findings_add() - @saved and @found are formatted by the caller. */
void findings_add(struct findings *f, enum rule_id rule, const char *subject, const char *saved,
		  const char *found);
/** findings_add_u64() - the same for plain numbers. */
void findings_add_u64(struct findings *f, enum rule_id rule, const char *subject, uint64_t saved,
		      uint64_t found);

/** findings_verdict() - identical when there is nothing above a note. */
enum verdict findings_verdict(const struct findings *f);
const char *verdict_name(enum verdict v);

/** findings_text() - a paragraph for each finding, then the verdict on a line. */
void findings_text(const struct findings *f, FILE *out);

/** findings_json() - {"verdict", "findings": [...]}; owned by the caller. */
struct json_t;
struct json_t *findings_json(const struct findings *f);

/** findings_error() - the first refusal as one line; -ERR_INCOMPATIBLE, or 0 when there is none. */
int findings_error(const struct findings *f, struct err *e) MUST_CHECK;

/** rules_markdown() - a table of rules for each prefix. */
void rules_markdown(FILE *out);

#endif
