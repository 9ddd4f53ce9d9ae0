/* SPDX-License-Identifier: Apache-2.0 */
#include "pci_machine.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define GUEST_RAM   (64 * MIB)
#define FREE_MEMORY 0x200000

/* --- the host's side ----------------------------------------------------------------------- */

static void on_line(struct irq_host *h, uint32_t line, uint32_t source, bool high)
{
	struct pci_machine *m = (struct pci_machine *)h;

	assert_true(line < ARRAY_LEN(m->line) && source < 64);
	m->line[line] &= ~(UINT64_C(1) << source);
	m->line[line] |= (uint64_t)high << source;
}

static int on_msi_new(struct irq_host *h, uint16_t requester, struct err *e)
{
	struct pci_machine *m = (struct pci_machine *)h;

	if (m->msi_n == MSIS_MAX)
		return err_set(e, ERR_LIMIT, "no more");
	return (int)m->msi_n++;
}

static int on_msi_set(struct irq_host *h, int msi, uint64_t address, uint32_t data, struct err *e)
{
	struct pci_machine *m = (struct pci_machine *)h;

	if (m->msi_refused)
		return err_set(e, ERR_LIMIT, "no room");
	m->msi[msi].on = true;
	m->msi[msi].address = address;
	m->msi[msi].data = data;
	return 0;
}

static void on_msi_off(struct irq_host *h, int msi)
{
	((struct pci_machine *)h)->msi[msi].on = false;
}

static void on_msi_raise(struct irq_host *h, int msi)
{
	struct pci_machine *m = (struct pci_machine *)h;

	assert_true(m->msi[msi].on);
	m->msi[msi].raised++;
}

static int on_doorbell(struct irq_host *h, bool on, struct gpa at, uint16_t value, int fd,
		       struct err *e)
{
	struct pci_machine *m = (struct pci_machine *)h;

	for (unsigned i = 0; i < m->doorbell_n; i++) {
		struct fake_doorbell *b = &m->doorbell[i];
		if (b->at != at.v || b->value != value)
			continue;
		assert_false(on); /* KVM refuses a second one, too */
		assert_int_equal(b->fd, fd);
		*b = m->doorbell[--m->doorbell_n];
		return 0;
	}
	assert_true(on);
	assert_true(m->doorbell_n < DOORBELLS_MAX);
	m->doorbell[m->doorbell_n++] = (struct fake_doorbell){at.v, value, fd};
	return 0;
}

static const struct irq_host_ops irq_ops = {
    .line = on_line,
    .msi_new = on_msi_new,
    .msi_set = on_msi_set,
    .msi_off = on_msi_off,
    .msi_raise = on_msi_raise,
    .doorbell = on_doorbell,
};

void machine_start(struct pci_machine *m, void (*describe)(struct machine *described))
{
	struct layout_params p;
	struct err e = ERR_INIT;

	memset(m, 0, sizeof *m);
	m->irq.ops = &irq_ops;
	layout_params_init(&p, GUEST_RAM);
	p.kernel_bytes = 0x1000;
	assert_int_equal(layout_build(layout_def_find("x86_64/linux@1"), &p, &m->l, &e), 0);
	assert_int_equal(mem_init(&m->mem, &m->l, &e), 0);
	assert_int_equal(loop_new(&m->loop, &e), 0);
	bus_init(&m->memory);
	bus_init(&m->ports);
	state_defaults(&machine_desc, &m->described);
	pci_host_describe(&m->described.device[m->described.device_n++]);
	if (describe)
		describe(&m->described);
	if (pci_place(&m->l, &m->described, &e))
		fail_msg("%s", e.msg);
	struct pci_env env = {&m->l, &m->memory, &m->ports, &m->irq};
	assert_int_equal(pci_host_new(&m->described.device[0], &env, &m->pci, &e), 0);
	m->host = (struct virtio_host){&m->mem, m->loop, &m->irq, m->pci};
	m->next_gpa = FREE_MEMORY;
}

void machine_stop(struct pci_machine *m)
{
	struct device *d = pci_host_device(m->pci);

	d->cls->free(d);
	assert_int_equal(m->memory.n, 0);
	assert_int_equal(m->ports.n, 0);
	assert_int_equal(m->doorbell_n, 0);
	for (unsigned i = 0; i < m->msi_n; i++)
		assert_false(m->msi[i].on);
	bus_fini(&m->memory);
	bus_fini(&m->ports);
	loop_free(m->loop);
	mem_fini(&m->mem);
}

