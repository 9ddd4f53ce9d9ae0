/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of one virtio disk (virtio 1.1, 5.2). Rings, headers and data are in one piece of memory
 * that the caller gives: data goes through it, in and out.
 */
#include "guest.h"

#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#define QUEUE_SIZE 4
#define DISK_LPI   GIC_LPI

struct shared {
	struct vring_desc desc[QUEUE_SIZE];
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE];
	} avail __attribute__((aligned(4)));
	struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[QUEUE_SIZE];
	} used __attribute__((aligned(4)));
	struct virtio_blk_outhdr header __attribute__((aligned(16)));
	uint8_t status;
	uint8_t data[DISK_BATCH * DISK_SECTOR] __attribute__((aligned(DISK_SECTOR)));
};

static struct {
	volatile struct shared *shared;
	uint32_t fn, interrupt;
	uint64_t common, isr, doorbell;
	enum disk_wait wait;
	uint16_t sent;
} disk;

static void set16(unsigned reg, uint16_t v)
{
	out16(disk.common + reg, v);
}

static void set32(unsigned reg, uint32_t v)
{
	out32(disk.common + reg, v);
}

static void set64(unsigned reg, const volatile void *v)
{
	set32(reg, (uint32_t)(uint64_t)v);
	set32(reg + 4, (uint32_t)((uint64_t)v >> 32));
}

static void on_line(uint32_t id)
{
	in8(disk.isr); /* reading takes the line down */
}

static void use_msix(void)
{
	unsigned entries = 0;
	uint64_t table = pci_msix_table(disk.fn, &entries);

	CHECK(entries, "the disk has no MSI-X");
	its_map(disk.fn, 0, DISK_LPI);
	out32(table + PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)its_doorbell());
	out32(table + PCI_MSIX_ENTRY_UPPER_ADDR, (uint32_t)(its_doorbell() >> 32));
	out32(table + PCI_MSIX_ENTRY_DATA, 0);
	out32(table + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
	pci_msix_on(disk.fn, true);
	set16(VIRTIO_PCI_COMMON_Q_MSIX, 0);
	CHECK(in16(disk.common + VIRTIO_PCI_COMMON_Q_MSIX) == 0, "no vector for the queue");
	disk.interrupt = DISK_LPI;
}

static void use_interrupt(void)
{
	if (disk.wait == DISK_MSIX)
		use_msix();
	if (disk.wait == DISK_INTX) {
		disk.interrupt = pci_line(disk.fn);
		gic_enable(disk.interrupt, false, on_line);
	}
}

static uint32_t offered(unsigned word)
{
	set32(VIRTIO_PCI_COMMON_DFSELECT, word);
	return in32(disk.common + VIRTIO_PCI_COMMON_DF);
}

static void accept(unsigned word, uint32_t features)
{
	set32(VIRTIO_PCI_COMMON_GFSELECT, word);
	set32(VIRTIO_PCI_COMMON_GF, features);
}

/* Virtio 1.1, 3.1.1. Where there is a pool, the device must know that it has no other memory. */
static uint8_t negotiate(bool through_pool)
{
	uint8_t now = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint32_t wanted = 1u << VIRTIO_F_VERSION_1 % 32;

	out8(disk.common + VIRTIO_PCI_COMMON_STATUS, 0);
	while (in8(disk.common + VIRTIO_PCI_COMMON_STATUS))
		relax();
	out8(disk.common + VIRTIO_PCI_COMMON_STATUS, now);
	if (through_pool)
		wanted |= 1u << VIRTIO_F_ACCESS_PLATFORM % 32;
	CHECK((offered(1) & wanted) == wanted, "features 0x%x, wanted 0x%x", offered(1), wanted);
	accept(0, 0);
	accept(1, wanted);
	now |= VIRTIO_CONFIG_S_FEATURES_OK;
	out8(disk.common + VIRTIO_PCI_COMMON_STATUS, now);
	CHECK(in8(disk.common + VIRTIO_PCI_COMMON_STATUS) == now, "features are refused");
	return now;
}

