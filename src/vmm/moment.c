/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int identify(struct moment *m, struct err *e)
{
	struct snapshot_identity *id = &m->identity;

	state_defaults(&snapshot_identity_desc, id);
	int r = secret_uuid(id->uuid, e);
	if (r)
		return r;
	snprintf(id->name, sizeof id->name, "%s", m->vm->name);
	id->created_ns = io_realtime_ns();
	strcpy(id->program, "vmm");
	snprintf(id->version, sizeof id->version, "%s", VMM_VERSION);
	snprintf(id->host, sizeof id->host, "%s", m->vm->host_name);
	return 0;
}

static struct save_overlay *overlay_of(struct save_setup *s, const char *id)
{
	for (uint32_t i = 0; i < s->overlay_n; i++)
		if (!strcmp(s->overlay[i].id, id))
			return &s->overlay[i];
	return NULL;
}

static int take_disk(struct moment *m, struct save_setup *setup, const struct vm_backend *b,
		     struct err *e)
{
	struct disk_state *rec = &m->disk[m->disk_n];
	struct save_overlay *o = overlay_of(setup, b->id);
	int r;

	if (disk_read_only(b->disk)) {
		r = disk_record(b->disk, rec, e);
	} else if (!o || o->image.fd < 0) {
		r = err_set(e, ERR_USAGE, "no overlay given for it to go on in");
	} else {
		r = disk_switch(b->disk, &o->image, rec, e);
		if (!r)
			o->image.fd = -1;
	}
	if (r) {
		err_where(e, "%s", b->id);
		return r;
	}
	strcpy(rec->id, b->id);
	m->disk_n++;
	return 0;
}

static int take_disks(struct moment *m, struct save_setup *setup, struct err *e)
{
	struct vm *vm = m->vm;
	int r = 0;

	for (uint32_t i = 0; !r && !setup->leave_disks && i < vm->backend_n; i++)
		if (vm->backend[i].disk)
			r = take_disk(m, setup, &vm->backend[i], e);
	return r;
}

/* In the order of formats/snapshot.md: what it is, where it ran, what it started from, time, disks,
 * CPUs, devices. */
static int collect(struct moment *m, struct err *e)
{
	struct vm *vm = m->vm;
	struct snap_manifest *to = &m->manifest;
	int r = snap_manifest_add(to, &snapshot_identity_desc, "", &m->identity, e);

	if (!r)
		r = snap_manifest_add(to, &layout_desc, "", &vm->layout, e);
	if (!r)
		r = snap_manifest_add(to, &machine_desc, "", &vm->machine, e);
	if (!r)
		r = snap_manifest_add(to, &host_desc, "", vm->host, e);
	if (!r && vm->image->boot.file_n)
		r = snap_manifest_add(to, &boot_desc, "", &vm->image->boot, e);
	if (!r)
		r = snap_manifest_add(to, &clock_desc, "", &m->state->clock, e);
	for (uint32_t i = 0; !r && i < m->disk_n; i++)
		r = snap_manifest_add(to, &disk_state_desc, m->disk[i].id, &m->disk[i], e);
	for (uint32_t i = 0; !r && i < m->state->vcpu_n; i++) {
		char id[16];
		snprintf(id, sizeof id, "%u", i);
		r = snap_manifest_add(to, arch_vcpu_state, id, m->state->vcpu[i], e);
	}
	if (!r)
		r = snap_manifest_add(to, arch_irqchip_state, "", m->state->irqchip, e);
	for (uint32_t i = 0; !r && i < vm->device_n; i++) {
		const struct state_desc *desc = vm->device[i]->cls->state;
		m->device[i] = malloc(desc->size);
		if (!m->device[i])
			return err_set(e, ERR_NOMEM, "out of memory");
		memcpy(m->device[i], vm->device[i]->st, desc->size);
		r = snap_manifest_add(to, desc, vm->device[i]->id, m->device[i], e);
	}
	return r;
}

int moment_init(struct moment *m, struct vm *vm, struct err *e)
{
	m->vm = vm;
	int r = identify(m, e);
	return r ? r : vm_state_new(vm->layout.params.vcpus, &m->state, e);
}

void moment_fini(struct moment *m)
{
	snap_manifest_fini(&m->manifest);
	for (uint32_t i = 0; i < MACHINE_DEVICES_MAX; i++)
		free(m->device[i]);
	vm_state_free(m->state);
}

int moment_take(struct moment *m, struct save_setup *setup, struct err *e)
{
	int r = take_disks(m, setup, e);
	return r ? r : collect(m, e);
}

/* One that cannot go back goes on in its overlay, and nothing is lost. */
void moment_undo(struct moment *m)
{
	struct vm *vm = m->vm;

	for (uint32_t i = 0; i < vm->backend_n; i++)
		for (uint32_t d = 0; d < m->disk_n; d++) {
			if (strcmp(m->disk[d].id, vm->backend[i].id) || m->disk[d].read_only)
				continue;
			int stays = disk_switch_back(vm->backend[i].disk, NULL);
			(void)stays;
		}
	m->disk_n = 0;
}
