/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where running VMs are found: a directory with a control socket for each,
 * $VMM_RUNTIME_DIR, else $XDG_RUNTIME_DIR/vmm, else /run/vmm. A socket nobody listens at was left by a VM
 * that died; whoever meets it removes it.
 *
 * Prefix: runtime_.
 */
#ifndef VMM_RUNTIME_H
#define VMM_RUNTIME_H

#include "base/base.h"

#define RUNTIME_NAME_MAX 64

/** runtime_check_name() - letters, digits, '.', '_' and '-', not first a '.' or '-'. */
int runtime_check_name(const char *name, struct err *e) MUST_CHECK;

/** runtime_listen() - the socket of a new VM; -ERR_BUSY when one of this name runs. */
int runtime_listen(const char *name, int *fd, struct err *e) MUST_CHECK;

/** runtime_connect() - to a running VM; -ERR_NAME when there is none of this name. */
int runtime_connect(const char *name, int *fd, struct err *e) MUST_CHECK;

/** runtime_names() - names of VMs with a socket, sorted; owned by the caller, who frees each and the list. */
int runtime_names(char ***names, size_t *n, struct err *e) MUST_CHECK;

#endif
