/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the machine description of a new VM. What is decided here is saved with every snapshot
 * and never decided again.
 *
 * Prefix: machine_.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "layout/layout.h"
#include "state/machine.h"

/** machine_has() - has every machine of the memory map @layout (an id) a device of this @type? */
bool machine_has(const char *layout, const char *type);

/**
 * machine_begin() - an empty machine with what every one of @l has
 *
 * Then comes machine_add() for each further device, described by virtio_X_describe(), and
 * machine_finish(), which gives slots, interrupt lines and BARs to those on PCI.
 *
 * Return 0, -ERR_USAGE (an id that is taken or none, too many devices), -ERR_STRUCTURE (a row is
 * missing), -ERR_LIMIT.
 */
int machine_begin(const struct layout *l, const char *cpu, bool debug_exit, struct machine *out,
		  struct err *e) MUST_CHECK;
int machine_add(struct machine *m, const struct machine_device *md, struct err *e) MUST_CHECK;
int machine_finish(const struct layout *l, struct machine *m, struct err *e) MUST_CHECK;

/** machine_mac() - the address of network @id of the VM @vm: locally administered, and always the
 * same. */
void machine_mac(const char *vm, const char *id, uint8_t mac[static 6]);

#endif
