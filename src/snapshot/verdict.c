/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/verdict.h"

#include "state/disk.h"

#include <string.h>

/* Taken with --disks none: said by every check. */
static void note_missing_disks(const struct snap_manifest *m, const struct machine *machine,
			       struct findings *out)
{
	for (uint32_t i = 0; i < machine->device_n; i++) {
		const struct machine_device *d = &machine->device[i];
		if (!strcmp(d->type, "virtio-blk") &&
		    !snap_manifest_find(m, &disk_state_desc, d->id))
			findings_add(out, RULE_D003, d->id, "left out", "");
	}
}

void verdict_disks_unseen(const struct snap_manifest *m, struct findings *out)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->item[i].desc == &disk_state_desc)
			findings_add(out, RULE_D057, m->item[i].id, "", "not compared");
}

int verdict_snapshot(const struct snap_manifest *m, const struct host *host, struct findings *out,
		     struct err *e)
{
	const struct layout *l = snap_manifest_find(m, &layout_desc, "");
	const struct machine *machine = snap_manifest_find(m, &machine_desc, "");
	const struct host *saved_host = snap_manifest_find(m, &host_desc, "");
	const struct x86_vcpu *x86 = snap_manifest_find(m, &x86_vcpu_desc, "0");
	const struct arm64_vcpu *arm64 = snap_manifest_find(m, &arm64_vcpu_desc, "0");

	if (!l || !machine || !saved_host)
		return err_set(e, ERR_MISSING, "the snapshot has no layout, machine or host");
	compat_layout(l, out);
	compat_machine(l, machine, out);
	note_missing_disks(m, machine, out);
	if (!host) {
		findings_add(out, RULE_H010, "host", saved_host->cpu_model, "not compared");
		return 0;
	}
	bool same_arch = compat_host(l, saved_host, host, out);
	if (!x86 && !arm64)
		findings_add(out, RULE_C011, "processor", saved_host->arch, "not compared");
	if (same_arch && x86)
		compat_x86_vcpu(x86, host, out);
	if (same_arch && arm64)
		compat_arm64_vcpu(arm64, saved_host, host, out);
	return 0;
}
