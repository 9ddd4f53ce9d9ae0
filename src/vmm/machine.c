/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine.h"

#include "devices/pci.h"
#include "devices/virtio.h"

#include <stdio.h>
#include <string.h>

struct platform_device {
	const char *id, *type, *region;
};

/* The generation identifier's on x86-64, where the map has none for it: the first that ISA devices have
 * no part in, and after those of PCI. */
#define GENERATION_LINE 16

/* What every machine has, in the order in which it is made, saved and loaded. */
static const struct platform_device x86_64[] = {
    {"pci", "pci-host", "PCIE_CFG_MMIO_START"},
    {"com1", "uart", "SERIAL_ADDR[0]"},
    {"com2", "uart", "SERIAL_ADDR[1]"},
    {"com3", "uart", "SERIAL_ADDR[2]"},
    {"com4", "uart", "SERIAL_ADDR[3]"},
    {"i8042", "i8042", "I8042_DATA"},
    {"rtc", "rtc", "CMOS_RTC"},
    {"pm", "acpi-pm", "ACPI_PM"},
    {"genid", "vmgenid", "VMGENID_PAGE"},
    {"debug-exit", "debug-exit", "DEBUG_EXIT"},
};

static const struct platform_device aarch64[] = {
    {"pci", "pci-host", "AARCH64_PCI_CFG_BASE"},
    {"com1", "uart", "SERIAL_ADDR[0]"},
    {"com2", "uart", "SERIAL_ADDR[1]"},
    {"com3", "uart", "SERIAL_ADDR[2]"},
    {"com4", "uart", "SERIAL_ADDR[3]"},
    {"rtc", "pl031", "AARCH64_RTC_ADDR"},
    {"watchdog", "stall-detector", "AARCH64_VMWDT_ADDR"},
    {"cpufreq", "cpufreq", "AARCH64_VIRTFREQ_BASE"},
    {"genid", "vmgenid", "VMGENID_PAGE"},
    {"debug-exit", "debug-exit", "plat_mmio_base"},
};

static const struct {
	const char *arch;
	const struct platform_device *device;
	size_t n;
} platforms[] = {
    {"x86_64/", x86_64, ARRAY_LEN(x86_64)},
    {"aarch64/", aarch64, ARRAY_LEN(aarch64)},
};

bool machine_has(const char *layout, const char *type)
{
	for (size_t a = 0; a < ARRAY_LEN(platforms); a++) {
		if (strncmp(layout, platforms[a].arch, strlen(platforms[a].arch)) != 0)
			continue;
		for (size_t i = 0; i < platforms[a].n; i++)
			if (!strcmp(platforms[a].device[i].type, type))
				return true;
	}
	return false;
}

int machine_add(struct machine *m, const struct machine_device *md, struct err *e)
{
	if (m->device_n == MACHINE_DEVICES_MAX)
		return err_set(e, ERR_USAGE, "more than %d devices", MACHINE_DEVICES_MAX);
	if (!md->id[0])
		return err_set(e, ERR_USAGE, "a device without an id");
	for (uint32_t i = 0; i < m->device_n; i++)
		if (!strcmp(m->device[i].id, md->id))
			return err_set(e, ERR_USAGE, "two devices have the id '%s'", md->id);
	m->device[m->device_n++] = *md;
	return 0;
}

/* A debug-exit port is there when asked for; a generation identifier where the map has room for it: a
 * bios map has none. */
static bool wanted(const struct layout *l, const struct platform_device *p, bool debug_exit)
{
	if (!strcmp(p->type, "debug-exit"))
		return debug_exit;
	return strcmp(p->type, "vmgenid") != 0 || layout_find(l, p->region);
}

static int add_platform(const struct layout *l, const struct platform_device *p, struct machine *m,
			struct err *e)
{
	const struct layout_region *region;
	struct machine_device md;
	int r = layout_need(l, p->region, &region, e);

	if (r)
		return r;
	state_defaults(&machine_device_desc, &md);
	if (!strcmp(p->type, "pci-host")) {
		pci_host_describe(&md);
	} else {
		strcpy(md.id, p->id);
		strcpy(md.type, p->type);
		strcpy(md.region, region->name);
		md.line = region->irq;
		if (md.line == MACHINE_NO_LINE && !strcmp(p->type, "vmgenid"))
			md.line = GENERATION_LINE;
	}
	return machine_add(m, &md, e);
}

int machine_begin(const struct layout *l, const char *cpu, bool debug_exit, struct machine *out,
		  struct err *e)
{
	int r = 0;

	state_defaults(&machine_desc, out);
	snprintf(out->cpu, sizeof out->cpu, "%s", cpu);
	out->debug_exit = debug_exit;
	for (size_t a = 0; a < ARRAY_LEN(platforms); a++) {
		if (strncmp(l->id, platforms[a].arch, strlen(platforms[a].arch)) != 0)
			continue;
		for (size_t i = 0; !r && i < platforms[a].n; i++)
			if (wanted(l, &platforms[a].device[i], debug_exit))
				r = add_platform(l, &platforms[a].device[i], out, e);
	}
	return r;
}

int machine_finish(const struct layout *l, struct machine *m, struct err *e)
{
	if (layout_find(l, "get_swiotlb_addr"))
		for (uint32_t i = 0; i < m->device_n; i++)
			if (!strncmp(m->device[i].type, "virtio-", 7))
				virtio_offer_platform(&m->device[i]);
	return pci_place(l, m, e);
}

void machine_mac(const char *vm, const char *id, uint8_t mac[static 6])
{
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];

	sha256_add(h, vm, strlen(vm) + 1);
	sha256_add(h, id, strlen(id));
	sha256_end(h, digest);
	memcpy(mac, digest, 6);
	mac[0] = (mac[0] & 0xfc) | 2;
}
