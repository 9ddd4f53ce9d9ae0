/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VMM process may still do once its guest runs: no new privileges, no capabilities, only
 * the system calls it uses. A call outside the list ends the process (SIGSYS).
 *
 * Prefix: sandbox_.
 */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include "base/base.h"

/** sandbox_drop_capabilities() - of the calling thread and those it starts, for good. */
int sandbox_drop_capabilities(struct err *e) MUST_CHECK;

/** sandbox_enter() - for the whole process, but capabilities are each thread's own. There is no way
 * back. Every
 * descriptor the VMM will need is open by now, or comes over the control socket. */
int sandbox_enter(struct err *e) MUST_CHECK;

#endif
