/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/balloon.h"

#include "devices/virtio.h"

#include <inttypes.h>

/* By tag: virtio 1.2, 5.5.6.4. */
static const char *const stat_names[VIRTIO_BALLOON_STATS] = {
    "swap_in_bytes", "swap_out_bytes",	"major_faults", "minor_faults",	       "free_bytes",
    "total_bytes",   "available_bytes", "cache_bytes",	"hugetlb_allocations", "hugetlb_failures",
};

static json_int_t left(const struct vm *vm, uint64_t balloon_bytes)
{
	uint64_t ram = vm->layout.params.ram_bytes;

	/* The guest may claim to have given up more than it ever had. */
	return (json_int_t)(balloon_bytes < ram ? ram - balloon_bytes : 0);
}

json_t *balloon_json(struct vm *vm)
{
	struct device *d = vm_device(vm, "virtio-balloon");
	struct virtio_balloon_info info;

	if (!d)
		return NULL;
	virtio_balloon_look(d, &info);
	return json_pack("{s:I, s:I, s:I, s:b}", "target_bytes", left(vm, info.target_bytes),
			 "actual_bytes", left(vm, info.actual_bytes), "dropped_bytes",
			 (json_int_t)info.dropped_bytes, "ready", info.ready);
}

static int ask(struct vm *vm, struct device *d, const json_t *size, struct err *e)
{
	uint64_t ram = vm->layout.params.ram_bytes;
	json_int_t wanted = json_integer_value(size);

	if (!json_is_integer(size) || wanted < VIRTIO_BALLOON_PAGE || (uint64_t)wanted > ram)
		return err_set(e, ERR_USAGE, "%s can have 4096 to %" PRIu64 " bytes of memory",
			       vm->name, ram);
	virtio_balloon_ask(d, ram - (uint64_t)wanted);
	return 0;
}

int balloon_call(struct vm *vm, const json_t *params, json_t **result, struct err *e)
{
	struct device *d = vm_device(vm, "virtio-balloon");
	const json_t *size = json_object_get(params, "memory_bytes");
	struct virtio_balloon_info info;

	if (!d)
		return err_set(e, ERR_WRONG_STATE, "%s has no balloon (vmm run --balloon)",
			       vm->name);
	int r = size ? ask(vm, d, size, e) : 0;
	if (r)
		return r;
	*result = balloon_json(vm);
	virtio_balloon_look(d, &info);
	for (unsigned i = 0; i < VIRTIO_BALLOON_STATS; i++)
		if (info.has_stat[i] && info.stat[i] <= INT64_MAX)
			json_object_set_new(*result, stat_names[i],
					    json_integer((json_int_t)info.stat[i]));
	return 0;
}
