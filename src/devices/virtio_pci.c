/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of a virtio device over PCI (virtio 1.1, 4.1). */
#include "devices/virtio_dev.h"

#include <linux/virtio_pci.h>
#include <string.h>

#define VENDOR_VIRTIO	0x1af4
#define DEVICE_BASE	0x1040
#define SUBSYSTEM_BASE	0x1100
#define REVISION	1
#define CAP_VENDOR	0x09
#define REGISTERS_BAR	2 /* as the guest numbers it */
#define DOORBELL_STRIDE 4

/* Where the structures are in the BAR. */
#define AT_COMMON 0x0000
#define AT_ISR	  0x1000
#define AT_DEVICE 0x2000
#define AT_NOTIFY 0x3000
#define PAGE	  0x1000

#define COMMON_BYTES sizeof(struct virtio_pci_common_cfg)
_Static_assert(sizeof(struct virtio_pci_common_cfg) == 56, "virtio 1.1, 4.1.4.3");
_Static_assert(AT_NOTIFY + PAGE == VIRTIO_BAR_BYTES, "pages of the BAR");
_Static_assert(VIRTIO_QUEUES_MAX *DOORBELL_STRIDE <= PAGE, "doorbells in their page");

/* --- common configuration ------------------------------------------------------------------ */

static struct virtio_queue *selected(struct virtio *v)
{
	return v->st->queue_select < v->queue_n ? &v->queue[v->st->queue_select] : NULL;
}

static uint32_t feature_word(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

static void common_image(struct virtio *v, uint8_t *c)
{
	const struct virtio_state *st = v->st;
	const struct virtio_queue *q = selected(v);

	memset(c, 0, COMMON_BYTES);
	num_put_le32(c + VIRTIO_PCI_COMMON_DFSELECT, st->device_feature_select);
	num_put_le32(c + VIRTIO_PCI_COMMON_DF, feature_word(v->offered, st->device_feature_select));
	num_put_le32(c + VIRTIO_PCI_COMMON_GFSELECT, st->driver_feature_select);
	num_put_le32(c + VIRTIO_PCI_COMMON_GF,
		     feature_word(st->features, st->driver_feature_select));
	num_put_le16(c + VIRTIO_PCI_COMMON_MSIX, st->config_vector);
	num_put_le16(c + VIRTIO_PCI_COMMON_NUMQ, v->queue_n);
	c[VIRTIO_PCI_COMMON_STATUS] = st->status;
	c[VIRTIO_PCI_COMMON_CFGGENERATION] = st->config_generation;
	num_put_le16(c + VIRTIO_PCI_COMMON_Q_SELECT, st->queue_select);
	if (!q)
		return;
	num_put_le16(c + VIRTIO_PCI_COMMON_Q_SIZE, q->q.st->size);
	num_put_le16(c + VIRTIO_PCI_COMMON_Q_MSIX, q->q.st->vector);
	num_put_le16(c + VIRTIO_PCI_COMMON_Q_ENABLE, q->q.st->enabled);
	num_put_le16(c + VIRTIO_PCI_COMMON_Q_NOFF, (uint16_t)q->index);
	num_put_le64(c + VIRTIO_PCI_COMMON_Q_DESCLO, q->q.st->desc);
	num_put_le64(c + VIRTIO_PCI_COMMON_Q_AVAILLO, q->q.st->avail);
	num_put_le64(c + VIRTIO_PCI_COMMON_Q_USEDLO, q->q.st->used);
}

/* @len bytes of an image from @offset on; what lies behind it is 0. */
static uint64_t pick(const uint8_t *image, size_t bytes, uint64_t offset, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len && offset + i < bytes; i++)
		v |= (uint64_t)image[offset + i] << 8 * i;
	return v;
}

static uint64_t common_read(struct virtio *v, uint64_t offset, unsigned len)
{
	uint8_t image[COMMON_BYTES];

	common_image(v, image);
	return pick(image, sizeof image, offset, len);
}

