/* SPDX-License-Identifier: Apache-2.0 */
/* The bus as a guest sees it; the functions on it are entropy sources, the simplest there are. */
#include "devices/pci_host.h"
#include "pci_machine.h"
#include "roundtrip.h"

#include <linux/virtio_pci.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define RNGS	       3
#define TABLE_ENTRY(n) (16u * (n))

static struct pci_machine m;
static struct device *rng[RNGS];

static void describe(struct machine *d)
{
	for (unsigned i = 0; i < RNGS; i++) {
		char id[8];
		snprintf(id, sizeof id, "rng%u", i);
		virtio_rng_describe(&d->device[d->device_n++], id);
	}
}

static int setup(void **unused)
{
	struct err e = ERR_INIT;

	machine_start(&m, describe);
	for (unsigned i = 0; i < RNGS; i++)
		if (virtio_rng_new(&m.described.device[1 + i], &m.host, &rng[i], &e))
			fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **unused)
{
	for (unsigned i = 0; i < RNGS; i++)
		rng[i]->cls->free(rng[i]);
	machine_stop(&m);
	return 0;
}

static const struct machine_device *described(unsigned i)
{
	return &m.described.device[1 + i];
}

static struct pci_fn *fn(unsigned i)
{
	return (struct pci_fn *)rng[i];
}

/* --- places -------------------------------------------------------------------------------- */

static void places_are_the_lowest_that_fit(void **unused)
{
	const struct layout_region *low = layout_find(&m.l, "END_ADDR_BEFORE_32BITS");
	const struct layout_region *high = layout_find(&m.l, "HIGH_MMIO");
	struct machine again = m.described;
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < RNGS; i++) {
		assert_int_equal(described(i)->pci, (i + 1) << 3);
		assert_int_equal(described(i)->line, 9 + i % 4);
		assert_int_equal(described(i)->bar[0], high->start + i * 0x4000);
		assert_int_equal(described(i)->bar[1], low->start + i * 0x1000);
	}
	/* A gap is filled, and nothing that has a place loses it. */
	again.device[2].bar[0] = again.device[2].bar[1] = 0;
	again.device[2].pci = MACHINE_NO_PCI;
	again.device[2].line = MACHINE_NO_LINE;
	assert_int_equal(pci_place(&m.l, &again, &e), 0);
	assert_true(state_equal(&machine_desc, &again, &m.described));
}

static void a_full_bus_is_said_to_be_full(void **unused)
{
	static struct machine full;
	struct err e = ERR_INIT;

	state_defaults(&machine_desc, &full);
	for (unsigned i = 0; i < 31; i++)
		virtio_rng_describe(&full.device[full.device_n++], "r");
	assert_int_equal(pci_place(&m.l, &full, &e), 0);
	assert_int_equal(full.device[30].pci, 31 << 3);
	virtio_rng_describe(&full.device[full.device_n++], "last");
	assert_int_equal(pci_place(&m.l, &full, &e), -ERR_LIMIT);
	assert_non_null(strstr(e.msg, "last"));
	/* Room in the window can run out as well. */
	full.device_n = 1;
	full.device[0].bar[1] = 0;
	full.device[0].bar_bytes[1] = GIB;
	assert_int_equal(pci_place(&m.l, &full, &e), -ERR_LIMIT);
	assert_non_null(strstr(e.msg, "END_ADDR_BEFORE_32BITS"));
}

/* @rule: NULL when there is nothing to find. */
static void expect_misplaced(const char *rule, const struct machine *bad)
{
	struct err e = ERR_INIT;

	assert_int_equal(pci_place_check(&m.l, bad, &e), rule ? -ERR_INCOMPATIBLE : 0);
	if (rule && strncmp(e.msg, rule, 4))
		fail_msg("%s: %s", rule, e.msg);
}

