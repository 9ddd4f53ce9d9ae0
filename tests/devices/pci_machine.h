/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine of arrays around a PCI bus, and the guest's side of it: a driver in C that goes about
 * everything as a guest's would, through configuration space, BARs and guest memory.
 */
#ifndef TEST_PCI_MACHINE_H
#define TEST_PCI_MACHINE_H

#include "devices/pci_fn.h"
#include "devices/virtio.h"
#include "devices/virtio_queue.h"

#define MSIS_MAX      64
#define DOORBELLS_MAX 64

struct fake_msi {
	bool on;
	uint64_t address;
	uint32_t data;
	unsigned raised;
};

struct fake_doorbell {
	uint64_t at;
	uint16_t value;
	int fd;
};

struct pci_machine {
	struct irq_host irq; /* first */
	struct layout l;
	struct machine described;
	struct guest_mem mem;
	struct loop *loop;
	struct bus memory, ports;
	struct pci_host *pci;
	struct virtio_host host;
	uint64_t line[64]; /* by line, a bit for each source that drives it */
	unsigned msi_n;
	struct fake_msi msi[MSIS_MAX];
	bool msi_refused; /* the host has no room for routes */
	unsigned doorbell_n;
	struct fake_doorbell doorbell[DOORBELLS_MAX];
	uint64_t next_gpa; /* of memory that the guest has not given away */
};

/* @describe: adds devices to m->described; then slots and BARs are given, and the bridge is made.
 */
void machine_start(struct pci_machine *m, void (*describe)(struct machine *described));
void machine_stop(struct pci_machine *m);
/* Let the event loop do all it has to do. */
void machine_pump(struct pci_machine *m);

/* Configuration space by ECAM and by ports. */
uint64_t ecam_read(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len);
void ecam_write(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len, uint64_t v);
uint64_t port_read(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len);
void port_write(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len, uint64_t v);

/* Where a capability stands; @cfg_type counts for vendor capabilities. 0: nowhere. */
unsigned find_cap(struct pci_machine *m, unsigned slot, uint8_t id, uint8_t cfg_type);

uint64_t mmio_read(struct pci_machine *m, uint64_t at, unsigned len);
void mmio_write(struct pci_machine *m, uint64_t at, unsigned len, uint64_t v);

/* Zeroed guest memory, aligned to a page. */
uint64_t guest_alloc(struct pci_machine *m, uint64_t bytes);
void *guest_ptr(struct pci_machine *m, uint64_t at, uint64_t bytes);

/* --- a virtio driver ----------------------------------------------------------------------- */

struct guest_queue {
	uint16_t size, index;
	uint64_t desc, avail, used;
	uint16_t free_desc, avail_idx, last_used;
	uint64_t doorbell;
};

struct guest_driver {
	struct pci_machine *m;
	unsigned slot;
	uint64_t common, notify, isr, config;
	uint32_t notify_multiplier;
	unsigned msix; /* capability */
	uint64_t msix_table, msix_pba;
	uint64_t features;
	bool use_msix;
	unsigned queues;
	struct guest_queue q[VIRTIO_QUEUES_MAX];
};

struct guest_buf {
	uint64_t at;
	uint32_t len;
	bool in; /* the device writes it */
};

/* Find the structures, switch on decoding and mastering. */
void driver_probe(struct guest_driver *d, struct pci_machine *m, unsigned slot);
/* From reset to DRIVER_OK, with @features of those offered. */
void driver_start(struct guest_driver *d, uint64_t features, bool use_msix);
uint8_t driver_status(struct guest_driver *d);
void driver_set_status(struct guest_driver *d, uint8_t status);
uint64_t driver_offered(struct guest_driver *d);
/* Vectors of the MSI-X table that were raised since the last call: bit by vector. */
uint32_t driver_interrupts(struct guest_driver *d);

/* Queue work. Returns the head. */
uint16_t queue_add(struct guest_driver *d, unsigned q, const struct guest_buf *buf, unsigned n,
		   bool indirect);
/* One descriptor, written as told; and a head made available. */
void queue_desc(struct guest_driver *d, unsigned q, uint16_t i, uint64_t at, uint32_t len,
		uint16_t flags, uint16_t next);
void queue_offer(struct guest_driver *d, unsigned q, uint16_t head);
void queue_kick(struct guest_driver *d, unsigned q);
/* The next answer. */
bool queue_used(struct guest_driver *d, unsigned q, uint16_t *head, uint32_t *len);
uint16_t queue_used_idx(struct guest_driver *d, unsigned q);

/*
 * Does every way of breaking the rules of queue @q end in NEEDS_RESET with a configuration
 * interrupt, and the device work again after a reset?
 * @start: driver_start() as the device needs it
 * @poke:  makes the device use the queue, where a notification alone does not; NULL: it does
 */
void queue_abuse(struct guest_driver *d, unsigned q, void (*start)(struct guest_driver *d),
		 void (*poke)(struct guest_driver *d));

#endif
