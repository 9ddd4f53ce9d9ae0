/* SPDX-License-Identifier: Apache-2.0 */
/* H rules: what a host can carry. */
#include "layout/compat.h"

#include <string.h>

static const char *const x86_needed[] = {
    "IRQCHIP",	    "PIT2",	      "PIT_STATE2",  "IRQFD",	  "IOEVENTFD",
    "XSAVE",	    "XCRS",	      "VCPU_EVENTS", "DEBUGREGS", "MP_STATE",
    "ADJUST_CLOCK", "IMMEDIATE_EXIT", "GET_TSC_KHZ",
};

static const char *const arm64_needed[] = {
    "IRQCHIP", "IRQFD",	   "IOEVENTFD",	  "IMMEDIATE_EXIT", "ONE_REG",
    "MP_STATE", "VCPU_EVENTS", "DEVICE_CTRL", "ARM_PSCI_0_2",   "ARM_VM_IPA_SIZE",
};

const char *compat_needed_cap(const char *arch, size_t i)
{
	if (!strcmp(arch, "x86_64"))
		return i < ARRAY_LEN(x86_needed) ? x86_needed[i] : NULL;
	if (!strcmp(arch, "aarch64"))
		return i < ARRAY_LEN(arm64_needed) ? arm64_needed[i] : NULL;
	return NULL;
}

/* A profile of another version of vmm may not list all of them. */
static uint32_t cap(const struct host *h, const char *name, bool *listed)
{
	*listed = false;
	for (uint32_t i = 0; i < h->cap_n; i++)
		if (!strcmp(h->cap[i].name, name)) {
			*listed = true;
			return h->cap[i].value;
		}
	return 0;
}

bool host_has(const struct host *h, const char *name)
{
	bool listed;

	return cap(h, name, &listed);
}

static void compare_caps(const struct host *saved, const struct host *host, struct findings *out)
{
	const char *name;
	bool listed;

	for (size_t i = 0; (name = compat_needed_cap(host->arch, i)); i++)
		if (!cap(host, name, &listed))
			findings_add(out, RULE_H006, name, "needed by every machine",
				     listed ? "absent" : "not in the profile");
	for (uint32_t i = 0; i < saved->cap_n; i++)
		if (saved->cap[i].value && !cap(host, saved->cap[i].name, &listed))
			findings_add(out, RULE_H007, saved->cap[i].name, "there",
				     listed ? "absent" : "not in the profile");
	if (saved->userfaultfd && !host->userfaultfd)
		findings_add(out, RULE_H008, "userfaultfd", "there", "absent");
}

static void compare_gic(const struct layout *l, const struct host *host, struct findings *out)
{
	if (l->params.gic_version == 2 && !host_has(host, "GICV2"))
		findings_add(out, RULE_H009, "interrupt controller", "GICv2", "absent");
	if (l->params.gic_version == 3 && !host_has(host, "GICV3"))
		findings_add(out, RULE_H009, "interrupt controller", "GICv3", "absent");
	if (l->params.gic_its && !host_has(host, "ITS"))
		findings_add(out, RULE_H009, "interrupt translation service", "ITS", "absent");
}

bool compat_host(const struct layout *saved, const struct host *saved_host, const struct host *host,
		 struct findings *out)
{
	uint64_t slots = 0;

	if (strcmp(saved_host->arch, host->arch)) {
		findings_add(out, RULE_H001, "architecture", saved_host->arch, host->arch);
		return false;
	}
	for (uint32_t i = 0; i < saved->region_n; i++)
		slots += layout_backed(saved, &saved->region[i]);
	if (saved->params.phys_bits > host->phys_bits)
		findings_add_u64(out, RULE_H002, "physical address bits", saved->params.phys_bits,
				 host->phys_bits);
	if (saved->params.vcpus > host->vcpus)
		findings_add_u64(out, RULE_H003, "vCPUs", saved->params.vcpus, host->vcpus);
	if (slots > host->memslots)
		findings_add_u64(out, RULE_H004, "memory slots", slots, host->memslots);
	if (saved_host->page_bytes != host->page_bytes)
		findings_add_u64(out, RULE_H005, "page size", saved_host->page_bytes,
				 host->page_bytes);
	compare_gic(saved, host, out);
	compare_caps(saved_host, host, out);
	return true;
}
