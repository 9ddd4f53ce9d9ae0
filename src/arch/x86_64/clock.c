/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest time. All of it is saved for one instant, the pause: KVM's paravirtual clock, the host's
 * real time, and each vCPU's time-stamp counter. A counter is loaded as an offset to the host's
 * where KVM lets us (Documentation/virt/kvm/devices/vcpu.rst, 4.1), so that all vCPUs agree to the
 * cycle; else by writing the MSR.
 */
#include "arch/x86_64/kvm.h"

#include <sys/ioctl.h>
#include <x86intrin.h>

#define MSR_TSC	   0x10
#define PPM_LIMIT  250
#define NS_PER_MS  1000000u
#define TRIES	   5

/* The host's counter and its real time, read together. */
struct instant {
	uint64_t host_tsc, realtime_ns;
};

/* Of a few tries the one that was disturbed least. */
static struct instant now(void)
{
	struct instant best = {0};
	uint64_t best_span = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = __rdtsc(), realtime_ns = io_realtime_ns(), after = __rdtsc();
		if (after - before < best_span) {
			best_span = after - before;
			best = (struct instant){before + (after - before) / 2, realtime_ns};
		}
	}
	return best;
}

static uint64_t ns_to_cycles(uint64_t ns, uint32_t khz)
{
	/* Split, so that no product overflows: hours of ns times MHz of kHz do. */
	return ns / NS_PER_MS * khz + ns % NS_PER_MS * khz / NS_PER_MS;
}

/* KVM_VCPU_TSC_OFFSET: guest counter = host counter (scaled) + offset. */
static int offset_get(struct arch_vcpu *c, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(c->fd, KVM_GET_DEVICE_ATTR, &attr);
}

static int offset_set(struct arch_vcpu *c, uint64_t offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	return ioctl(c->fd, KVM_SET_DEVICE_ATTR, &attr);
}

static bool ppm_close(uint32_t a, uint32_t b)
{
	uint64_t diff = a > b ? a - b : b - a;

	return diff * 1000000 <= (uint64_t)b * PPM_LIMIT;
}

int arch_clock_save(struct arch_vm *vm, struct clock *out, struct err *e)
{
	struct kvm_clock_data data = {0};
	struct instant at = now();
	int r = kvm_do(vm->fd, KVM_GET_CLOCK, &data, e);

	if (r < 0)
		return r;
	/* Where KVM has a master clock it gives all three of one instant. */
	if ((data.flags & KVM_CLOCK_REALTIME) && (data.flags & KVM_CLOCK_HOST_TSC))
		at = (struct instant){data.host_tsc, data.realtime};
	state_defaults(&clock_desc, out);
	out->realtime_ns = at.realtime_ns;
	out->kvmclock_ns = data.clock;
	vm->saved_host_tsc = at.host_tsc;
	vm->saved_realtime_ns = at.realtime_ns;
	return 0;
}

int tsc_save_(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e)
{
	uint64_t offset, tsc = 0;
	int khz = ioctl(c->fd, KVM_GET_TSC_KHZ, 0);

	out->tsc_khz = khz > 0 ? (uint32_t)khz : c->vm->host_tsc_khz;
	if (out->tsc_khz == c->vm->host_tsc_khz && !offset_get(c, &offset)) {
		out->tsc = c->vm->saved_host_tsc + offset;
		return 0;
	}
	struct instant at = now();
	int r = msr_get_(c, MSR_TSC, &tsc, e);
	if (!r)
		out->tsc = tsc - ns_to_cycles(at.realtime_ns - c->vm->saved_realtime_ns,
					      out->tsc_khz);
	return r;
}

static int set_frequency(struct arch_vm *vm, struct arch_vcpu *c, uint32_t khz, struct err *e)
{
	if (ppm_close(khz, vm->host_tsc_khz))
		return 0;
	if (!vm->tsc_scaling)
		return err_set(e, ERR_INCOMPATIBLE,
			       "TSC of %u kHz, this host has %u kHz and cannot scale it", khz,
			       vm->host_tsc_khz);
	int r = kvm_do(c->fd, KVM_SET_TSC_KHZ, khz, e);
	return r < 0 ? r : 0;
}

int tsc_load_(struct arch_vm *vm, void *const *vcpu_state, uint64_t elapsed_ns, struct err *e)
{
	struct instant at = now();
	const struct x86_vcpu *first = vcpu_state[0];
	uint64_t first_offset = 0;

	for (uint32_t i = 0; i < vm->vcpu_n; i++) {
		const struct x86_vcpu *st = vcpu_state[i];
		struct arch_vcpu *c = &vm->vcpu[i];
		uint64_t want = st->tsc + ns_to_cycles(elapsed_ns, st->tsc_khz), offset;
		int r = set_frequency(vm, c, st->tsc_khz, e);
		if (r)
			return r;
		bool scaled = !ppm_close(st->tsc_khz, vm->host_tsc_khz);
		if (!scaled && !offset_set(c, want - at.host_tsc))
			continue;
		if (i > 0 && !offset_get(&vm->vcpu[0], &first_offset)) {
			offset = first_offset + (st->tsc - first->tsc);
			if (!offset_set(c, offset))
				continue;
		}
		want += ns_to_cycles(now().realtime_ns - at.realtime_ns, st->tsc_khz);
		r = msr_set_(c, MSR_TSC, want, e);
		if (r)
			return r;
	}
	return 0;
}

int clock_load_(struct arch_vm *vm, const struct clock *clock, uint64_t elapsed_ns, struct err *e)
{
	struct kvm_clock_data data = {.clock = clock->kvmclock_ns + elapsed_ns};
	int r = kvm_do(vm->fd, KVM_SET_CLOCK, &data, e);

	return r < 0 ? r : 0;
}

/* Fails for a guest that does not use the clock: nothing to tell it then. */
void arch_resuming(struct arch_vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_n; i++)
		kvm_do(vm->vcpu[i].fd, KVM_KVMCLOCK_CTRL, 0, NULL);
}