/* A device that asks to be called again and again for nothing would never let go. */
void machine_pump(struct pci_machine *m)
{
	struct err e = ERR_INIT;
	int r, rounds = 0;

	while ((r = loop_poll(m->loop, &e)) > 0)
		assert_true(rounds++ < 10000);
	assert_int_equal(r, 0);
}

/* --- the guest's side ---------------------------------------------------------------------- */

static uint64_t ecam_at(struct pci_machine *m, unsigned slot, unsigned reg)
{
	const struct layout_region *ecam = layout_find(&m->l, "PCIE_CFG_MMIO_START");

	return ecam->start + (slot << 15) + reg;
}

uint64_t mmio_read(struct pci_machine *m, uint64_t at, unsigned len)
{
	uint64_t v;

	bus_read(&m->memory, at, len, &v);
	return len == 8 ? v : v & ((UINT64_C(1) << 8 * len) - 1);
}

void mmio_write(struct pci_machine *m, uint64_t at, unsigned len, uint64_t v)
{
	/* As KVM does it: a doorbell takes the write before the bus sees it. */
	for (unsigned i = 0; i < m->doorbell_n && len == 2; i++) {
		uint64_t one = 1;
		if (m->doorbell[i].at != at || m->doorbell[i].value != v)
			continue;
		assert_int_equal(write(m->doorbell[i].fd, &one, sizeof one), sizeof one);
		return;
	}
	bus_write(&m->memory, at, len, v);
}

uint64_t ecam_read(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len)
{
	return mmio_read(m, ecam_at(m, slot, reg), len);
}

void ecam_write(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len, uint64_t v)
{
	mmio_write(m, ecam_at(m, slot, reg), len, v);
}

static void port_address(struct pci_machine *m, unsigned slot, unsigned reg)
{
	bus_write(&m->ports, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & 0xfc));
}

uint64_t port_read(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len)
{
	uint64_t v;

	port_address(m, slot, reg);
	bus_read(&m->ports, 0xcfc + (reg & 3), len, &v);
	return v & (UINT32_MAX >> (32 - 8 * len));
}

void port_write(struct pci_machine *m, unsigned slot, unsigned reg, unsigned len, uint64_t v)
{
	port_address(m, slot, reg);
	bus_write(&m->ports, 0xcfc + (reg & 3), len, v);
}

unsigned find_cap(struct pci_machine *m, unsigned slot, uint8_t id, uint8_t cfg_type)
{
	unsigned at = (unsigned)ecam_read(m, slot, PCI_REG_CAPS, 1);

	for (unsigned n = 0; at; n++) {
		assert_true(n < 48 && at >= 0x40 && !(at & 3));
		if (ecam_read(m, slot, at, 1) == id &&
		    (id != 9 || ecam_read(m, slot, at + 3, 1) == cfg_type))
			return at;
		at = (unsigned)ecam_read(m, slot, at + 1, 1);
	}
	return 0;
}

uint64_t guest_alloc(struct pci_machine *m, uint64_t bytes)
{
	uint64_t at = m->next_gpa;

	m->next_gpa += (bytes + 0xfff) & ~UINT64_C(0xfff);
	memset(guest_ptr(m, at, bytes), 0, bytes);
	return at;
}

void *guest_ptr(struct pci_machine *m, uint64_t at, uint64_t bytes)
{
	void *p = mem_rw(&m->mem, gpa(at), bytes);

	assert_non_null(p);
	return p;
}

/* --- driver -------------------------------------------------------------------------------- */

static uint64_t bar_of(struct pci_machine *m, unsigned slot, unsigned bar)
{
	unsigned reg = PCI_REG_BAR0 + 4 * bar;
	uint64_t v = ecam_read(m, slot, reg, 4);

	if ((v & 6) == 4)
		v |= ecam_read(m, slot, reg + 4, 4) << 32;
	return v & ~UINT64_C(15);
}

static uint64_t structure(struct pci_machine *m, unsigned slot, uint8_t type)
{
	unsigned cap = find_cap(m, slot, 9, type);

	assert_true(cap);
	return bar_of(m, slot, (unsigned)ecam_read(m, slot, cap + 4, 1)) +
	       ecam_read(m, slot, cap + 8, 4);
}

