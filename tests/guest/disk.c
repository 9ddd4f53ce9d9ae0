/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include "port.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define QUEUE_SIZE  4

static struct {
	volatile struct virtio_pci_common_cfg *common;
	volatile uint16_t *doorbell;
	uint16_t used; /* requests that have come back */
} disk;

static struct vring_desc desc[QUEUE_SIZE] __attribute__((aligned(16)));
static struct {
	uint16_t flags, idx, ring[QUEUE_SIZE];
} avail __attribute__((aligned(2)));
static struct {
	uint16_t flags, idx;
	struct vring_used_elem ring[QUEUE_SIZE];
} used __attribute__((aligned(4)));
static struct virtio_blk_outhdr header;
static volatile uint8_t status;

/* --- PCI ----------------------------------------------------------------------------------- */

static void pci_select(unsigned slot, unsigned reg)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfc));
}

static uint32_t pci_read(unsigned slot, unsigned reg)
{
	pci_select(slot, reg);
	return in32(PCI_DATA);
}

static uint8_t pci_read8(unsigned slot, unsigned reg)
{
	pci_select(slot, reg);
	return in8(PCI_DATA + (reg & 3));
}

static unsigned find_slot(void)
{
	for (unsigned slot = 1; slot < 32; slot++)
		if (pci_read(slot, 0) == (0x1042u << 16 | 0x1af4))
			return slot;
	disk_failed("disk", 0);
}

static uint64_t bar(unsigned slot, unsigned n)
{
	uint32_t low = pci_read(slot, 0x10 + 4 * n);
	uint64_t at = low & ~15u;

	if (low & 1)
		disk_failed("bar", low);
	if ((low & 6) == 4)
		at |= (uint64_t)pci_read(slot, 0x14 + 4 * n) << 32;
	if (!at)
		disk_failed("bar", n);
	disk_map(at);
	return at;
}

static void find_registers(unsigned slot)
{
	uint64_t notify = 0;
	uint32_t multiplier = 0;

	/* Memory space and bus mastering. */
	pci_select(slot, 4);
	out16(PCI_DATA, 6);
	for (unsigned at = pci_read8(slot, 0x34); at; at = pci_read8(slot, at + 1)) {
		if (pci_read8(slot, at) != 9)
			continue;
		unsigned type = pci_read8(slot, at + 3);
		if (type != VIRTIO_PCI_CAP_COMMON_CFG && type != VIRTIO_PCI_CAP_NOTIFY_CFG)
			continue;
		uint64_t where = bar(slot, pci_read8(slot, at + 4)) + pci_read(slot, at + 8);
		if (type == VIRTIO_PCI_CAP_COMMON_CFG) {
			disk.common = (volatile struct virtio_pci_common_cfg *)where;
		} else {
			notify = where;
			multiplier = pci_read(slot, at + 16);
		}
	}
	if (!disk.common || !notify)
		disk_failed("capabilities", slot);
	disk.common->queue_select = 0;
	disk.doorbell = (volatile uint16_t *)(notify + disk.common->queue_notify_off * multiplier);
}

unsigned disk_find(void)
{
	unsigned slot = find_slot();

	find_registers(slot);
	return slot;
}

uint64_t disk_registers(void)
{
	return (uint64_t)disk.common;
}

/* --- the disk ------------------------------------------------------------------------------ */

/* Virtio 1.1, 3.1.1 */
void disk_start(uint32_t features)
{
	volatile struct virtio_pci_common_cfg *c = disk.common;
	uint8_t now = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	c->device_status = 0;
	while (c->device_status)
		asm volatile("pause");
	c->device_status = now;
	c->device_feature_select = VIRTIO_F_VERSION_1 / 32;
	if (!(c->device_feature & 1u << VIRTIO_F_VERSION_1 % 32))
		disk_failed("features", c->device_feature);
	c->guest_feature_select = 0;
	c->guest_feature = features;
	c->guest_feature_select = VIRTIO_F_VERSION_1 / 32;
	c->guest_feature = 1u << VIRTIO_F_VERSION_1 % 32;
	c->device_status = now |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (c->device_status != now)
		disk_failed("status", c->device_status);
	c->queue_select = 0;
	c->queue_size = QUEUE_SIZE;
	c->queue_desc_lo = (uint32_t)(uint64_t)desc;
	c->queue_desc_hi = 0;
	c->queue_avail_lo = (uint32_t)(uint64_t)&avail;
	c->queue_avail_hi = 0;
	c->queue_used_lo = (uint32_t)(uint64_t)&used;
	c->queue_used_hi = 0;
	c->queue_enable = 1;
	c->device_status = now | VIRTIO_CONFIG_S_DRIVER_OK;
}

void disk_begin(uint32_t type, uint64_t sector, uint64_t data, uint32_t sectors)
{
	header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	status = 0xff;
	desc[0] = (struct vring_desc){(uint64_t)&header, sizeof header, VRING_DESC_F_NEXT, 1};
	desc[1] = (struct vring_desc){
	    data, sectors * 512,
	    VRING_DESC_F_NEXT | (type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0), 2};
	desc[2] = (struct vring_desc){(uint64_t)&status, 1, VRING_DESC_F_WRITE, 0};
	avail.ring[avail.idx % QUEUE_SIZE] = 0;
	asm volatile("" : : : "memory"); /* stores are seen in order on x86 */
	avail.idx++;
	asm volatile("" : : : "memory");
	*disk.doorbell = 0;
	disk.used++;
}

void disk_end(void)
{
	volatile uint16_t *came = &used.idx;

	while (*came != disk.used)
		asm volatile("pause");
	if (status)
		disk_failed("request", status);
}
