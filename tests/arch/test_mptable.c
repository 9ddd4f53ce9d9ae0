/* SPDX-License-Identifier: Apache-2.0 */
/* The MP table, read back from guest memory as a kernel does (Intel MultiProcessor Specification
 * 1.4): the pointer is searched for where base memory ends, everything else follows from it. */
#include "arch/x86_64/mptable.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct rig {
	struct layout l;
	struct guest_mem m;
	struct machine mc;
	struct err e;
};

static void add_pci(struct machine *mc, unsigned slot, uint16_t line)
{
	struct machine_device *d = &mc->device[mc->device_n++];

	state_defaults(&machine_device_desc, d);
	d->pci = (uint16_t)(slot << 3);
	d->line = line;
}

static void rig_open(struct rig *g, const char *layout, uint32_t vcpus)
{
	struct layout_params p;

	memset(g, 0, sizeof *g);
	layout_params_init(&p, 64 * MIB);
	p.vcpus = vcpus;
	if (layout_build(layout_def_find(layout), &p, &g->l, &g->e) ||
	    mem_init(&g->m, &g->l, &g->e))
		fail_msg("%s", g->e.msg);
	memset(g->m.host, 0x5a, 2 * MIB);
	state_defaults(&machine_desc, &g->mc);
	add_pci(&g->mc, 0, MACHINE_NO_LINE);
	add_pci(&g->mc, 1, 9);
	add_pci(&g->mc, 2, 10);
	add_pci(&g->mc, 31, 23);
}

