/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/rules.h"

#define RULE_ROW(ID, SEVERITY, COMPARED, WHY, TODO)                                                \
	[RULE_##ID] = {#ID, FINDING_##SEVERITY, COMPARED, WHY, TODO},

const struct rule rules[RULE_COUNT] = {RULES(RULE_ROW)};