static void saved_places_are_checked(void **unused)
{
	static struct machine bad;
	struct machine_device *d = &bad.device[2];

	expect_misplaced(NULL, &m.described);
#define BAD(RULE, CHANGE)                                                                          \
	bad = m.described;                                                                         \
	CHANGE;                                                                                    \
	expect_misplaced(RULE, &bad)
	BAD("D012", d->bar[0] = bad.device[1].bar[0]);
	BAD("D012", d->bar[1] = bad.device[3].bar[1]);
	BAD("D011", d->bar[0] = 0x1000000);			/* in RAM */
	BAD("D011", d->bar[1] = 0xf4000000);			/* in the ECAM */
	BAD("D011", d->bar[0] = layout_limit(&m.l));		/* past the end */
	BAD("D011", d->bar[0] = UINT64_MAX & ~UINT64_C(0x3fff)); /* wraps */
	BAD("D010", d->bar[0] += 0x1000);				/* not aligned */
	BAD("D010", d->bar_bytes[0] = 0x3000);
	BAD("D010", d->bar_bytes[0] = 0);
	BAD("D010", d->bar[0] = 0);
	BAD("D013", d->pci = 0);	 /* the bridge's slot */
	BAD("D013", d->pci = 0x0110); /* bus 1 */
	BAD("D013", d->pci |= 1);	 /* function 1 */
	BAD("D010", d->pci = MACHINE_NO_PCI);
	BAD("D013", bad.device[0].pci = 5 << 3); /* a function without BARs */
	BAD("D013", d->pci = bad.device[1].pci);
#undef BAD
}

/* --- configuration space ------------------------------------------------------------------- */

static void both_ways_show_the_same(void **unused)
{
	assert_int_equal(ecam_read(&m, 0, 0, 4), 0x00081b36);
	assert_int_equal(ecam_read(&m, 0, PCI_REG_CLASS, 4), 0x06000000);
	assert_int_equal(ecam_read(&m, 1, 0, 4), 0x10441af4);
	assert_int_equal(ecam_read(&m, 1, PCI_REG_CLASS, 4), 0x00ff0001);
	assert_int_equal(ecam_read(&m, 1, PCI_REG_COMMAND + 2, 2), 0x0010);
	assert_int_equal(ecam_read(&m, 1, PCI_REG_INTERRUPT, 2), 0x0109);
	for (unsigned slot = 0; slot < 32; slot++)
		for (unsigned reg = 0; reg < 256; reg++)
			for (unsigned len = 1; len <= 4 && !(reg % len); len *= 2)
				assert_int_equal(ecam_read(&m, slot, reg, len),
						 port_read(&m, slot, reg, len));
	/* Nobody there: slots, functions, buses. */
	assert_int_equal(ecam_read(&m, 4, 0, 4), 0xffffffff);
	assert_int_equal(ecam_read(&m, 1, 0x1000, 4), 0xffffffff);
	assert_int_equal(ecam_read(&m, 1 + 32, 0, 4), 0xffffffff);
	/* No extended capabilities. */
	assert_int_equal(ecam_read(&m, 1, 0x100, 4), 0);
	ecam_write(&m, 4, PCI_REG_COMMAND, 2, 7);
	/* Any access, however wide and crooked. */
	assert_int_equal(ecam_read(&m, 1, 0, 8), 0x0010000010441af4);
	assert_int_equal(ecam_read(&m, 1, 1, 4), 0x0010441a);
}

/* 256 bytes a function, where a layout has such a region instead. */
static void cam_is_another_way_in(void **unused)
{
	static struct layout l;
	struct bus memory;
	struct pci_host *h;
	struct err e = ERR_INIT;
	uint64_t v, start = 0;

	l = m.l;
	for (uint32_t i = 0; i < l.region_n; i++)
		if (l.region[i].kind == REGION_ECAM) {
			l.region[i].kind = REGION_CAM;
			start = l.region[i].start;
		}
	bus_init(&memory);
	struct bus ports;
	bus_init(&ports);
	const struct pci_env env = {&l, &memory, &ports, &m.irq};
	assert_int_equal(pci_host_new(&m.described.device[0], &env, &h, &e), 0);
	h->slot[1] = fn(0);
	assert_true(bus_read(&memory, start + (1 << 11), 4, &v));
	assert_int_equal(v, 0x10441af4);
	assert_true(bus_write(&memory, start + (1 << 11) + PCI_REG_INTERRUPT, 1, 0x42));
	assert_int_equal(ecam_read(&m, 1, PCI_REG_INTERRUPT, 1), 0x42);
	assert_true(bus_read(&memory, start + (1 << 16), 4, &v)); /* bus 1 */
	assert_int_equal((uint32_t)v, 0xffffffff);
	h->slot[1] = NULL;
	pci_host_device(h)->cls->free(pci_host_device(h));
	bus_fini(&memory);
	bus_fini(&ports);
}

