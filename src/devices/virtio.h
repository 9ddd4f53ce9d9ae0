/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio 1.x devices over PCI: disk, network, entropy, console, balloon.
 *
 * Each kind has two functions. X_describe() fills the machine description of a new device from the
 * user's options, complete before any device is made. X_new() makes the device from a description,
 * new or saved; a description that asks for what this build does not have is refused with
 * -ERR_INCOMPATIBLE. pci_place() stands between the two.
 *
 * Prefixes: virtio_blk_, virtio_net_, virtio_rng_, virtio_console_, virtio_balloon_. Threads: work is done by the
 * event loop's thread, woken by one eventfd for each queue; hooks other than check are called there
 * too. A guest that breaks the rules gets DEVICE_NEEDS_RESET and a configuration interrupt.
 *
 * Function on the bus: vendor 0x1af4, device 0x1040 + kind, revision 1. Capabilities, in this
 * order: common configuration, notification (a queue every 4 bytes), ISR, device configuration,
 * access by configuration space, MSI-X (one vector for configuration, one for each queue). The
 * first four are pages of the register BAR in the same order but for notification, which comes
 * last.
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include "devices/pci.h"
#include "state/virtio.h"

struct disk;
struct serial_end;

/* What the machine offers; all borrowed, and outlives the device. */
struct virtio_host {
	struct guest_mem *mem;
	struct loop *loop;
	struct irq_host *irq;
	struct pci_host *pci;
};

/** virtio_offer_platform() - the guest is to do DMA to the device @md, any of the kinds below, as its
 * platform says: from a pool of memory set aside for that (VIRTIO_F_ACCESS_PLATFORM). */
void virtio_offer_platform(struct machine_device *md);

/** virtio_blk_describe() - @sectors of 512 bytes. */
void virtio_blk_describe(struct machine_device *md, const char *id, uint64_t sectors,
			 bool read_only);
/** virtio_blk_new() - @disk borrowed, at least as large as described. */
int virtio_blk_new(const struct machine_device *md, const struct virtio_host *host,
		   struct disk *disk, struct device **out, struct err *e) MUST_CHECK;

void virtio_net_describe(struct machine_device *md, const char *id, const uint8_t mac[static 6]);
/**
 * virtio_net_new() - over a TAP device
 * @tap: from tap_open() or opened alike: non-blocking, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, header
 *       of 12 bytes; borrowed
 */
int virtio_net_new(const struct machine_device *md, const struct virtio_host *host, int tap,
		   struct device **out, struct err *e) MUST_CHECK;
/** virtio_net_link() - plug or unplug the cable: the guest is told. Takes the lock. */
void virtio_net_link(struct device *d, bool up);

/**
 * tap_open() - open the TAP device @name, making it if need be
 * @out: descriptor, owned by the caller
 * Returns 0, -ERR_USAGE (no name for an interface), -ERR_INCOMPATIBLE (another kind of interface, or
 * one with several queues), -ERR_IO.
 */
int tap_open(const char *name, int *out, struct err *e) MUST_CHECK;

void virtio_rng_describe(struct machine_device *md, const char *id);
int virtio_rng_new(const struct machine_device *md, const struct virtio_host *host,
		   struct device **out, struct err *e) MUST_CHECK;

void virtio_console_describe(struct machine_device *md, const char *id);
/** virtio_console_new() - @end borrowed. Its room() is called with the device's lock held: it takes
 * note, and calls virtio_console_input() later. */
int virtio_console_new(const struct machine_device *md, const struct virtio_host *host,
		       struct serial_end *end, struct device **out, struct err *e) MUST_CHECK;
/** virtio_console_input() - bytes for the guest; returns how many it had room for. Takes the lock;
 * after less than @n, serial_end.room is called when there is room again. Any thread. */
size_t virtio_console_input(struct device *d, const void *data, size_t n);

#define VIRTIO_BALLOON_PAGE 4096 /* virtio 1.2, 5.5.6, whatever the pages of guest and host are */
#define VIRTIO_BALLOON_STATS 10	 /* virtio 1.2, 5.5.6.4: by tag */

struct virtio_balloon_info {
	uint64_t target_bytes, actual_bytes; /* asked for, and given up as the guest says */
	uint64_t dropped_bytes; /* discarded by this process, inflated and reported, again and again */
	bool ready;		/* a driver is there */
	bool has_stat[VIRTIO_BALLOON_STATS];
	uint64_t stat[VIRTIO_BALLOON_STATS]; /* as the guest said last, without warranty */
};

void virtio_balloon_describe(struct machine_device *md, const char *id);
/** virtio_balloon_new() - what the guest gives up is discarded by mem_discard(). */
int virtio_balloon_new(const struct machine_device *md, const struct virtio_host *host,
		       struct device **out, struct err *e) MUST_CHECK;
/** virtio_balloon_ask() - have the guest give up @bytes, or take back what is more. Takes the lock. */
void virtio_balloon_ask(struct device *d, uint64_t bytes);

/* Whoever wants to know which pages the guest has no use for. */
struct virtio_balloon_hints {
	/* These bytes, all of them memory; in the thread of the event loop. */
	void (*named)(void *arg, struct gpa at, uint64_t bytes);
	/* No more are to be expected. Any thread, with the device's lock held. */
	void (*over)(void *arg);
	void *arg;
};

/**
 * virtio_balloon_hint() - have the driver name free pages, until virtio_balloon_hint_done()
 * @hints: borrowed until then
 *
 * The driver keeps what it names from the guest, but for need; the guest may write to it at any
 * time after this call, and whoever does not know of all such writes may not do without the page.
 * Takes the lock. Returns false when there is no driver that would, or one that fills free pages
 * with a value.
 */
bool virtio_balloon_hint(struct device *d, const struct virtio_balloon_hints *hints) MUST_CHECK;
/** virtio_balloon_hint_done() - the guest may have its pages back. Takes the lock. Returns false
 * when nothing that was named counts: the driver broke the rules, or is another one by now. */
bool virtio_balloon_hint_done(struct device *d);

/** virtio_balloon_look() - how far it is; and ask for new statistics. Takes the lock. */
void virtio_balloon_look(struct device *d, struct virtio_balloon_info *out);

#endif
