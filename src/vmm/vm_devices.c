/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of the machine description, made and put on their buses. */
#include "vmm/vm.h"

#include "devices/acpi_pm.h"
#include "devices/cpufreq.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/pl031.h"
#include "devices/rtc.h"
#include "devices/stall.h"
#include "devices/uart.h"
#include "devices/virtio.h"
#include "devices/vmgenid.h"

#include <string.h>

/* A serial port that leads nowhere. */
static void drop_out(struct serial_end *s, const void *data, size_t n)
{
}

static void ignore_room(struct serial_end *s)
{
}

static struct serial_end nowhere = {drop_out, ignore_room};

static struct serial_end *end_of(const struct vm_backend *b)
{
	return b && b->console ? console_end(b->console) : &nowhere;
}

/* A device that has no PCI slot answers at its region, @most bytes of it. */
static int put(struct vm *vm, const char *region, uint64_t most, const struct bus_ops *ops,
	       struct device *dev, struct err *e)
{
	const struct layout_region *r;
	int err = layout_need(&vm->layout, region, &r, e);

	if (err)
		return err;
	return bus_add(r->kind == REGION_PIO ? &vm->ports : &vm->memory, r->start,
		       r->size < most ? r->size : most, ops, dev, e);
}

static struct device *new_rtc(struct vm *vm, const struct machine_device *md, struct irq_line irq,
			      struct err *e)
{
	const struct layout_region *high = layout_find(&vm->layout, "RAM_ABOVE_4G");
	uint64_t above = high ? high->size : 0;

	return rtc_new(md->id, irq, &vm->clock, vm->loop, vm->layout.params.ram_bytes - above, above,
		       e);
}

static struct device *new_stall(struct vm *vm, const struct machine_device *md, struct err *e)
{
	const struct stall_setup s = {
	    .irq = &vm->irq.host,
	    .ppi = md->line,
	    .vcpus = vm->layout.params.vcpus,
	    .clock = &vm->clock,
	    .loop = vm->loop,
	    .events = &vm->events,
	};

	return stall_new(md->id, &s, e);
}

static struct device *new_vmgenid(struct vm *vm, const struct machine_device *md,
				  struct irq_line irq, struct err *e)
{
	const struct layout_region *page;

	if (layout_need(&vm->layout, md->region, &page, e))
		return NULL;
	return vmgenid_new(md->id, irq, &vm->mem, gpa(page->start), e);
}

static int attach(struct vm *vm, const struct vm_backend *b, console_input_fn *input,
		  struct device *dev, struct err *e)
{
	return b && b->console ? console_attach(b->console, vm->loop, input, dev, e) : 0;
}

/* *@out may be set on failure: it is freed with the others. */
static int add_platform(struct vm *vm, const struct machine_device *md, struct device **out,
			struct err *e)
{
	const struct vm_backend *b = vm_backend(vm, md->id);
	const struct irq_line irq = {&vm->irq.host, md->line, vm->device_n};
	const struct bus_ops *ops = NULL;
	uint64_t most = UINT64_MAX;
	int r = 0;

	if (!strcmp(md->type, "uart")) {
		*out = uart_new(md->id, irq, end_of(b), e);
		ops = &uart_ops;
	} else if (!strcmp(md->type, "i8042")) {
		*out = i8042_new(md->id, &vm->events, e);
		ops = &i8042_data_ops;
	} else if (!strcmp(md->type, "rtc")) {
		*out = new_rtc(vm, md, irq, e);
		ops = &rtc_ops;
	} else if (!strcmp(md->type, "acpi-pm")) {
		*out = acpi_pm_new(md->id, irq, &vm->clock, &vm->events, e);
		ops = &acpi_pm_ops;
	} else if (!strcmp(md->type, "debug-exit")) {
		*out = debug_exit_new(md->id, &vm->events, e);
		ops = &debug_exit_ops;
		most = DEBUG_EXIT_BYTES;
	} else if (!strcmp(md->type, "pl031")) {
		*out = pl031_new(md->id, irq, &vm->clock, vm->loop, e);
		ops = &pl031_ops;
	} else if (!strcmp(md->type, "stall-detector")) {
		*out = new_stall(vm, md, e);
		ops = &stall_ops;
	} else if (!strcmp(md->type, "cpufreq")) {
		*out = cpufreq_new(md->id, vm->layout.params.vcpus, vcpus_clamp, e);
		ops = &cpufreq_ops;
	} else if (!strcmp(md->type, "vmgenid")) {
		*out = new_vmgenid(vm, md, irq, e);
	} else {
		return err_set(e, ERR_INCOMPATIBLE, "%s: no model %s in this build", md->id,
			       md->type);
	}
	if (!*out)
		return e ? -e->code : -ERR_NOMEM;
	if (ops)
		r = put(vm, md->region, most, ops, *out, e);
	if (!r && !strcmp(md->type, "i8042"))
		r = put(vm, "I8042_COMMAND", most, &i8042_command_ops, *out, e);
	if (!r && !strcmp(md->type, "uart"))
		r = attach(vm, b, uart_input, *out, e);
	return r;
}

static int add_bridge(struct vm *vm, const struct machine_device *md, struct device **out,
		      struct err *e)
{
	const struct pci_env env = {
		.layout = &vm->layout,
		.memory = &vm->memory,
		.ports = &vm->ports,
		.irq = &vm->irq.host,
	};
	int r = pci_host_new(md, &env, &vm->pci, e);

	if (!r)
		*out = pci_host_device(vm->pci);
	return r;
}

static int add_virtio(struct vm *vm, const struct machine_device *md, struct device **out,
		      struct err *e)
{
	const struct virtio_host host = {&vm->mem, vm->loop, &vm->irq.host, vm->pci};
	const struct vm_backend *b = vm_backend(vm, md->id);
	int r;

	if (!vm->pci)
		return err_set(e, ERR_STRUCTURE, "%s: there is no PCI host bridge before it", md->id);
	if (!strcmp(md->type, "virtio-blk"))
		return b && b->disk ? virtio_blk_new(md, &host, b->disk, out, e)
				    : err_set(e, ERR_USAGE, "%s: no image given for this disk",
					      md->id);
	if (!strcmp(md->type, "virtio-net"))
		return b && b->tap_fd >= 0 ? virtio_net_new(md, &host, b->tap_fd, out, e)
					   : err_set(e, ERR_USAGE,
						     "%s: no TAP device given for this network",
						     md->id);
	if (!strcmp(md->type, "virtio-rng"))
		return virtio_rng_new(md, &host, out, e);
	if (!strcmp(md->type, "virtio-console")) {
		r = virtio_console_new(md, &host, end_of(b), out, e);
		return r ? r : attach(vm, b, virtio_console_input, *out, e);
	}
	if (!strcmp(md->type, "virtio-balloon"))
		return virtio_balloon_new(md, &host, out, e);
	return err_set(e, ERR_INCOMPATIBLE, "%s: no model %s in this build", md->id, md->type);
}

int vm_add_devices_(struct vm *vm, struct err *e)
{
	int r = pci_place_check(&vm->layout, &vm->machine, e);

	for (uint32_t i = 0; !r && i < vm->machine.device_n; i++) {
		const struct machine_device *md = &vm->machine.device[i];
		struct device *dev = NULL;
		if (!strcmp(md->type, "pci-host"))
			r = add_bridge(vm, md, &dev, e);
		else if (!strncmp(md->type, "virtio-", 7))
			r = add_virtio(vm, md, &dev, e);
		else
			r = add_platform(vm, md, &dev, e);
		if (dev)
			vm->device[vm->device_n++] = dev;
	}
	return r;
}
