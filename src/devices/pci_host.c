/* SPDX-License-Identifier: Apache-2.0 */
/* The host bridge: one bus, and the ways to its configuration space. */
#include "devices/pci_host.h"

#include <stdlib.h>
#include <string.h>

#define HOST_VERSION	  1
#define HOST_VENDOR	  0x1b36
#define HOST_DEVICE	  0x0008
#define SUBSYSTEM_VENDOR  0x1af4
#define SUBSYSTEM	  0x1100
#define CLASS_HOST_BRIDGE 0x06000000

#define ADDRESS_ENABLE UINT32_C(0x80000000) /* PCI 3.0, 3.2.2.3.2 */
#define ADDRESS_BITS   UINT32_C(0x80fffffc)
#define PORT_DATA      4

/* --- configuration space, whichever way --------------------------------------------------- */

/* @bdf: bus, device and function as in the machine description. */
static struct pci_fn *function_at(struct pci_host *h, unsigned bdf)
{
	return bdf < PCI_SLOTS << 3 && !(bdf & 7) ? h->slot[pci_slot((uint16_t)bdf)] : NULL;
}

/* The bridge's own lock is held already. */
static void fn_lock(struct pci_host *h, struct pci_fn *fn)
{
	if (fn != &h->fn)
		device_lock(&fn->dev);
}

static void fn_unlock(struct pci_host *h, struct pci_fn *fn)
{
	if (fn != &h->fn)
		device_unlock(&fn->dev);
}

/* Bytes from @reg to the end of its dword, at most @len. */
static unsigned piece(unsigned reg, unsigned len)
{
	unsigned room = 4 - (reg & 3);

	return len < room ? len : room;
}

static uint64_t config_read(struct pci_host *h, unsigned bdf, unsigned reg, unsigned len)
{
	struct pci_fn *fn = function_at(h, bdf);
	uint64_t v = 0;

	if (!fn)
		return UINT64_MAX;
	fn_lock(h, fn);
	/* Past 256 bytes: no extended capabilities, which is a 0 in the first dword. */
	for (unsigned i = 0, n; i < len && reg + i < PCI_CONFIG_BYTES; i += n) {
		n = piece(reg + i, len - i);
		v |= (uint64_t)pci_fn_config_read(fn, reg + i, n) << 8 * i;
	}
	fn_unlock(h, fn);
	return v;
}

/* What one BAR left may be what another one was put over before. */
static void map_all(struct pci_host *h)
{
	for (unsigned i = 1; i < PCI_SLOTS; i++) {
		if (!h->slot[i])
			continue;
		device_lock(&h->slot[i]->dev);
		pci_fn_map(h->slot[i]);
		device_unlock(&h->slot[i]->dev);
	}
}

static void config_write(struct pci_host *h, unsigned bdf, unsigned reg, unsigned len, uint64_t v)
{
	struct pci_fn *fn = function_at(h, bdf);

	if (!fn)
		return;
	fn_lock(h, fn);
	for (unsigned i = 0, n; i < len && reg + i < PCI_CONFIG_BYTES; i += n) {
		n = piece(reg + i, len - i);
		pci_fn_config_write(fn, reg + i, n, (uint32_t)(v >> 8 * i));
	}
	fn_unlock(h, fn);
	if (reg < PCI_REG_CAPS_START)
		map_all(h);
}

/* ECAM: 4 KiB a function (PCI Express 5.0, 7.2.2). */
static uint64_t ecam_read(struct device *d, uint64_t offset, unsigned len)
{
	return config_read((struct pci_host *)d, (unsigned)(offset >> 12), offset & 0xfff, len);
}

static void ecam_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	config_write((struct pci_host *)d, (unsigned)(offset >> 12), offset & 0xfff, len, v);
}

/* CAM: the same with 256 bytes a function. */
static uint64_t cam_read(struct device *d, uint64_t offset, unsigned len)
{
	return config_read((struct pci_host *)d, (unsigned)(offset >> 8), offset & 0xff, len);
}

static void cam_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	config_write((struct pci_host *)d, (unsigned)(offset >> 8), offset & 0xff, len, v);
}

/* Ports: address and data. Only a dword access reaches the address register. */
static uint64_t port_read(struct device *d, uint64_t offset, unsigned len)
{
	struct pci_host *h = (struct pci_host *)d;

	if (offset < PORT_DATA)
		return offset == 0 && len == 4 ? h->st.address : UINT64_MAX;
	if (!(h->st.address & ADDRESS_ENABLE))
		return UINT64_MAX;
	return config_read(h, h->st.address >> 8 & 0xffff,
			   (h->st.address & 0xfc) + (unsigned)(offset - PORT_DATA), len);
}

static void port_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	struct pci_host *h = (struct pci_host *)d;

	if (offset == 0 && len == 4)
		h->st.address = (uint32_t)v & ADDRESS_BITS;
	else if (offset >= PORT_DATA && h->st.address & ADDRESS_ENABLE)
		config_write(h, h->st.address >> 8 & 0xffff,
			     (h->st.address & 0xfc) + (unsigned)(offset - PORT_DATA), len, v);
}

