/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/aarch64/kvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PHYS_BITS_ALWAYS 40	    /* what every arm64 KVM has (api.rst, 4.2) */
#define CCSIDR_SETS	 (1u << 13) /* lowest bit of NumSets */

/* clang-format off */
static const struct {
	const char *name;
	int number;
} caps[] = {
#define CAP(name) {#name, KVM_CAP_##name}
	CAP(NR_MEMSLOTS), CAP(MAX_VCPUS), CAP(IRQCHIP), CAP(IRQFD), CAP(IOEVENTFD),
	CAP(SIGNAL_MSI), CAP(IMMEDIATE_EXIT), CAP(ONE_REG), CAP(DEVICE_CTRL),
	CAP(MP_STATE), CAP(VCPU_EVENTS), CAP(VCPU_ATTRIBUTES), CAP(ARM_PSCI_0_2),
	CAP(ARM_VM_IPA_SIZE), CAP(ARM_SVE), CAP(ARM_PTRAUTH_ADDRESS), CAP(ARM_PTRAUTH_GENERIC),
	CAP(ARM_PMU_V3), CAP(STEAL_TIME), CAP(ARM_INJECT_SERROR_ESR), CAP(ARM_INJECT_EXT_DABT),
	CAP(ARM_NISV_TO_USER), CAP(ARM_SYSTEM_SUSPEND), CAP(READONLY_MEM), CAP(SYNC_MMU),
	CAP(DIRTY_LOG_RING_ACQ_REL), CAP(MANUAL_DIRTY_LOG_PROTECT2),
#undef CAP
};
/* clang-format on */

/* Interrupt controllers are no capabilities of KVM's: they are tried, and listed beside them. */
static const struct {
	const char *name;
	uint32_t type;
} devices[] = {
    {"GICV2", KVM_DEV_TYPE_ARM_VGIC_V2},
    {"GICV3", KVM_DEV_TYPE_ARM_VGIC_V3},
    {"ITS", KVM_DEV_TYPE_ARM_VGIC_ITS},
};

static int cap_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (!strcmp(caps[i].name, name))
			return caps[i].number;
	return -1;
}

const char *const arch_name = "aarch64";

int arch_kvm_open(int *kvm_fd, struct err *e)
{
	return kvm_open_(cap_number, kvm_fd, e);
}

/* MIDR_EL1, which the kernel shows to programs. */
static void cpu_model(char *out, size_t size)
{
	uint64_t midr;

	__asm__("mrs %0, midr_el1" : "=r"(midr));
	snprintf(out, size, "implementer 0x%02x, part 0x%03x, r%up%u",
		 (unsigned)(midr >> 24 & 0xff), (unsigned)(midr >> 4 & 0xfff),
		 (unsigned)(midr >> 20 & 0xf), (unsigned)(midr & 0xf));
}

/* --- registers ------------------------------------------------------------------------------- */

/* Of kernels newer than the headers (api.rst, 4.139). */
#ifndef KVM_ARM_GET_REG_WRITABLE_MASKS
struct reg_mask_range {
	uint64_t addr;
	uint32_t range;
	uint32_t reserved[13];
};
#define KVM_ARM_GET_REG_WRITABLE_MASKS _IOR(KVMIO, 0xb6, struct reg_mask_range)
#endif

/* The range has op1 0, 1 and 3, of each 8 CRm with 8 op2. */
#define MASKS (3 * 8 * 8)

/* Kernels before the ioctl, from 5.12 on, let CSV2 and CSV3 be lower, and nothing else. */
static void ask_masks(int vm_fd, uint64_t mask[static MASKS])
{
	struct reg_mask_range range = {.addr = (uintptr_t)mask};

	memset(mask, 0, MASKS * sizeof mask[0]);
	if (ioctl(vm_fd, KVM_ARM_GET_REG_WRITABLE_MASKS, &range) < 0)
		mask[4 << 3] = UINT64_C(0xff) << 56; /* ID_AA64PFR0_EL1 */
}

static uint64_t announced_writable(const uint64_t mask[static MASKS], uint64_t id)
{
	unsigned op1 = id >> 11 & 7, crm = id >> 3 & 15, op2 = id & 7;

	if (op1 == 2 || op1 > 3 || crm > 7)
		return 0;
	return mask[(op1 == 3 ? 2 : op1) << 6 | crm << 3 | op2];
}