static void ports_need_the_enable_bit(void **unused)
{
	uint64_t v;

	bus_write(&m.ports, 0xcf8, 4, 1 << 11);
	bus_read(&m.ports, 0xcfc, 4, &v);
	assert_int_equal((uint32_t)v, 0xffffffff);
	bus_write(&m.ports, 0xcf8, 4, 0xff000803 | 1 << 11);
	bus_read(&m.ports, 0xcf8, 4, &v);
	assert_int_equal(v, 0x80000800);
	bus_write(&m.ports, 0xcf9, 1, 0x6); /* the reset port of some machines */
	bus_read(&m.ports, 0xcf8, 4, &v);
	assert_int_equal(v, 0x80000800);
	bus_read(&m.ports, 0xcfe, 2, &v);
	assert_int_equal(v, 0x1044);
}

static void only_what_is_writable_is_written(void **unused)
{
	uint8_t before[256];

	for (unsigned reg = 0; reg < 256; reg++)
		before[reg] = (uint8_t)ecam_read(&m, 1, reg, 1);
	for (unsigned reg = 0; reg < 256; reg++)
		if (reg < PCI_REG_BAR0 || reg >= 0x28)
			port_write(&m, 1, reg, 1, (uint8_t)~before[reg]);
	unsigned cfg = find_cap(&m, 1, 9, VIRTIO_PCI_CAP_PCI_CFG), msix = find_cap(&m, 1, 0x11, 0);
	for (unsigned reg = 0; reg < 256; reg++) {
		uint8_t now = (uint8_t)ecam_read(&m, 1, reg, 1), may = 0;
		if (reg == PCI_REG_COMMAND)
			may = 0x06;
		else if (reg == PCI_REG_COMMAND + 1)
			may = 0x04;
		else if (reg == PCI_REG_INTERRUPT || reg == cfg + 4 ||
			 (reg >= cfg + 8 && reg < cfg + 16))
			may = 0xff;
		else if (reg == msix + 3)
			may = 0xc0;
		assert_int_equal(now, before[reg] ^ may);
	}
}

static unsigned decoded(uint64_t at)
{
	uint64_t v;

	return bus_read(&m.memory, at, 4, &v);
}

static void bars_are_sized_and_moved(void **unused)
{
	uint64_t low = described(0)->bar[1], high = described(0)->bar[0];

	assert_int_equal(ecam_read(&m, 1, 0x10, 4), low);
	assert_int_equal(ecam_read(&m, 1, 0x18, 4), (uint32_t)high | 4);
	assert_int_equal(ecam_read(&m, 1, 0x1c, 4), high >> 32);
	assert_false(decoded(low) || decoded(high));
	ecam_write(&m, 1, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(decoded(low) && decoded(high));
	assert_int_equal(m.doorbell_n, 1);

	/* Sizing, with decoding left on as some guests do. */
	static const struct {
		unsigned reg;
		uint32_t shows;
	} sizes[] = {{0x10, 0xfffff000}, {0x14, 0}, {0x18, 0xffffc004}, {0x1c, 0xffffffff},
		     {0x20, 0},		 {0x24, 0}, {0x30, 0}};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t old = ecam_read(&m, 1, sizes[i].reg, 4);
		ecam_write(&m, 1, sizes[i].reg, 4, 0xffffffff);
		assert_int_equal(ecam_read(&m, 1, sizes[i].reg, 4), sizes[i].shows);
		ecam_write(&m, 1, sizes[i].reg, 4, old);
		assert_int_equal(ecam_read(&m, 1, sizes[i].reg, 4), old);
	}
	assert_true(decoded(low) && decoded(high));
	assert_int_equal(m.doorbell_n, 1);

	/* Elsewhere in the windows. */
	ecam_write(&m, 1, 0x10, 4, low + 0x100000);
	ecam_write(&m, 1, 0x18, 4, (uint32_t)high + 0x100000);
	assert_false(decoded(low) || decoded(high));
	assert_true(decoded(low + 0x100000) && decoded(high + 0x100000));
	assert_int_equal(m.doorbell_n, 1);
	assert_int_equal(m.doorbell[0].at, high + 0x100000 + 0x3000);

	/* Outside of them nothing is decoded: RAM, the ECAM, the local APIC. */
	static const uint32_t outside[] = {0x1000000, 0xf4000000, 0xfee00000, 0};
	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		uint32_t n = m.memory.n;
		ecam_write(&m, 1, 0x10, 4, outside[i]);
		assert_int_equal(m.memory.n, i ? n : n - 1);
	}
	ecam_write(&m, 1, PCI_REG_COMMAND, 2, 0);
	assert_false(decoded(high + 0x100000));
	assert_int_equal(m.doorbell_n, 0);
}

