/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a running VM does when it is asked over its control socket (formats/control.md).
 *
 * Prefix: control_. Threads: the event loop's.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include "vmm/save.h"
#include "vmm/server.h"

struct control;

/** control_new() - @listen_fd: taken over. Becomes what vm->changed calls. */
int control_new(struct vm *vm, int listen_fd, struct control **out, struct err *e) MUST_CHECK;
/** control_free() - ends a save that is under way, and tells who waits for it. */
void control_free(struct control *c);

#endif