/* Whether caches may look otherwise is not announced: another number of sets is tried. */
static uint64_t cache_writable(int vcpu_fd, const struct host_reg *reg)
{
	uint32_t was = (uint32_t)reg->value, other = was ^ CCSIDR_SETS;

	if (reg_set_(vcpu_fd, reg->id, &other, NULL))
		return 0;
	return reg_set_(vcpu_fd, reg->id, &was, NULL) ? 0 : UINT32_MAX;
}

static uint64_t writable_bits(const uint64_t mask[static MASKS], int vcpu_fd,
			      const struct host_reg *reg)
{
	if (arm64_kind(reg->id) == ARM64_KIND_CACHE)
		return cache_writable(vcpu_fd, reg);
	return arm64_is_id(reg->id) || arm64_is_identity(reg->id)
		   ? announced_writable(mask, reg->id)
		   : 0;
}

static void add_cap(struct host *out, const char *name, uint32_t value)
{
	strcpy(out->cap[out->cap_n].name, name);
	out->cap[out->cap_n++].value = value;
}

/* Of a VM's vCPU with all features, after reset. */
static int list_registers(int kvm_fd, int vm_fd, int vcpu_fd, struct host *out, struct err *e)
{
	struct kvm_vcpu_init preferred;
	struct reg_list *l = NULL;
	uint64_t mask[MASKS];
	int r = kvm_do(vm_fd, KVM_ARM_PREFERRED_TARGET, &preferred, e);

	if (r >= 0)
		r = vcpu_init_(vcpu_fd, preferred.target, vcpu_features_(kvm_fd), NULL, e);
	if (r >= 0)
		r = reg_list_(vcpu_fd, &l, e);
	ask_masks(vm_fd, mask);
	for (uint64_t i = 0; r >= 0 && i < l->n; i++) {
		struct host_reg *reg = &out->reg[out->reg_n++];
		*reg = (struct host_reg){.id = l->id[i]};
		if (arm64_reg_bytes(reg->id) <= sizeof reg->value && !arm64_is_time(reg->id))
			reg_get_(vcpu_fd, reg->id, &reg->value, NULL);
		if (reg->id == ARM64_SVE_LENGTHS)
			r = reg_get_(vcpu_fd, reg->id, out->sve_lengths, e);
		reg->writable = writable_bits(mask, vcpu_fd, reg);
	}
	free(l);
	return r < 0 ? r : 0;
}

static void try_devices(int vm_fd, struct host *out)
{
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		struct kvm_create_device d = {.type = devices[i].type,
					      .flags = KVM_CREATE_DEVICE_TEST};
		add_cap(out, devices[i].name, !ioctl(vm_fd, KVM_CREATE_DEVICE, &d));
	}
}

/* What only a VM can be asked. */
static int probe(int kvm_fd, struct host *out, struct err *e)
{
	int vm = kvm_do(kvm_fd, KVM_CREATE_VM, 0, e);

	if (vm < 0)
		return vm;
	try_devices(vm, out);
	int vcpu = kvm_do(vm, KVM_CREATE_VCPU, 0, e);
	int r = vcpu < 0 ? vcpu : list_registers(kvm_fd, vm, vcpu, out, e);
	if (vcpu >= 0)
		close(vcpu);
	close(vm);
	return r;
}

int arch_host(int kvm_fd, struct host *out, struct err *e)
{
	kvm_host_(out);
	cpu_model(out->cpu_model, sizeof out->cpu_model);
	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		int v = ioctl(kvm_fd, KVM_CHECK_EXTENSION, caps[i].number);
		add_cap(out, caps[i].name, v > 0 ? (uint32_t)v : 0);
		if (caps[i].number == KVM_CAP_NR_MEMSLOTS)
			out->memslots = v > 0 ? (uint32_t)v : 0;
		if (caps[i].number == KVM_CAP_MAX_VCPUS)
			out->vcpus = v > 0 ? (uint32_t)v : 0;
		if (caps[i].number == KVM_CAP_ARM_VM_IPA_SIZE)
			out->phys_bits = v > 0 ? (uint8_t)v : PHYS_BITS_ALWAYS;
	}
	out->counter_hz = counter_hz_();
	return probe(kvm_fd, out, e);
}
