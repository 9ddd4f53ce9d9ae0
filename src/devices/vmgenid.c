/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vmgenid.h"

#include "base/crypto.h"
#include "state/machine.h"
#include "state/vmgenid.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct vmgenid {
	struct device dev;
	struct vmgenid_state st;
	struct irq_line irq;
	struct guest_mem *mem;
	struct gpa at;
};

static struct vmgenid *vmgenid_of(struct device *d)
{
	return (struct vmgenid *)d;
}

static int put_new(struct vmgenid *g, struct err *e)
{
	uint8_t id[VMGENID_BYTES];

	int r = secret_random(id, sizeof id, e);
	if (r)
		return r;
	if (!mem_write(g->mem, g->at, id, sizeof id))
		return err_set(e, ERR_STRUCTURE, "%s: no memory at 0x%" PRIx64, g->dev.id, g->at.v);
	memcpy(g->st.id, id, sizeof id);
	return 0;
}

int vmgenid_first(struct device *d, struct err *e)
{
	device_lock(d);
	int r = put_new(vmgenid_of(d), e);
	device_unlock(d);
	return r;
}

int vmgenid_renew(struct device *d, struct err *e)
{
	struct vmgenid *g = vmgenid_of(d);

	device_lock(d);
	int r = put_new(g, e);
	if (!r && g->irq.line != MACHINE_NO_LINE) {
		irq_line_set(&g->irq, true);
		irq_line_set(&g->irq, false);
	}
	device_unlock(d);
	return r;
}

/* Any 16 bytes may have been drawn. */
static int on_check(const struct device *d, const void *state, struct err *e)
{
	return 0;
}

/* It is the same machine after a reset, but its guest may have written there. */
static void on_reset(struct device *d)
{
	struct vmgenid *g = vmgenid_of(d);

	(void)mem_write(g->mem, g->at, g->st.id, sizeof g->st.id);
}

/* Does nothing of its own accord; what is saved lies in memory too, and is loaded with it. */
static const struct device_class vmgenid_class = {
    .type = "vmgenid",
    .state = &vmgenid_state_desc,
    .pause = device_nothing,
    .resume = device_nothing,
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = device_nothing,
    .reset = on_reset,
    .free = device_free,
};

struct device *vmgenid_new(const char *id, struct irq_line irq, struct guest_mem *mem,
			   struct gpa at, struct err *e)
{
	struct vmgenid *g = calloc(1, sizeof *g);

	if (!g) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&g->dev, &vmgenid_class, id, &g->st);
	g->irq = irq;
	g->mem = mem;
	g->at = at;
	return &g->dev;
}