static void a_bar_put_over_another_shows_when_that_leaves(void **unused)
{
	uint64_t first = described(0)->bar[0], second = described(1)->bar[0];

	ecam_write(&m, 1, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
	ecam_write(&m, 2, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
	/* They swap places, through a moment when both are in one. */
	ecam_write(&m, 1, 0x18, 4, (uint32_t)second);
	assert_false(decoded(first));
	ecam_write(&m, 2, 0x18, 4, (uint32_t)first);
	assert_true(decoded(first) && decoded(second));
	assert_int_equal(m.doorbell_n, 2);
	for (unsigned i = 0; i < m.memory.n; i++)
		if (m.memory.range[i].start == second)
			assert_ptr_equal(m.memory.range[i].dev, rng[0]);
}

static void capabilities_stand_in_their_order(void **unused)
{
	static const uint8_t types[] = {VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG,
					VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_DEVICE_CFG,
					VIRTIO_PCI_CAP_PCI_CFG};
	unsigned at = (unsigned)ecam_read(&m, 1, PCI_REG_CAPS, 1);

	assert_int_equal(at, 0x40);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(ecam_read(&m, 1, at, 1), 9);
		assert_int_equal(ecam_read(&m, 1, at + 3, 1), types[i]);
		at = (unsigned)ecam_read(&m, 1, at + 1, 1);
	}
	assert_int_equal(ecam_read(&m, 1, at, 1), 0x11);
	assert_int_equal(ecam_read(&m, 1, at + 1, 1), 0);
	assert_int_equal(ecam_read(&m, 1, at + 2, 2), 1); /* two vectors */
}

static void registers_answer_through_configuration_space(void **unused)
{
	unsigned cap = find_cap(&m, 1, 9, VIRTIO_PCI_CAP_PCI_CFG);

	/* Neither decoding nor a BAR is needed. */
	ecam_write(&m, 1, cap + 4, 1, 2);
	ecam_write(&m, 1, cap + 8, 4, VIRTIO_PCI_COMMON_STATUS);
	ecam_write(&m, 1, cap + 12, 4, 1);
	ecam_write(&m, 1, cap + 16, 1, 1);
	assert_int_equal(port_read(&m, 1, cap + 16, 4), 1);
	ecam_write(&m, 1, cap + 16, 1, 3);
	assert_int_equal(port_read(&m, 1, cap + 16, 1), 3);
	ecam_write(&m, 1, cap + 8, 4, VIRTIO_PCI_COMMON_NUMQ);
	ecam_write(&m, 1, cap + 12, 4, 2);
	assert_int_equal(port_read(&m, 1, cap + 16, 2), 1);
	/* Nonsense reads as nothing. */
	ecam_write(&m, 1, cap + 12, 4, 3);
	assert_int_equal(port_read(&m, 1, cap + 16, 4), 0);
	ecam_write(&m, 1, cap + 12, 4, 4);
	ecam_write(&m, 1, cap + 8, 4, 0xfffffffc);
	assert_int_equal(port_read(&m, 1, cap + 16, 4), 0);
	ecam_write(&m, 1, cap + 8, 4, 0);
	ecam_write(&m, 1, cap + 4, 1, 0);
	assert_int_equal(port_read(&m, 1, cap + 16, 4), 0);
}

/* --- interrupts ---------------------------------------------------------------------------- */

static void signal_fn(unsigned i, uint16_t vector)
{
	device_lock(rng[i]);
	pci_fn_signal(fn(i), vector);
	device_unlock(rng[i]);
}

static void level(unsigned i, bool on)
{
	device_lock(rng[i]);
	pci_fn_interrupt(fn(i), on);
	device_unlock(rng[i]);
}

static void lines_are_levels_and_shared(void **unused)
{
	level(0, true);
	assert_int_equal(m.line[9], 1 << 1);
	assert_int_equal(ecam_read(&m, 1, PCI_REG_COMMAND + 2, 2), 0x0018);
	ecam_write(&m, 1, PCI_REG_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(m.line[9], 0);
	assert_int_equal(ecam_read(&m, 1, PCI_REG_COMMAND + 2, 2), 0x0018);
	ecam_write(&m, 1, PCI_REG_COMMAND, 2, 0);
	assert_int_equal(m.line[9], 1 << 1);
	unsigned cap = find_cap(&m, 1, 0x11, 0);
	ecam_write(&m, 1, cap + 2, 2, 0x8000);
	assert_int_equal(m.line[9], 0);
	ecam_write(&m, 1, cap + 2, 2, 0);
	assert_int_equal(m.line[9], 1 << 1);
	level(0, false);
	assert_int_equal(m.line[9], 0);
}

static void messages_wait_while_masked(void **unused)
{
	struct guest_driver d;
	struct fake_msi *msi = &m.msi[0];

	driver_probe(&d, &m, 1);
	uint64_t table = d.msix_table;
	assert_int_equal(mmio_read(&m, table + 12, 4), 1); /* masked after power-on */
	mmio_write(&m, table, 4, 0xfee01003);		   /* the low bits are none */
	mmio_write(&m, table + 4, 4, 5);
	mmio_write(&m, table + 8, 8, UINT64_C(0xfffffff1) << 32 | 0x1234);
	assert_int_equal(mmio_read(&m, table + 12, 4), 1);
	mmio_write(&m, table + 4, 8, 0); /* crooked */
	assert_int_equal(mmio_read(&m, table, 8), UINT64_C(0x5fee01000));
	assert_int_equal(mmio_read(&m, table + 8, 4), 0x1234);
	assert_int_equal(mmio_read(&m, table + 1, 4), 0); /* crooked */
	assert_int_equal(mmio_read(&m, table, 2), 0);	  /* narrow */

	signal_fn(0, 0); /* MSI-X is off: lost, as INTx has it */
	assert_int_equal(mmio_read(&m, d.msix_pba, 8), 0);
	ecam_write(&m, 1, d.msix + 2, 2, 0x8000);
	signal_fn(0, 0);
	signal_fn(0, 0);
	assert_int_equal(mmio_read(&m, d.msix_pba, 8), 1);
	assert_int_equal(msi->raised, 0);
	mmio_write(&m, d.msix_pba, 4, 0); /* is not the guest's to write */
	ecam_write(&m, 1, d.msix + 2, 2, 0xc000);
	mmio_write(&m, table + 12, 4, 0);
	assert_int_equal(msi->raised, 0); /* the function mask holds it still */
	assert_false(msi->on);
	ecam_write(&m, 1, d.msix + 2, 2, 0x8000);
	assert_int_equal(msi->raised, 1);
	assert_true(msi->on);
	assert_int_equal(msi->address, UINT64_C(0x5fee01000));
	assert_int_equal(msi->data, 0x1234);
	assert_int_equal(mmio_read(&m, d.msix_pba, 8), 0);
	signal_fn(0, 0);
	assert_int_equal(msi->raised, 2);

	/* Another message takes effect with the entry unmasked, too. */
	mmio_write(&m, table + 8, 4, 0x77);
	assert_true(msi->on);
	assert_int_equal(msi->data, 0x77);
	mmio_write(&m, table + 12, 4, 1);
	assert_false(msi->on);
	signal_fn(0, PCI_VECTOR_NONE);
	signal_fn(0, 2); /* there are two: 0 and 1 */
	assert_int_equal(msi->raised, 2);
	ecam_write(&m, 1, d.msix + 2, 2, 0);
}

static void a_host_out_of_routes_loses_no_message(void **unused)
{
	struct guest_driver d;

	driver_probe(&d, &m, 1);
	m.msi_refused = true;
	mmio_write(&m, d.msix_table + 12, 4, 0);
	ecam_write(&m, 1, d.msix + 2, 2, 0x8000);
	signal_fn(0, 0);
	assert_int_equal(mmio_read(&m, d.msix_pba, 4), 1);
	m.msi_refused = false;
	mmio_write(&m, d.msix_table + 12, 4, 0);
	assert_int_equal(m.msi[0].raised, 1);
	assert_int_equal(mmio_read(&m, d.msix_pba, 4), 0);
}

/* --- state --------------------------------------------------------------------------------- */

static void modify_host(struct device *d)
{
	bus_write(&m.ports, 0xcf8, 4, 0x80001234);
	ecam_write(&m, 0, PCI_REG_COMMAND, 2, 6);
	ecam_write(&m, 0, PCI_REG_INTERRUPT, 1, 0x55);
}

static void the_bridge_round_trips(void **unused)
{
	roundtrip(pci_host_device(m.pci), modify_host);
	uint64_t v;
	bus_read(&m.ports, 0xcf8, 4, &v);
	assert_int_equal(v, 0x80001234);
}

static void modify_function(struct device *d)
{
	struct guest_driver g;

	driver_probe(&g, &m, 1);
	ecam_write(&m, 1, 0x18, 4, (uint32_t)described(0)->bar[0] + 0x200000);
	ecam_write(&m, 1, PCI_REG_INTERRUPT, 1, 0x33);
	mmio_write(&m, g.msix_table + TABLE_ENTRY(1), 8, UINT64_C(0x1fee02000));
	mmio_write(&m, g.msix_table + TABLE_ENTRY(1) + 8, 8, 0x4242);
	mmio_write(&m, g.msix_table + 12, 4, 1);
	ecam_write(&m, 1, g.msix + 2, 2, 0x8000);
	signal_fn(0, 0); /* stays pending */
}

static void a_function_round_trips_with_its_routes(void **unused)
{
	roundtrip(rng[0], modify_function);
	/* As it is now: moved, one vector routed, one pending. */
	uint64_t moved = described(0)->bar[0] + 0x200000;
	assert_true(decoded(moved));
	assert_int_equal(m.doorbell_n, 1);
	assert_int_equal(m.doorbell[0].at, moved + 0x3000);
	assert_true(m.msi[1].on);
	assert_int_equal(m.msi[1].address, UINT64_C(0x1fee02000));
	assert_false(m.msi[0].on);
	assert_int_equal(m.msi[0].raised, 0);
	mmio_write(&m, described(0)->bar[1] + 12, 4, 0);
	assert_int_equal(m.msi[0].raised, 1);
}

static void reset_is_power_on(void **unused)
{
	struct buf before, after;

	device_save(rng[0], &before);
	modify_function(rng[0]);
	level(0, true);
	device_lock(rng[0]);
	rng[0]->cls->pause(rng[0]);
	rng[0]->cls->reset(rng[0]);
	rng[0]->cls->resume(rng[0]);
	device_unlock(rng[0]);
	device_save(rng[0], &after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
	assert_int_equal(m.line[9], 0);
	assert_int_equal(m.doorbell_n, 0);
	for (unsigned i = 0; i < m.msi_n; i++)
		assert_false(m.msi[i].on);
	buf_free(&before);
	buf_free(&after);
}

static void expect_refused(int code, const struct virtio_rng_state *st)
{
	struct err e = ERR_INIT;

	assert_int_equal(rng[0]->cls->check(rng[0], st, &e), -code);
}

static void bad_state_is_refused(void **unused)
{
	static struct virtio_rng_state st;

	expect_refused(0, rng[0]->st);
#define BAD(CODE, CHANGE)                                                                          \
	memcpy(&st, rng[0]->st, sizeof st);                                                        \
	CHANGE;                                                                                    \
	expect_refused(CODE, &st)
	BAD(ERR_RANGE, st.pci.command = 1);
	BAD(ERR_RANGE, st.pci.msix_control = 1);
	BAD(ERR_RANGE, st.pci.bar[0]++);
	BAD(ERR_RANGE, st.pci.bar[1] = 4 * GIB);
	BAD(ERR_RANGE, st.pci.vector[1].address = 2);
	BAD(ERR_STRUCTURE, st.pci.vector_n = 1);
	BAD(ERR_STRUCTURE, st.virtio.queue_n = 0);
	BAD(ERR_RANGE, st.virtio.status = 0x10);
	BAD(ERR_RANGE, st.virtio.status = 4);
	BAD(ERR_RANGE, st.virtio.status = 8); /* without VERSION_1 */
	BAD(ERR_RANGE, st.virtio.status = 8; st.virtio.features = UINT64_C(1) << 32 | 1);
	BAD(ERR_RANGE, st.virtio.isr = 4);
	BAD(ERR_RANGE, st.virtio.config_vector = 2);
	BAD(ERR_RANGE, st.virtio.queue[0].vector = 2);
	BAD(ERR_RANGE, st.virtio.queue[0].size = 0);
	BAD(ERR_RANGE, st.virtio.queue[0].size = 48);
	BAD(ERR_RANGE, st.virtio.queue[0].size = 128);
	BAD(0, st.virtio.queue[0].enabled = true);
	BAD(ERR_RANGE, st.virtio.queue[0].enabled = true; st.virtio.queue[0].desc = 8);
	BAD(ERR_RANGE, st.virtio.queue[0].enabled = true; st.virtio.queue[0].avail = 1);
	BAD(ERR_RANGE, st.virtio.queue[0].enabled = true; st.virtio.queue[0].used = 0x4000000);
	BAD(ERR_STRUCTURE, st.virtio.queue[0].enabled = true; st.virtio.queue[0].last_avail = 1);
#undef BAD
}

static void a_description_of_another_build_is_refused(void **unused)
{
	struct machine_device md;
	struct device *d;
	struct err e = ERR_INIT;

#define BAD(CHANGE)                                                                                \
	md = *described(0);                                                                        \
	md.pci = 9 << 3;                                                                           \
	CHANGE;                                                                                    \
	assert_int_equal(virtio_rng_new(&md, &m.host, &d, &e), -ERR_INCOMPATIBLE)
	BAD(md.version = 2);
	BAD(md.features |= UINT64_C(1) << 34);
	BAD(md.features &= ~(UINT64_C(1) << 32));
	BAD(md.queues = 2);
	BAD(md.queue_size = 512);
	BAD(md.queue_size = 48);
	BAD(md.bar_bytes[0] = 0x8000);
	BAD(strcpy(md.type, "virtio-blk"));
#undef BAD
	/* And one that asks for less than this build would offer is made as described. */
	md = *described(0);
	md.pci = 9 << 3;
	md.features = UINT64_C(1) << 32;
	md.queue_size = 16;
	md.bar[0] += 0x100000;
	md.bar[1] += 0x100000;
	assert_int_equal(virtio_rng_new(&md, &m.host, &d, &e), 0);
	struct guest_driver g;
	driver_probe(&g, &m, 9);
	assert_int_equal(driver_offered(&g), UINT64_C(1) << 32);
	d->cls->free(d);
	/* A slot is taken once. */
	md.pci = described(1)->pci;
	assert_int_equal(virtio_rng_new(&md, &m.host, &d, &e), -ERR_DUPLICATE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(places_are_the_lowest_that_fit),
	    TEST(a_full_bus_is_said_to_be_full),
	    TEST(saved_places_are_checked),
	    TEST(both_ways_show_the_same),
	    TEST(cam_is_another_way_in),
	    TEST(ports_need_the_enable_bit),
	    TEST(only_what_is_writable_is_written),
	    TEST(bars_are_sized_and_moved),
	    TEST(a_bar_put_over_another_shows_when_that_leaves),
	    TEST(capabilities_stand_in_their_order),
	    TEST(registers_answer_through_configuration_space),
	    TEST(lines_are_levels_and_shared),
	    TEST(messages_wait_while_masked),
	    TEST(a_host_out_of_routes_loses_no_message),
	    TEST(the_bridge_round_trips),
	    TEST(a_function_round_trips_with_its_routes),
	    TEST(reset_is_power_on),
	    TEST(bad_state_is_refused),
	    TEST(a_description_of_another_build_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