static void rig_write(struct rig *g, uint32_t vcpus)
{
	if (mptable_write(&g->l, &g->mc, vcpus, &g->m, &g->e))
		fail_msg("%s", g->e.msg);
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* In the last KiB of base memory, at a multiple of 16. */
static const uint8_t *find(const struct rig *g)
{
	const uint8_t *p = mem_ro(&g->m, gpa(639 * KIB), KIB);

	assert_non_null(p);
	for (const uint8_t *end = p + KIB; p < end; p += 16)
		if (!memcmp(p, "_MP_", 4))
			break;
	assert_memory_equal(p, "_MP_", 4);
	assert_int_equal(p[8], 1);
	assert_int_equal(p[9], 4);
	assert_int_equal(sum(p, 16), 0);
	assert_int_equal(num_le32(p + 11) & 0xffffff, 0); /* a table, virtual wire mode */
	const struct layout_region *row = layout_find(&g->l, "MPTABLE_START");
	assert_int_equal(num_le32(p + 4), row->start);
	const uint8_t *t = mem_ro(&g->m, gpa(row->start), row->size);
	assert_memory_equal(t, "PCMP", 4);
	assert_true(num_le16(t + 4) <= row->size - KIB);
	assert_int_equal(t[6], 4);
	assert_int_equal(sum(t, num_le16(t + 4)), 0);
	assert_int_equal(num_le32(t + 36), layout_find(&g->l, "LAPIC_ADDR")->start);
	assert_int_equal(num_le32(t + 28), 0);
	assert_int_equal(num_le32(t + 40), 0);
	return t;
}

/* type, flags, bus, line, APIC, pin */
static const uint8_t lines[][6] = {
    {0, 0, 1, 0, 0, 2},	      {0, 0, 1, 3, 0, 3},	 {0, 0, 1, 4, 0, 4},
    {0, 13, 1, 5, 0, 5},      {0, 0, 1, 8, 0, 8},	 {0, 0, 0, 1 << 2, 0, 9},
    {0, 0, 0, 2 << 2, 0, 10}, {0, 0, 0, 31 << 2, 0, 23},
};
static const uint8_t local[][6] = {{3, 0, 1, 0, 0, 0}, {1, 0, 1, 0, 0xff, 1}};

static void is_line(const uint8_t *p, const uint8_t *wanted)
{
	const uint8_t got[6] = {p[1], (uint8_t)num_le16(p + 2), p[4], p[5], p[6], p[7]};

	assert_memory_equal(got, wanted, 6);
}

static void every_entry(const struct rig *g, uint32_t vcpus)
{
	const uint8_t *t = find(g), *p = t + 44, *end = t + num_le16(t + 4);
	unsigned n[5] = {0}, last = 0, entries = 0;

	for (; p < end; p += p[0] ? 8 : 20, entries++) {
		assert_in_range(p[0], last, 4); /* in this order (4.3) */
		last = p[0];
		switch (p[0]) {
		case 0:
			assert_int_equal(p[1], n[0]);
			assert_int_equal(p[2], 0x14);
			assert_int_equal(p[3], n[0] ? 1 : 3);
			break;
		case 1:
			assert_int_equal(p[1], n[1]);
			assert_memory_equal(p + 2, n[1] ? "ISA   " : "PCI   ", 6);
			break;
		case 2:
			assert_int_equal(p[1], 0);
			assert_int_equal(p[2], 0x11);
			assert_int_equal(p[3], 1);
			assert_int_equal(num_le32(p + 4), layout_find(&g->l, "IOAPIC_ADDR")->start);
			break;
		case 3:
			assert_true(n[3] < ARRAY_LEN(lines));
			is_line(p, lines[n[3]]);
			break;
		case 4:
			assert_true(n[4] < ARRAY_LEN(local));
			is_line(p, local[n[4]]);
			break;
		}
		n[p[0]]++;
	}
	assert_ptr_equal(p, end);
	assert_int_equal(n[0], vcpus);
	assert_int_equal(n[1], 2);
	assert_int_equal(n[2], 1);
	assert_int_equal(n[3], ARRAY_LEN(lines));
	assert_int_equal(n[4], ARRAY_LEN(local));
	assert_int_equal(num_le16(t + 34), entries);
}

static void it_lists_processors_and_lines(void **unused)
{
	static const uint32_t vcpus[] = {1, 2, 16};
	struct rig g;

	for (size_t i = 0; i < ARRAY_LEN(vcpus); i++) {
		rig_open(&g, "x86_64/linux@2", vcpus[i]);
		rig_write(&g, vcpus[i]);
		every_entry(&g, vcpus[i]);
		/* Again, over a larger one: nothing of it is left. */
		g.mc.device_n = 1;
		rig_write(&g, 1);
		const uint8_t *t = find(&g);
		const struct layout_region *row = layout_find(&g.l, "MPTABLE_START");
		for (size_t k = num_le16(t + 4); k < row->size - KIB; k++)
			assert_int_equal(t[k], 0);
		assert_int_equal(t[row->size - KIB + 16], 0);
		mem_fini(&g.m);
	}
}

static void nothing_outside_its_row_is_written(void **unused)
{
	struct rig g;

	rig_open(&g, "x86_64/linux@2", 16);
	rig_write(&g, 16);
	const struct layout_region *row = layout_find(&g.l, "MPTABLE_START");
	const uint8_t *all = mem_ro(&g.m, gpa(0), 2 * MIB);
	for (size_t i = 0; i < 2 * MIB; i++)
		if (i < row->start || i >= region_end(row))
			assert_int_equal(all[i], 0x5a);
	mem_fini(&g.m);

	/* No row, no table. */
	rig_open(&g, "x86_64/linux@1", 2);
	rig_write(&g, 2);
	all = mem_ro(&g.m, gpa(0), 2 * MIB);
	for (size_t i = 0; i < 2 * MIB; i++)
		assert_int_equal(all[i], 0x5a);
	mem_fini(&g.m);
}

static void what_does_not_fit_is_refused(void **unused)
{
	struct rig g;

	rig_open(&g, "x86_64/linux@2", 1);
	assert_int_equal(mptable_write(&g.l, &g.mc, 240, &g.m, &g.e), 0);
	assert_int_equal(mptable_write(&g.l, &g.mc, 254, &g.m, &g.e), -ERR_LIMIT);
	strcpy(((struct layout_region *)layout_find(&g.l, "IOAPIC_ADDR"))->name, "X");
	assert_int_equal(mptable_write(&g.l, &g.mc, 1, &g.m, &g.e), -ERR_STRUCTURE);
	mem_fini(&g.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_lists_processors_and_lines),
	    cmocka_unit_test(nothing_outside_its_row_is_written),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
