/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory that is a private mapping of a file. When the file becomes shorter, or its storage
 * fails, a page can no longer be had: whoever touches it gets SIGBUS, and a vCPU EFAULT. The guest
 * must not go on then, and somebody wants to know why.
 *
 * Prefix: mapped_.
 */
#ifndef VMM_MAPPED_H
#define VMM_MAPPED_H

#include "layout/mem.h"

/** mapped_watch() - from now on SIGBUS in @mem says so and ends the process. One memory at a time.
 * @file: its name, for the message */
void mapped_watch(const struct guest_mem *mem, const char *file);

/** mapped_lost() - fills @e with the same reason. */
int mapped_lost(const char *file, struct err *e);

/** mapped_cut_off() - whether the file has become shorter than what is mapped of it. */
bool mapped_cut_off(const struct guest_mem *mem);

#endif