void driver_probe(struct guest_driver *d, struct pci_machine *m, unsigned slot)
{
	*d = (struct guest_driver){.m = m, .slot = slot};
	assert_int_equal(ecam_read(m, slot, 0, 2), 0x1af4);
	ecam_write(m, slot, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	d->common = structure(m, slot, VIRTIO_PCI_CAP_COMMON_CFG);
	d->notify = structure(m, slot, VIRTIO_PCI_CAP_NOTIFY_CFG);
	d->isr = structure(m, slot, VIRTIO_PCI_CAP_ISR_CFG);
	d->config = structure(m, slot, VIRTIO_PCI_CAP_DEVICE_CFG);
	d->notify_multiplier =
	    (uint32_t)ecam_read(m, slot, find_cap(m, slot, 9, VIRTIO_PCI_CAP_NOTIFY_CFG) + 16, 4);
	d->msix = find_cap(m, slot, 0x11, 0);
	assert_true(d->msix);
	d->msix_table = bar_of(m, slot, 0) + (ecam_read(m, slot, d->msix + 4, 4) & ~7u);
	d->msix_pba = bar_of(m, slot, 0) + (ecam_read(m, slot, d->msix + 8, 4) & ~7u);
}

static uint64_t common_read(struct guest_driver *d, unsigned reg, unsigned len)
{
	return mmio_read(d->m, d->common + reg, len);
}

static void common_write(struct guest_driver *d, unsigned reg, unsigned len, uint64_t v)
{
	mmio_write(d->m, d->common + reg, len, v);
}

uint8_t driver_status(struct guest_driver *d)
{
	return (uint8_t)common_read(d, VIRTIO_PCI_COMMON_STATUS, 1);
}

void driver_set_status(struct guest_driver *d, uint8_t status)
{
	common_write(d, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

uint64_t driver_offered(struct guest_driver *d)
{
	uint64_t f;

	common_write(d, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	f = common_read(d, VIRTIO_PCI_COMMON_DF, 4);
	common_write(d, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	return f | common_read(d, VIRTIO_PCI_COMMON_DF, 4) << 32;
}

static void start_queue(struct guest_driver *d, unsigned i)
{
	struct guest_queue *q = &d->q[i];

	common_write(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
	*q = (struct guest_queue){.index = (uint16_t)i};
	q->size = (uint16_t)common_read(d, VIRTIO_PCI_COMMON_Q_SIZE, 2);
	assert_int_not_equal(q->size, 0);
	q->desc = guest_alloc(d->m, q->size * 16);
	q->avail = guest_alloc(d->m, q->size * 2 + 6);
	q->used = guest_alloc(d->m, q->size * 8 + 6);
	q->doorbell =
	    d->notify + common_read(d, VIRTIO_PCI_COMMON_Q_NOFF, 2) * d->notify_multiplier;
	common_write(d, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)q->desc);
	common_write(d, VIRTIO_PCI_COMMON_Q_DESCHI, 4, q->desc >> 32);
	common_write(d, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, q->avail);
	common_write(d, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)q->used);
	common_write(d, VIRTIO_PCI_COMMON_Q_USEDHI, 4, q->used >> 32);
	if (d->use_msix) {
		common_write(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1);
		assert_int_equal(common_read(d, VIRTIO_PCI_COMMON_Q_MSIX, 2), i + 1);
	}
	common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(common_read(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void start_msix(struct guest_driver *d)
{
	unsigned n = (ecam_read(d->m, d->slot, d->msix + 2, 2) & 0x7ff) + 1;

	ecam_write(d->m, d->slot, d->msix + 2, 2, d->use_msix ? 0x8000 : 0);
	if (!d->use_msix)
		return;
	for (unsigned i = 0; i < n; i++) {
		mmio_write(d->m, d->msix_table + 16 * i, 4, 0xfee00000u + 0x1000 * d->slot);
		mmio_write(d->m, d->msix_table + 16 * i + 4, 4, 0);
		mmio_write(d->m, d->msix_table + 16 * i + 8, 4, 0x40 + i);
		mmio_write(d->m, d->msix_table + 16 * i + 12, 4, 0);
	}
	common_write(d, VIRTIO_PCI_COMMON_MSIX, 2, 0);
}

void driver_start(struct guest_driver *d, uint64_t features, bool use_msix)
{
	d->use_msix = use_msix;
	driver_set_status(d, 0);
	assert_int_equal(driver_status(d), 0);
	driver_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	driver_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	d->features = driver_offered(d) & (features | UINT64_C(1) << VIRTIO_F_VERSION_1);
	for (unsigned i = 0; i < 2; i++) {
		common_write(d, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		common_write(d, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(d->features >> 32 * i));
	}
	driver_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				 VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(driver_status(d) & VIRTIO_CONFIG_S_FEATURES_OK);
	start_msix(d);
	d->queues = (unsigned)common_read(d, VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_true(d->queues <= ARRAY_LEN(d->q));
	for (unsigned i = 0; i < d->queues; i++)
		start_queue(d, i);
	driver_set_status(d, 0xf);
	assert_int_equal(driver_status(d), 0xf);
	machine_pump(d->m);
	driver_interrupts(d);
}

uint32_t driver_interrupts(struct guest_driver *d)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < d->m->msi_n; i++) {
		struct fake_msi *msi = &d->m->msi[i];
		if (!msi->raised || msi->address != 0xfee00000u + 0x1000 * d->slot)
			continue;
		if (msi->data - 0x40 < 32)
			bits |= 1u << (msi->data - 0x40);
		msi->raised = 0;
	}
	return bits;
}

/* --- queues -------------------------------------------------------------------------------- */

static void put_desc(struct guest_driver *d, uint64_t table, uint16_t i, uint64_t at, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	struct vring_desc v = {.addr = at, .len = len, .flags = flags, .next = next};

	memcpy(guest_ptr(d->m, table + 16u * i, sizeof v), &v, sizeof v);
}

void queue_desc(struct guest_driver *d, unsigned q, uint16_t i, uint64_t at, uint32_t len,
		uint16_t flags, uint16_t next)
{
	put_desc(d, d->q[q].desc, i, at, len, flags, next);
}

void queue_offer(struct guest_driver *d, unsigned q, uint16_t head)
{
	struct guest_queue *gq = &d->q[q];
	uint16_t *avail = guest_ptr(d->m, gq->avail, gq->size * 2u + 6);

	avail[2 + gq->avail_idx % gq->size] = head;
	avail[1] = ++gq->avail_idx;
}

uint16_t queue_add(struct guest_driver *d, unsigned q, const struct guest_buf *buf, unsigned n,
		   bool indirect)
{
	struct guest_queue *gq = &d->q[q];
	uint64_t table = indirect ? guest_alloc(d->m, n * 16) : gq->desc;
	uint16_t head = gq->free_desc, first = indirect ? 0 : head;

	for (unsigned i = 0; i < n; i++) {
		uint16_t flags = buf[i].in ? VRING_DESC_F_WRITE : 0;
		uint16_t at = (uint16_t)(first + i), next = (uint16_t)(at + 1);
		if (!indirect) {
			at %= gq->size;
			next %= gq->size;
		}
		if (i + 1 < n)
			flags |= VRING_DESC_F_NEXT;
		put_desc(d, table, at, buf[i].at, buf[i].len, flags, next);
	}
	if (indirect)
		put_desc(d, gq->desc, head, table, 16 * n, VRING_DESC_F_INDIRECT, 0);
	gq->free_desc = (uint16_t)((head + (indirect ? 1 : n)) % gq->size);
	queue_offer(d, q, head);
	return head;
}

void queue_kick(struct guest_driver *d, unsigned q)
{
	mmio_write(d->m, d->q[q].doorbell, 2, q);
	machine_pump(d->m);
}

uint16_t queue_used_idx(struct guest_driver *d, unsigned q)
{
	return *(uint16_t *)guest_ptr(d->m, d->q[q].used + 2, 2);
}

bool queue_used(struct guest_driver *d, unsigned q, uint16_t *head, uint32_t *len)
{
	struct guest_queue *gq = &d->q[q];
	struct vring_used_elem u;

	if (queue_used_idx(d, q) == gq->last_used)
		return false;
	memcpy(&u, guest_ptr(d->m, gq->used + 4 + 8u * (gq->last_used % gq->size), 8), 8);
	gq->last_used++;
	*head = (uint16_t)u.id;
	*len = u.len;
	return true;
}

/* --- abuse --------------------------------------------------------------------------------- */

#define FAR_AWAY UINT64_C(0x7f00000000)

static void loop_of_two(struct guest_driver *d, unsigned q)
{
	uint64_t at = guest_alloc(d->m, 64);

	queue_desc(d, q, 0, at, 16, VRING_DESC_F_NEXT, 1);
	queue_desc(d, q, 1, at, 16, VRING_DESC_F_NEXT, 0);
	queue_offer(d, q, 0);
}

static void no_memory(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, FAR_AWAY, 16, VRING_DESC_F_WRITE, 0);
	queue_offer(d, q, 0);
}

static void across_the_end(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, GUEST_RAM - 8, 16, VRING_DESC_F_WRITE, 0);
	queue_offer(d, q, 0);
}

static void around_the_end(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, UINT64_MAX - 7, 16, 0, 0);
	queue_offer(d, q, 0);
}

static void huge(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, guest_alloc(d->m, 64), UINT32_MAX, VRING_DESC_F_WRITE, 0);
	queue_offer(d, q, 0);
}

static void next_outside(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, guest_alloc(d->m, 64), 16, VRING_DESC_F_NEXT, d->q[q].size);
	queue_offer(d, q, 0);
}

static void head_outside(struct guest_driver *d, unsigned q)
{
	queue_offer(d, q, d->q[q].size);
}

static void index_jump(struct guest_driver *d, unsigned q)
{
	d->q[q].avail_idx = (uint16_t)(d->q[q].avail_idx + d->q[q].size);
	queue_offer(d, q, 0);
}

static void in_before_out(struct guest_driver *d, unsigned q)
{
	uint64_t at = guest_alloc(d->m, 64);

	queue_desc(d, q, 0, at, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	queue_desc(d, q, 1, at, 16, 0, 0);
	queue_offer(d, q, 0);
}

static void indirect_in_indirect(struct guest_driver *d, unsigned q)
{
	uint64_t table = guest_alloc(d->m, 64);

	put_desc(d, table, 0, table, 16, VRING_DESC_F_INDIRECT, 0);
	queue_desc(d, q, 0, table, 16, VRING_DESC_F_INDIRECT, 0);
	queue_offer(d, q, 0);
}

static void indirect_loop(struct guest_driver *d, unsigned q)
{
	uint64_t table = guest_alloc(d->m, 64);

	put_desc(d, table, 0, table, 16, VRING_DESC_F_NEXT, 0);
	queue_desc(d, q, 0, table, 16, VRING_DESC_F_INDIRECT, 0);
	queue_offer(d, q, 0);
}

static void indirect_nowhere(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, FAR_AWAY, 16, VRING_DESC_F_INDIRECT, 0);
	queue_offer(d, q, 0);
}

static void indirect_uneven(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, guest_alloc(d->m, 64), 24, VRING_DESC_F_INDIRECT, 0);
	queue_offer(d, q, 0);
}

static void indirect_empty(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, guest_alloc(d->m, 64), 0, VRING_DESC_F_INDIRECT, 0);
	queue_offer(d, q, 0);
}