static uint16_t vector_or_none(const struct virtio *v, uint64_t vector)
{
	return vector < v->fn.vector_n ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

static void set_half(uint64_t *to, bool high, uint32_t v)
{
	unsigned shift = high ? 32 : 0;

	*to = (*to & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)v << shift;
}

static void write_driver_feature(struct virtio *v, uint32_t value)
{
	if (!(v->st->status & VIRTIO_CONFIG_S_FEATURES_OK) && v->st->driver_feature_select < 2)
		set_half(&v->st->features, v->st->driver_feature_select, value);
}

/* Registers of the queue that is selected; fixed once it is enabled, but for its vector. */
static void queue_write(struct virtio *v, struct virtio_queue *q, uint64_t offset, unsigned len,
			uint32_t value)
{
	struct virtio_queue_state *st = q->q.st;
	bool wide = len == 4;

	if (offset == VIRTIO_PCI_COMMON_Q_MSIX && len == 2) {
		st->vector = vector_or_none(v, value);
		return;
	}
	if (st->enabled)
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (len == 2 && value && value <= v->queue_max && !(value & (value - 1)))
			st->size = (uint16_t)value;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (len == 2 && value == 1)
			virtio_enable_queue_(q);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		if (wide)
			set_half(&st->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		if (wide)
			set_half(&st->avail, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		if (wide)
			set_half(&st->used, offset == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

/* Fields are written whole, 64-bit ones in two halves (4.1.3.1); anything else is ignored. */
static void common_write(struct virtio *v, uint64_t offset, unsigned len, uint64_t value)
{
	struct virtio_queue *q = selected(v);

	if (len == 8) {
		common_write(v, offset, 4, (uint32_t)value);
		common_write(v, offset + 4, 4, value >> 32);
		return;
	}
	switch (offset << 4 | len) {
	case VIRTIO_PCI_COMMON_DFSELECT << 4 | 4:
		v->st->device_feature_select = (uint32_t)value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT << 4 | 4:
		v->st->driver_feature_select = (uint32_t)value;
		break;
	case VIRTIO_PCI_COMMON_GF << 4 | 4:
		write_driver_feature(v, (uint32_t)value);
		break;
	case VIRTIO_PCI_COMMON_MSIX << 4 | 2:
		v->st->config_vector = vector_or_none(v, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS << 4 | 1:
		virtio_set_status_(v, (uint8_t)value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT << 4 | 2:
		v->st->queue_select = (uint16_t)value;
		break;
	default:
		if (q)
			queue_write(v, q, offset, len, (uint32_t)value);
	}
}

/* --- the other structures ------------------------------------------------------------------ */

static uint64_t isr_read(struct virtio *v, uint64_t offset)
{
	uint8_t isr = v->st->isr;

	if (offset)
		return 0;
	v->st->isr = 0;
	pci_fn_interrupt(&v->fn, false);
	return isr;
}

static uint64_t bar_read(struct device *d, uint64_t offset, unsigned len)
{
	struct virtio *v = (struct virtio *)d;

	switch (offset & ~UINT64_C(0xfff)) {
	case AT_COMMON:
		return common_read(v, offset, len);
	case AT_ISR:
		return isr_read(v, offset - AT_ISR);
	case AT_DEVICE:
		return pick(v->config, v->config_bytes, offset - AT_DEVICE, len);
	}
	return 0;
}

static void device_write(struct virtio *v, uint64_t offset, unsigned len, uint64_t value)
{
	if (!v->kind->configured)
		return;
	if (len == 8) {
		device_write(v, offset, 4, (uint32_t)value);
		device_write(v, offset + 4, 4, value >> 32);
		return;
	}
	v->kind->configured(v, offset, len, (uint32_t)value);
}

static void bar_write(struct device *d, uint64_t offset, unsigned len, uint64_t value)
{
	struct virtio *v = (struct virtio *)d;
	uint64_t queue = (offset - AT_NOTIFY) / DOORBELL_STRIDE;

	if (offset < AT_COMMON + COMMON_BYTES)
		common_write(v, offset, len, value);
	else if (offset >= AT_NOTIFY && queue < v->queue_n)
		virtio_again_(&v->queue[queue]);
	else if (offset >= AT_DEVICE && offset < AT_NOTIFY)
		device_write(v, offset - AT_DEVICE, len, value);
}

static const struct bus_ops bar_ops = {.read = bar_read, .write = bar_write};

static void mapped(struct pci_fn *fn, bool on, uint64_t at)
{
	struct virtio *v = (struct virtio *)fn;
	struct irq_host *irq = v->host.irq;

	/* Where it fails the write comes through the bus instead, slower. */
	for (unsigned i = 0; i < v->queue_n; i++)
		(void)irq->ops->doorbell(irq, on, gpa(at + AT_NOTIFY + i * DOORBELL_STRIDE),
					 (uint16_t)i, v->queue[i].doorbell, NULL);
}

static void mastering(struct pci_fn *fn)
{
	virtio_kick_all_((struct virtio *)fn);
}

/* --- capabilities -------------------------------------------------------------------------- */

/* Access to the BAR through configuration space (4.1.4.8); the BAR number is REGISTERS_BAR, or
 * nothing is there. */
static bool access_valid(const struct virtio *v)
{
	uint32_t n = v->st->access_length;

	return v->st->access_bar == REGISTERS_BAR && (n == 1 || n == 2 || n == 4) &&
	       v->st->access_offset % n == 0 &&
	       num_inside(v->st->access_offset, n, 0, VIRTIO_BAR_BYTES);
}

static void config_read(struct pci_fn *fn, unsigned reg)
{
	struct virtio *v = (struct virtio *)fn;
	uint8_t *cap = fn->config + v->access_cap;

	cap[offsetof(struct virtio_pci_cap, bar)] = v->st->access_bar;
	num_put_le32(cap + offsetof(struct virtio_pci_cap, offset), v->st->access_offset);
	num_put_le32(cap + offsetof(struct virtio_pci_cap, length), v->st->access_length);
	if (reg == v->access_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data))
		num_put_le32(fn->config + reg,
			     access_valid(v) ? (uint32_t)bar_read(&fn->dev, v->st->access_offset,
								  v->st->access_length)
					     : 0);
}

static void config_write(struct pci_fn *fn, unsigned reg, uint32_t value, uint32_t mask)
{
	struct virtio *v = (struct virtio *)fn;
	struct virtio_state *st = v->st;

	switch ((int)(reg - v->access_cap)) {
	case offsetof(struct virtio_pci_cap, bar):
		if (mask & 0xff)
			st->access_bar = (uint8_t)value;
		break;
	case offsetof(struct virtio_pci_cap, offset):
		st->access_offset = (st->access_offset & ~mask) | (value & mask);
		break;
	case offsetof(struct virtio_pci_cap, length):
		st->access_length = (st->access_length & ~mask) | (value & mask);
		break;
	case offsetof(struct virtio_pci_cfg_cap, pci_cfg_data):
		if (access_valid(v))
			bar_write(&fn->dev, st->access_offset, st->access_length, value & mask);
		break;
	}
}

const struct pci_fn_ops virtio_pci_ops_ = {
    .registers = &bar_ops,
    .mapped = mapped,
    .mastering = mastering,
    .config_read = config_read,
    .config_write = config_write,
};

static unsigned add_cap(struct virtio *v, uint8_t type, uint32_t offset, uint32_t bytes,
			unsigned cap_bytes)
{
	uint8_t cap[sizeof(struct virtio_pci_notify_cap)] = {CAP_VENDOR};

	cap[offsetof(struct virtio_pci_cap, cap_len)] = (uint8_t)cap_bytes;
	cap[offsetof(struct virtio_pci_cap, cfg_type)] = type;
	cap[offsetof(struct virtio_pci_cap, bar)] =
	    type == VIRTIO_PCI_CAP_PCI_CFG ? 0 : REGISTERS_BAR;
	num_put_le32(cap + offsetof(struct virtio_pci_cap, offset), offset);
	num_put_le32(cap + offsetof(struct virtio_pci_cap, length), bytes);
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		num_put_le32(cap + offsetof(struct virtio_pci_notify_cap, notify_off_multiplier),
			     DOORBELL_STRIDE);
	return pci_fn_capability(&v->fn, cap, cap_bytes);
}

void virtio_pci_identify_(struct virtio *v)
{
	const struct pci_id id = {
	    .vendor = VENDOR_VIRTIO,
	    .device = (uint16_t)(DEVICE_BASE + v->kind->id),
	    .subsystem_vendor = VENDOR_VIRTIO,
	    .subsystem = SUBSYSTEM_BASE,
	    .class_revision = v->kind->pci_class << 8 | REVISION,
	};
	const unsigned plain = sizeof(struct virtio_pci_cap);

	/* The order is part of version 1 of each model. A device without configuration shows four
	 * bytes of it: Linux takes an empty structure for a broken one. */
	pci_fn_identify(&v->fn, &id);
	add_cap(v, VIRTIO_PCI_CAP_COMMON_CFG, AT_COMMON, COMMON_BYTES, plain);
	add_cap(v, VIRTIO_PCI_CAP_NOTIFY_CFG, AT_NOTIFY, v->queue_n * DOORBELL_STRIDE,
		sizeof(struct virtio_pci_notify_cap));
	add_cap(v, VIRTIO_PCI_CAP_ISR_CFG, AT_ISR, 1, plain);
	add_cap(v, VIRTIO_PCI_CAP_DEVICE_CFG, AT_DEVICE, v->config_bytes ? v->config_bytes : 4,
		plain);
	v->access_cap = add_cap(v, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, sizeof(struct virtio_pci_cfg_cap));
	pci_fn_msix(&v->fn, v->queue_n + 1u);
}
