/* SPDX-License-Identifier: Apache-2.0 */
/* The test that every device gets: what is saved is all there is, and all of it is restored. */
#ifndef TEST_ROUNDTRIP_H
#define TEST_ROUNDTRIP_H

#include "devices/device.h"

/**
 * roundtrip() - save, modify, save, restore, save
 * @modify: changes what survives; the second save must differ from the first
 *
 * Saving alone changes nothing. Restoring the first save makes a third that equals it, restoring
 * the second one that equals the second. A record cut short or refused leaves the device as it was.
 */
void roundtrip(struct device *d, void (*modify)(struct device *d));

/** device_save(), device_load() - as the machine does it, hooks and lock included. */
void device_save(struct device *d, struct buf *out);
int device_load(struct device *d, const struct buf *saved);

#endif
