/* SPDX-License-Identifier: Apache-2.0 */
/* Maps to draw, sound and unsound ones. */
#ifndef TEST_LAYOUT_MAPS_H
#define TEST_LAYOUT_MAPS_H

#include "layout/layout.h"

/** maps_x86() - x86_64/linux@1 with a kernel and an initrd; aborts when it cannot be built. */
void maps_x86(struct layout *l, uint64_t ram_bytes);

/** maps_arm() - UARTs of 8 bytes, RAM from 2 GiB, a window of @window_bytes and another that
 * follows it: passes layout_check(). */
void maps_arm(struct layout *l, uint64_t window_bytes);

/** maps_changed() - of what maps_x86() gave: a region moved, grown, shrunk, of another kind, line
 * or parent, vanished and new. */
void maps_changed(struct layout *l);

/** maps_hostile() - whatever a decoder lets through, and worse. */
void maps_hostile(struct layout *l, uint64_t seed);

#endif
