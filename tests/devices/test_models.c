/* SPDX-License-Identifier: Apache-2.0 */
/* What the compatibility rules say of this build's models is what the models say of themselves. */
#include "devices/pci.h"
#include "devices/virtio.h"
#include "layout/compat.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t mac[6] = {2};

static void blk(struct machine_device *md)
{
	virtio_blk_describe(md, "d", 100, false);
}

static void blk_read_only(struct machine_device *md)
{
	virtio_blk_describe(md, "d", 100, true);
}

static void net(struct machine_device *md)
{
	virtio_net_describe(md, "d", mac);
}

static void rng(struct machine_device *md)
{
	virtio_rng_describe(md, "d");
}

static void console(struct machine_device *md)
{
	virtio_console_describe(md, "d");
}

static void balloon(struct machine_device *md)
{
	virtio_balloon_describe(md, "d");
}

/* Rules of models alone: where a device lies is another matter. */
static bool refused(const struct machine_device *md)
{
	static struct layout l;
	static struct machine m;
	struct findings f = {0};

	l.region_n = 1;
	m.device_n = 1;
	m.device[0] = *md;
	compat_machine(&l, &m, &f);
	for (uint32_t i = 0; i < f.n; i++)
		if (!strncmp(f.item[i].rule->id, "D00", 3) && f.item[i].rule != &rules[RULE_D005])
			return true;
	return false;
}

static void check(void (*describe)(struct machine_device *), uint64_t also)
{
	struct machine_device md, changed;

	describe(&md);
	assert_false(refused(&md));
	/* What a machine with a pool for DMA adds. */
	changed = md;
	virtio_offer_platform(&changed);
	also |= changed.features;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t feature = UINT64_C(1) << bit;
		changed = md;
		changed.features |= feature;
		assert_int_equal(refused(&changed), !((md.features | also) & feature));
	}
	changed = md;
	changed.queues++;
	assert_true(refused(&changed));
	changed = md;
	changed.queue_size = 2 * VIRTQ_SIZE_MAX;
	assert_true(refused(&changed));
	changed = md;
	changed.version++;
	assert_true(refused(&changed));
}

static void models_have_what_they_offer_and_no_more(void **state)
{
	struct machine_device a, b;

	/* One disk may be written, the other not: what they offer differs. */
	blk(&a);
	blk_read_only(&b);
	check(blk, b.features);
	check(blk_read_only, a.features);
	check(net, 0);
	check(rng, 0);
	check(console, 0);
	check(balloon, 0);
}

/* Those without queues: what there is to a model is its type. */
static void platform_models_are_known(void **state)
{
	static const char *const types[] = {
	    "pci-host",	  "uart",  "i8042",	     "rtc",	"acpi-pm",
	    "debug-exit", "pl031", "stall-detector", "cpufreq", "vmgenid",
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct machine_device md, changed;
		state_defaults(&machine_device_desc, &md);
		strcpy(md.id, "d");
		strcpy(md.type, types[i]);
		assert_false(refused(&md));
		changed = md;
		changed.version++;
		assert_true(refused(&changed));
		changed = md;
		changed.queues = 1;
		assert_true(refused(&changed));
		changed = md;
		changed.features = 1;
		assert_true(refused(&changed));
		changed = md;
		changed.type[0] = 'x';
		assert_true(refused(&changed));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(models_have_what_they_offer_and_no_more),
	    cmocka_unit_test(platform_models_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
