/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine.h"

#include "devices/pci.h"

#include <stdio.h>
#include <string.h>

/* What every x86-64 machine has, in the order in which it is made, saved and loaded. */
static const struct {
	const char *id, *type, *region;
} platform[] = {
	{"pci", "pci-host", "PCIE_CFG_MMIO_START"}, {"com1", "uart", "SERIAL_ADDR[0]"},
	{"com2", "uart", "SERIAL_ADDR[1]"},	    {"com3", "uart", "SERIAL_ADDR[2]"},
	{"com4", "uart", "SERIAL_ADDR[3]"},	    {"i8042", "i8042", "I8042_DATA"},
	{"rtc", "rtc", "CMOS_RTC"},		    {"pm", "acpi-pm", "ACPI_PM"},
	{"debug-exit", "debug-exit", "DEBUG_EXIT"},
};

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

static int add_platform(const struct layout *l, size_t i, struct machine *m, struct err *e)
{
	const struct layout_region *region;
	struct machine_device md;
	int r = layout_need(l, platform[i].region, &region, e);

	if (r)
		return r;
	state_defaults(&machine_device_desc, &md);
	if (!strcmp(platform[i].type, "pci-host")) {
		pci_host_describe(&md);
	} else {
		strcpy(md.id, platform[i].id);
		strcpy(md.type, platform[i].type);
		strcpy(md.region, region->name);
		md.line = region->irq;
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
	for (size_t i = 0; !r && i < ARRAY_LEN(platform); i++)
		if (debug_exit || strcmp(platform[i].type, "debug-exit"))
			r = add_platform(l, i, out, e);
	return r;
}

int machine_finish(const struct layout *l, struct machine *m, struct err *e)
{
	return pci_place(l, m, e);
}