static void indirect_and_next(struct guest_driver *d, unsigned q)
{
	uint64_t table = guest_alloc(d->m, 64);

	put_desc(d, table, 0, table, 16, 0, 0);
	queue_desc(d, q, 0, table, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	queue_offer(d, q, 0);
}

/* Nothing to read and nothing to write: of no use to any device here. */
static void nothing_at_all(struct guest_driver *d, unsigned q)
{
	queue_desc(d, q, 0, FAR_AWAY, 0, 0, 0);
	queue_offer(d, q, 0);
}

void queue_abuse(struct guest_driver *d, unsigned q, void (*start)(struct guest_driver *d),
		 void (*poke)(struct guest_driver *d))
{
	static void (*const abuse[])(struct guest_driver * d, unsigned q) = {
	    loop_of_two,
	    no_memory,
	    across_the_end,
	    around_the_end,
	    huge,
	    next_outside,
	    head_outside,
	    index_jump,
	    in_before_out,
	    indirect_loop,
	    indirect_in_indirect,
	    indirect_nowhere,
	    indirect_uneven,
	    indirect_empty,
	    indirect_and_next,
	    nothing_at_all,
	};

	for (unsigned i = 0; i < ARRAY_LEN(abuse); i++) {
		start(d);
		uint16_t used = queue_used_idx(d, q);
		assert_int_equal(driver_interrupts(d), 0);
		abuse[i](d, q);
		queue_kick(d, q);
		if (poke)
			poke(d);
		if (!(driver_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET))
			fail_msg("abuse %u of queue %u went unseen", i, q);
		assert_int_equal(driver_interrupts(d), d->use_msix ? 1 : 0);
		assert_int_equal(queue_used_idx(d, q), used);
		/* And nothing more, whatever the guest goes on to do. */
		queue_kick(d, q);
		if (poke)
			poke(d);
		assert_int_equal(driver_interrupts(d), 0);
		assert_int_equal(queue_used_idx(d, q), used);
	}
	start(d);
	assert_int_equal(driver_status(d), 0xf);
}
