/* SPDX-License-Identifier: Apache-2.0 */
/* A host that has all that a machine needs, for those who take some of it away. */
#ifndef TEST_LAYOUT_HOSTS_H
#define TEST_LAYOUT_HOSTS_H

#include "state/host.h"

void hosts_fill(struct host *h);
void hosts_add_cap(struct host *h, const char *name);

/* Leaves 0, 1, 7, 0xd (0, 2, 9), 0x80000001 and 0x40000001, in this order. */
void hosts_fill_cpuid(struct x86_cpuid *list, uint32_t *n);

#endif
