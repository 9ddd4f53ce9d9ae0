/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_u64(struct findings *out, const char *rule, const char *subject, uint64_t saved,
		    uint64_t found, const char *why, const char *todo)
{
	char a[32], b[32];

	snprintf(a, sizeof a, "%" PRIu64, saved);
	snprintf(b, sizeof b, "%" PRIu64, found);
	findings_add(out, rule, FINDING_REFUSAL, subject, a, b, why, todo);
}

static void describe(const struct layout_region *r, char *buf, size_t size)
{
	if (r)
		snprintf(buf, size, "%s 0x%" PRIx64 " to 0x%" PRIx64, region_kind_names.name[r->kind],
			 r->start, region_end(r));
	else
		snprintf(buf, size, "absent");
}

/* Every region that is in one and not, or otherwise, in the other. */
static void drift(const struct layout *saved, const struct layout *built, struct findings *out)
{
	static const char why[] =
		"this build makes another map from the same definition and parameters";
	static const char todo[] = "restore with the version of vmm that wrote the snapshot";
	char a[96], b[96];

	for (uint32_t i = 0; i < saved->region_n; i++) {
		const struct layout_region *r = &saved->region[i];
		const struct layout_region *q = layout_find(built, r->name);
		if (q && state_equal(&layout_region_desc, r, q))
			continue;
		describe(r, a, sizeof a);
		describe(q, b, sizeof b);
		findings_add(out, "L002", FINDING_REFUSAL, r->name, a, b, why, todo);
	}
	for (uint32_t i = 0; i < built->region_n; i++) {
		if (layout_find(saved, built->region[i].name))
			continue;
		describe(&built->region[i], b, sizeof b);
		findings_add(out, "L002", FINDING_REFUSAL, built->region[i].name, "absent", b, why,
			     todo);
	}
}

void compat_layout(const struct layout *saved, struct findings *out)
{
	const struct layout_def *def = layout_def_find(saved->id);
	struct err e = ERR_INIT;

	if (!def || strcmp(layout_def_id(def), saved->id)) {
		findings_add(out, "L001", FINDING_REFUSAL, "layout", saved->id, "unknown",
			     "this build has no definition of that name and version",
			     "restore with a version of vmm that has it");
		return;
	}
	struct layout *built = calloc(1, sizeof *built);
	if (!built || layout_build(def, &saved->params, built, &e))
		findings_add(out, "L003", FINDING_REFUSAL, "layout", saved->id,
			     built ? e.msg : "out of memory",
			     "this build cannot make a map from the saved parameters",
			     "restore with the version of vmm that wrote the snapshot");
	else if (!state_equal(&layout_desc, saved, built))
		drift(saved, built, out);
	free(built);
}

/* The models of this build, with their newest version. */
static const struct {
	const char *type;
	uint16_t version;
} models[] = {
	{"pci-host", 1},   {"uart", 1},	      {"i8042", 1},	 {"rtc", 1},
	{"acpi-pm", 1},	   {"debug-exit", 1}, {"virtio-blk", 1}, {"virtio-net", 1},
	{"virtio-rng", 1}, {"virtio-console", 1},
};

void compat_machine(const struct machine *saved, struct findings *out)
{
	for (uint32_t i = 0; i < saved->device_n; i++) {
		const struct machine_device *d = &saved->device[i];
		uint16_t version = 0;
		for (size_t m = 0; m < ARRAY_LEN(models); m++)
			if (!strcmp(models[m].type, d->type))
				version = models[m].version;
		if (!version)
			findings_add(out, "D001", FINDING_REFUSAL, d->id, d->type, "no such model",
				     "this build cannot emulate the device",
				     "restore with a version of vmm that has it");
		else if (d->version > version)
			add_u64(out, "D002", d->id, d->version, version,
				"the saved model is newer than this build's",
				"restore with a version of vmm that has it");
	}
	if (strcmp(saved->cpu, "host"))
		findings_add(out, "C001", FINDING_REFUSAL, "cpu policy", saved->cpu, "unknown",
			     "this build has no CPU policy of that name",
			     "restore with a version of vmm that has it");
}

void compat_host(const struct layout *saved, const struct host *saved_host,
		 const struct host *host, struct findings *out)
{
	uint64_t slots = 0;

	if (strcmp(saved_host->arch, host->arch)) {
		findings_add(out, "H001", FINDING_REFUSAL, "architecture", saved_host->arch,
			     host->arch, "a processor of one architecture cannot run the other",
			     "restore on a host of the saved architecture");
		return;
	}
	for (uint32_t i = 0; i < saved->region_n; i++)
		slots += layout_backed(saved, &saved->region[i]);
	if (saved->params.phys_bits > host->phys_bits)
		add_u64(out, "H002", "physical address bits", saved->params.phys_bits,
			host->phys_bits, "the guest may use addresses that this host cannot map",
			"restore on a host with as many bits; next time run the guest with --phys-bits");
	if (saved->params.vcpus > host->vcpus)
		add_u64(out, "H003", "vCPUs", saved->params.vcpus, host->vcpus,
			"this host's KVM has fewer for each VM", "restore on another host");
	if (slots > host->memslots)
		add_u64(out, "H004", "memory slots", slots, host->memslots,
			"this host's KVM has fewer for each VM", "restore on another host");
	if (saved_host->page_bytes != host->page_bytes)
		add_u64(out, "H005", "page size", saved_host->page_bytes, host->page_bytes,
			"guest memory is tracked in pages of the host",
			"restore on a host with the same page size");
}
