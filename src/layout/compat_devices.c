/* SPDX-License-Identifier: Apache-2.0 */
/* D rules of devices: models of this build, and places in the layout. */
#include "layout/compat.h"
#include "state/virtio.h"

#include <inttypes.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))
#define RING_FEATURES                                                                              \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |                                 \
	 BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX))
#define BLK_FEATURES                                                                               \
	(RING_FEATURES | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |                  \
	 BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_RO) |             \
	 BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define NET_FEATURES                                                                               \
	(RING_FEATURES | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |                   \
	 BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |     \
	 BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT(VIRTIO_NET_F_STATUS))

#define BALLOON_FEATURES                                                                           \
	(RING_FEATURES | BIT(VIRTIO_BALLOON_F_STATS_VQ) | BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |   \
	 BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT) | BIT(VIRTIO_BALLOON_F_PAGE_POISON) |                \
	 BIT(VIRTIO_BALLOON_F_REPORTING))

/* The models of this build with their newest version, and what a driver may have been set up for.
 * tests/devices/test_models.c compares it with what the models say of themselves. */
static const struct model {
	const char *type;
	uint16_t version, queues;
	uint64_t features;
} models[] = {
    {"pci-host", 1, 0, 0},
    {"uart", 1, 0, 0},
    {"i8042", 1, 0, 0},
    {"rtc", 1, 0, 0},
    {"acpi-pm", 1, 0, 0},
    {"debug-exit", 1, 0, 0},
    {"vmgenid", 1, 0, 0},
    {"pl031", 1, 0, 0},
    {"stall-detector", 1, 0, 0},
    {"cpufreq", 1, 0, 0},
    {"virtio-blk", 1, 1, BLK_FEATURES},
    {"virtio-net", 1, 2, NET_FEATURES},
    {"virtio-rng", 1, 1, RING_FEATURES},
    {"virtio-console", 1, 2, RING_FEATURES},
    {"virtio-balloon", 1, 5, BALLOON_FEATURES},
};

static const struct model *find_model(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (!strcmp(models[i].type, type))
			return &models[i];
	return NULL;
}

static void compare_offer(const struct model *m, const struct machine_device *d,
			  struct findings *out)
{
	char saved[64], found[64];

	if (d->queues != m->queues || (m->queues && d->queue_size > VIRTQ_SIZE_MAX)) {
		snprintf(saved, sizeof saved, "%u queues of %u", d->queues, d->queue_size);
		snprintf(found, sizeof found, "%u queues of at most %u", m->queues,
			 m->queues ? VIRTQ_SIZE_MAX : 0);
		findings_add(out, RULE_D004, d->id, saved, found);
	}
	if (d->features & ~m->features) {
		snprintf(saved, sizeof saved, "features 0x%" PRIx64, d->features);
		snprintf(found, sizeof found, "not 0x%" PRIx64, d->features & ~m->features);
		findings_add(out, RULE_D004, d->id, saved, found);
	}
}

/* --- places --------------------------------------------------------------------------------- */

static bool is_function(const struct machine_device *d)
{
	return d->bar_bytes[0] || d->bar_bytes[1];
}

static unsigned slot_of(const struct machine_device *d)
{
	return d->pci >> 3 & 31;
}

static const char *bar_text(const struct machine_device *d, unsigned bar, char buf[static 96])
{
	snprintf(buf, 96, "BAR of 0x%" PRIx64 " bytes at 0x%" PRIx64, d->bar_bytes[bar],
		 d->bar[bar]);
	return buf;
}

static bool check_bar(const struct layout *l, const struct machine_device *d, unsigned bar,
		      struct findings *out)
{
	uint64_t start = d->bar[bar], size = d->bar_bytes[bar];
	const struct layout_region *w = layout_window(l, bar == 0);
	char saved[96], found[128];

	bar_text(d, bar, saved);
	if (size < 16 || size & (size - 1) || !start || start & (size - 1)) {
		findings_add(out, RULE_D010, d->id, saved,
			     "not a power of two aligned to its size");
		return false;
	}
	if (w && num_inside(start, size, w->start, w->size))
		return true;
	if (w)
		snprintf(found, sizeof found, "not in %s (0x%" PRIx64 " to 0x%" PRIx64 ")", w->name,
			 w->start, region_end(w));
	else
		snprintf(found, sizeof found, "no window for PCI in %s", l->id);
	findings_add(out, RULE_D011, d->id, saved, found);
	return false;
}

static void check_slot(const struct machine *m, const struct machine_device *d,
		       struct findings *out)
{
	char saved[32], found[96];

	snprintf(saved, sizeof saved, "%02x:%02x.%x", d->pci >> 8, slot_of(d), d->pci & 7);
	if (d->pci >> 8 || d->pci & 7 || (slot_of(d) == 0) == is_function(d))
		findings_add(out, RULE_D013, d->id, saved, "functions are 00:01.0 to 00:1f.0");
	for (const struct machine_device *o = m->device; o < d; o++)
		if (o->pci == d->pci) {
			snprintf(found, sizeof found, "there is %s", o->id);
			findings_add(out, RULE_D013, d->id, saved, found);
		}
}

/* All BARs are sound: nothing wraps around. */
static void check_overlap(const struct machine *m, struct findings *out)
{
	char saved[96], found[160];

	for (uint32_t i = 0; i < 2 * m->device_n; i++)
		for (uint32_t j = 0; j < i; j++) {
			const struct machine_device *a = &m->device[i / 2], *b = &m->device[j / 2];
			uint64_t at = a->bar[i % 2], other = b->bar[j % 2];
			if (!at || !other || at >= other + b->bar_bytes[j % 2] ||
			    other >= at + a->bar_bytes[i % 2])
				continue;
			bar_text(a, i % 2, saved);
			snprintf(found, sizeof found, "overlaps that of %s at 0x%" PRIx64, b->id,
				 other);
			findings_add(out, RULE_D012, a->id, saved, found);
		}
}

void compat_places(const struct layout *l, const struct machine *m, struct findings *out)
{
	bool sound = true;

	for (uint32_t i = 0; i < m->device_n; i++) {
		const struct machine_device *d = &m->device[i];
		if (d->region[0] && !layout_find(l, d->region))
			findings_add(out, RULE_D005, d->id, d->region, "absent");
		if (d->pci != MACHINE_NO_PCI)
			check_slot(m, d, out);
		else if (is_function(d) || d->bar[0] || d->bar[1])
			findings_add(out, RULE_D010, d->id, "BARs", "no place on the PCI bus");
		for (unsigned b = 0; b < MACHINE_BARS; b++)
			if (d->bar[b] || d->bar_bytes[b])
				sound &= check_bar(l, d, b, out);
	}
	if (sound)
		check_overlap(m, out);
}

void compat_machine(const struct layout *l, const struct machine *saved, struct findings *out)
{
	for (uint32_t i = 0; i < saved->device_n; i++) {
		const struct machine_device *d = &saved->device[i];
		const struct model *m = find_model(d->type);
		if (!m)
			findings_add(out, RULE_D001, d->id, d->type, "no such model");
		else if (d->version > m->version)
			findings_add_u64(out, RULE_D002, d->id, d->version, m->version);
		else
			compare_offer(m, d, out);
	}
	compat_places(l, saved, out);
}