void disk_start(const struct range *arena, bool through_pool, enum disk_wait wait)
{
	uint32_t multiplier = 0;

	CHECK(arena->size >= sizeof *disk.shared, "room for the disk");
	disk.shared = (volatile struct shared *)arena->start;
	disk.wait = wait;
	disk.sent = 0;
	disk.fn = pci_find(DISK_ID);
	pci_write16(disk.fn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	disk.common = virtio_structure(disk.fn, VIRTIO_PCI_CAP_COMMON_CFG, NULL);
	disk.isr = virtio_structure(disk.fn, VIRTIO_PCI_CAP_ISR_CFG, NULL);
	disk.doorbell = virtio_structure(disk.fn, VIRTIO_PCI_CAP_NOTIFY_CFG, &multiplier);
	CHECK(disk.common && disk.isr && disk.doorbell, "structures of the disk");
	uint8_t status = negotiate(through_pool);
	set16(VIRTIO_PCI_COMMON_Q_SELECT, 0);
	set16(VIRTIO_PCI_COMMON_Q_SIZE, QUEUE_SIZE);
	disk.doorbell += in16(disk.common + VIRTIO_PCI_COMMON_Q_NOFF) * multiplier;
	for (unsigned i = 0; i < sizeof *disk.shared; i++)
		((volatile uint8_t *)disk.shared)[i] = 0;
	set64(VIRTIO_PCI_COMMON_Q_DESCLO, disk.shared->desc);
	set64(VIRTIO_PCI_COMMON_Q_AVAILLO, &disk.shared->avail);
	set64(VIRTIO_PCI_COMMON_Q_USEDLO, &disk.shared->used);
	use_interrupt();
	set16(VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	out8(disk.common + VIRTIO_PCI_COMMON_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void describe(unsigned i, const volatile void *at, uint32_t bytes, uint16_t flags)
{
	disk.shared->desc[i].addr = (uint64_t)at;
	disk.shared->desc[i].len = bytes;
	disk.shared->desc[i].flags = flags;
	disk.shared->desc[i].next = (uint16_t)(i + 1);
}

static void transfer(uint32_t type, uint64_t sector, unsigned sectors)
{
	volatile struct shared *s = disk.shared;
	uint32_t before = disk.wait == DISK_POLL ? 0 : gic_count(disk.interrupt);
	bool in = type == VIRTIO_BLK_T_IN;

	CHECK(sectors && sectors <= DISK_BATCH, "%u sectors", sectors);
	s->header.type = type;
	s->header.ioprio = 0;
	s->header.sector = sector;
	s->status = 0xff;
	describe(0, &s->header, sizeof s->header, VRING_DESC_F_NEXT);
	describe(1, s->data, sectors * DISK_SECTOR,
		 (uint16_t)(VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0)));
	describe(2, &s->status, 1, VRING_DESC_F_WRITE);
	s->avail.ring[disk.sent % QUEUE_SIZE] = 0;
	barrier();
	s->avail.idx = ++disk.sent;
	barrier();
	out16(disk.doorbell, 0);
	if (disk.wait != DISK_POLL)
		gic_await(disk.interrupt, before);
	while (s->used.idx != disk.sent)
		relax();
	barrier();
	CHECK(!s->status, "request 0x%x at %lu: status %u", type, sector, s->status);
}

void disk_read(uint64_t sector, void *data, unsigned sectors)
{
	uint8_t *to = data;

	transfer(VIRTIO_BLK_T_IN, sector, sectors);
	for (unsigned i = 0; i < sectors * DISK_SECTOR; i++)
		to[i] = disk.shared->data[i];
}

void disk_write(uint64_t sector, const void *data, unsigned sectors)
{
	const uint8_t *from = data;

	for (unsigned i = 0; i < sectors * DISK_SECTOR; i++)
		disk.shared->data[i] = from[i];
	transfer(VIRTIO_BLK_T_OUT, sector, sectors);
}
