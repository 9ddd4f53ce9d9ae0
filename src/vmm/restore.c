/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/restore.h"

#include <stdio.h>
#include <string.h>

/* Borrowed from the manifest, in the order of the machine. */
struct pieces {
	struct vm_state state;
	const void *device[MACHINE_DEVICES_MAX];
};

static int find(const struct snap_manifest *m, const struct state_desc *desc, const char *id,
		const void **out, struct err *e)
{
	*out = snap_manifest_find(m, desc, id);
	return *out ? 0
		    : err_set(e, ERR_MISSING, "the snapshot has no %s%s%s", desc->name,
			      *id ? " " : "", id);
}

static int find_cpus(const struct snap *snap, struct pieces *p, struct err *e)
{
	const struct snap_manifest *m = snap_manifest(snap);
	const void *st;
	int r = find(m, &clock_desc, "", &st, e);

	if (r)
		return r;
	p->state.clock = *(const struct clock *)st;
	r = find(m, arch_irqchip_state, "", &st, e);
	if (r)
		return r;
	/* vm_state owns what it points to elsewhere; here nothing writes through it. */
	p->state.irqchip = (void *)(uintptr_t)st;
	p->state.vcpu_n = snap_layout(snap)->params.vcpus;
	if (p->state.vcpu_n > ARCH_VCPUS_MAX)
		return err_set(e, ERR_LIMIT, "%u vCPUs", p->state.vcpu_n);
	for (uint32_t i = 0; !r && i < p->state.vcpu_n; i++) {
		char id[16];
		snprintf(id, sizeof id, "%u", i);
		r = find(m, arch_vcpu_state, id, &st, e);
		p->state.vcpu[i] = (void *)(uintptr_t)st;
	}
	return r;
}

static int find_devices(const struct snap *snap, const struct vm *vm, struct pieces *p,
			struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < vm->device_n; i++)
		r = find(snap_manifest(snap), vm->device[i]->cls->state, vm->device[i]->id,
			 &p->device[i], e);
	return r;
}

static uint64_t elapsed_ns(const struct restore_setup *setup, const struct clock *saved)
{
	uint64_t now = io_realtime_ns();

	/* A host whose clock is behind: time stands still rather than going back. */
	if (setup->clock == RESTORE_KEEP || now < saved->realtime_ns)
		return 0;
	return now - saved->realtime_ns;
}

bool restore_maps(const struct snap *snap, const struct restore_setup *setup)
{
	return snap_info(snap)->is_raw && !setup->hugepages && !setup->shared;
}

static int load_ram(struct snap **snap, const struct restore_setup *setup, struct vm *vm,
		    struct err *e)
{
	const struct snap_load_opts opts = {
	    .threads = setup->threads,
	    .progress = setup->progress,
	};

	bool there = vm->mem.is_private;
	if (!there && !setup->lazy)
		return snap_load_ram(*snap, &vm->mem, &opts, e);
	int r = setup->verify ? snap_verify(*snap, &opts, e) : 0;
	if (r || there)
		return r;
	r = vm_load_lazily(vm, *snap, setup->file, setup->threads, setup->workset_fd, e);
	if (!r)
		*snap = NULL;
	return r;
}

static int load(struct snap **snap, const struct restore_setup *setup, struct vm *vm,
		struct pieces *p, struct err *e)
{
	int r = find_devices(*snap, vm, p, e);

	if (!r)
		r = vm_check(vm, &p->state, p->device, e);
	if (!r)
		r = vm_boots_from(vm, setup->image, &p->state, e);
	if (!r && setup->track) {
		r = track_start(&vm->track, vm->arch, &vm->mem, e);
		track_done(&vm->track, snap_info(*snap)->digest, snap_ram(*snap)->chunk_bytes);
	}
	if (!r)
		r = load_ram(snap, setup, vm, e);
	if (!r && setup->clock == RESTORE_KEEP)
		guest_clock_set_realtime(&vm->clock, p->state.clock.realtime_ns);
	if (!r)
		r = vm_apply(vm, &p->state, p->device, elapsed_ns(setup, &p->state.clock), e);
	/* Last: it is written to the memory just loaded, and by interrupt controllers that are set. */
	if (!r && !setup->keep_generation)
		r = vm_new_generation(vm, e);
	return r;
}

int restore_vm(struct snap **snap, const struct restore_setup *setup, struct vm **out,
	       struct err *e)
{
	struct pieces p = {0};
	struct vm *vm = NULL;
	int r = find_cpus(*snap, &p, e);
	const struct vm_setup vs = {
	    .name = setup->name,
	    .loop = setup->loop,
	    .kvm_fd = setup->kvm_fd,
	    .host = setup->host,
	    .layout = snap_layout(*snap),
	    .machine = setup->machine ? setup->machine : snap_machine(*snap),
	    .backend = setup->backend,
	    .backend_n = setup->backend_n,
	    .hugepages = setup->hugepages,
	    .mapped = restore_maps(*snap, setup) ? *snap : NULL,
	    .shared = setup->shared,
	    .file = setup->file,
	    .vcpu_state = p.state.vcpu,
	};

	if (!r)
		r = vm_new(&vs, &vm, e);
	if (!r)
		r = load(snap, setup, vm, &p, e);
	if (r) {
		vm_free(vm);
		return r;
	}
	*out = vm;
	return 0;
}