static const struct bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write};
static const struct bus_ops cam_ops = {.read = cam_read, .write = cam_write};
static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

/* --- life ---------------------------------------------------------------------------------- */

static int check(const struct device *d, const void *state, struct err *e)
{
	const struct pci_host_state *st = state;

	if (st->address & ~ADDRESS_BITS)
		return err_set(e, ERR_RANGE, "%s: CONFIG_ADDRESS 0x%x", d->id, st->address);
	return pci_fn_check((const struct pci_fn *)d, &st->pci, e);
}

static void post_load(struct device *d)
{
	pci_fn_post_load((struct pci_fn *)d);
}

static void reset(struct device *d)
{
	struct pci_host *h = (struct pci_host *)d;

	h->st.address = 0;
	pci_fn_reset(&h->fn);
}

static void host_free(struct device *d)
{
	struct pci_host *h = (struct pci_host *)d;

	for (unsigned i = 0; i < h->range_n; i++)
		bus_del(h->range[i].bus, h->range[i].start);
	pci_fn_fini(&h->fn);
	pthread_mutex_destroy(&d->lock);
	free(h);
}

static const struct device_class host_class = {
    .type = "pci-host",
    .state = &pci_host_state_desc,
    /* Nothing is ever in flight, and st is what the registers are read from. */
    .pause = device_nothing,
    .resume = device_nothing,
    .pre_save = device_nothing,
    .check = check,
    .post_load = post_load,
    .reset = reset,
    .free = host_free,
};

void pci_host_describe(struct machine_device *md)
{
	state_defaults(&machine_device_desc, md);
	strcpy(md->id, "pci");
	strcpy(md->type, host_class.type);
	md->version = HOST_VERSION;
	md->pci = pci_address(0);
}

static int answer_at(struct pci_host *h, struct bus *bus, const struct layout_region *r,
		     const struct bus_ops *ops, struct err *e)
{
	int err;

	if (h->range_n == ARRAY_LEN(h->range))
		return err_set(e, ERR_LIMIT, "too many ways to PCI configuration space");
	err = bus_add(bus, r->start, r->size, ops, &h->fn.dev, e);
	if (!err)
		h->range[h->range_n++] = (struct pci_host_range){bus, r->start};
	return err;
}

static int add_ranges(struct pci_host *h, const struct pci_env *env, struct err *e)
{
	const struct layout *l = env->layout;
	const struct layout_region *ports = layout_find(l, "PCI_CFG_PORTS");
	int r = 0;

	for (uint32_t i = 0; !r && i < l->region_n; i++) {
		const struct layout_region *region = &l->region[i];
		if (region->kind == REGION_ECAM)
			r = answer_at(h, env->memory, region, &ecam_ops, e);
		else if (region->kind == REGION_CAM)
			r = answer_at(h, env->memory, region, &cam_ops, e);
	}
	if (!r && ports)
		r = answer_at(h, env->ports, ports, &port_ops, e);
	return r;
}

static int set_up(struct pci_host *h, const struct machine_device *desc, const struct pci_env *env,
		  struct err *e)
{
	static const struct pci_id id = {HOST_VENDOR, HOST_DEVICE, SUBSYSTEM_VENDOR, SUBSYSTEM,
					 CLASS_HOST_BRIDGE};
	int r = 0;

	if (desc->version != HOST_VERSION)
		return err_set(e, ERR_INCOMPATIBLE, "%s: version %u of %s, this build has %d",
			       desc->id, desc->version, desc->type, HOST_VERSION);
	for (unsigned b = 0; !r && b < PCI_BARS; b++) {
		const struct layout_region *w;
		r = pci_window(env->layout, b, &w, e);
		if (!r)
			h->window[b] = *w;
	}
	if (r)
		return r;
	h->memory = env->memory;
	h->irq = env->irq;
	h->fn.st = &h->st.pci;
	pci_fn_identify(&h->fn, &id);
	r = pci_fn_init(&h->fn, h, desc, NULL, e);
	return r ? r : add_ranges(h, env, e);
}

int pci_host_new(const struct machine_device *desc, const struct pci_env *env,
		 struct pci_host **out, struct err *e)
{
	struct pci_host *h = calloc(1, sizeof *h);

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	device_init(&h->fn.dev, &host_class, desc->id, &h->st);
	int r = set_up(h, desc, env, e);
	if (r) {
		host_free(&h->fn.dev);
		return r;
	}
	*out = h;
	return 0;
}

struct device *pci_host_device(struct pci_host *h)
{
	return &h->fn.dev;
}

void pci_host_attach(struct pci_host *h, struct pci_fn *fn)
{
	device_lock(&h->fn.dev);
	h->slot[fn->slot] = fn;
	device_unlock(&h->fn.dev);
}

void pci_host_detach(struct pci_host *h, struct pci_fn *fn)
{
	device_lock(&h->fn.dev);
	if (h->slot[fn->slot] == fn)
		h->slot[fn->slot] = NULL;
	device_unlock(&h->fn.dev);
}
