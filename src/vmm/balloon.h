/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The balloon as the control socket shows it: how much memory the guest is to have, and has.
 *
 * Prefix: balloon_.
 */
#ifndef VMM_BALLOON_H
#define VMM_BALLOON_H

#include "vmm/vm.h"

#include <jansson.h>

/** balloon_json() - target and actual size; NULL for a machine without a balloon. */
json_t *balloon_json(struct vm *vm);

/**
 * balloon_call() - the method `balloon`
 * @params: what the client said, hostile; memory_bytes among it is what the guest is to have
 * Returns 0, -ERR_WRONG_STATE (no balloon), -ERR_USAGE (more than there is, or nothing).
 */
int balloon_call(struct vm *vm, const json_t *params, json_t **result, struct err *e) MUST_CHECK;

#endif
