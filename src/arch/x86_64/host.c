/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/kvm.h"

#include <cpuid.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Of kernels newer than the headers. */
#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif

#define LEAF_ADDRESS_BITS 0x80000008

static const struct {
	const char *name;
	int number;
} caps[] = {
#define CAP(name) {#name, KVM_CAP_##name}
	CAP(NR_MEMSLOTS), CAP(MAX_VCPUS), CAP(IRQCHIP), CAP(PIT2), CAP(PIT_STATE2), CAP(IRQFD),
	CAP(IOEVENTFD), CAP(SIGNAL_MSI), CAP(IMMEDIATE_EXIT), CAP(VCPU_EVENTS), CAP(DEBUGREGS),
	CAP(XCRS), CAP(XSAVE), CAP(XSAVE2), CAP(SREGS2), CAP(MP_STATE), CAP(ADJUST_CLOCK),
	CAP(KVMCLOCK_CTRL), CAP(TSC_CONTROL), CAP(GET_TSC_KHZ), CAP(TSC_DEADLINE_TIMER),
	CAP(VCPU_ATTRIBUTES), CAP(EXCEPTION_PAYLOAD), CAP(X86_TRIPLE_FAULT_EVENT),
	CAP(READONLY_MEM), CAP(SYNC_MMU), CAP(DIRTY_LOG_RING), CAP(MANUAL_DIRTY_LOG_PROTECT2),
	CAP(NESTED_STATE), CAP(X86_SMM), CAP(PRE_FAULT_MEMORY),
#undef CAP
};

static int cap_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (!strcmp(caps[i].name, name))
			return caps[i].number;
	return -1;
}

const char *const arch_name = "x86_64";

int arch_kvm_open(int *kvm_fd, struct err *e)
{
	return kvm_open_(cap_number, kvm_fd, e);
}

/* The brand string: leaves 8000_0002 to 8000_0004 of the host's own CPUID. */
static void cpu_model(char out[static 65])
{
	unsigned regs[12] = {0};

	for (unsigned i = 0; i < 3; i++)
		__get_cpuid(0x80000002 + i, &regs[4 * i], &regs[4 * i + 1], &regs[4 * i + 2],
			    &regs[4 * i + 3]);
	size_t n = 0;
	const char *p = (const char *)regs;
	for (size_t i = 0; i < sizeof regs && p[i]; i++)
		if (p[i] >= 0x20 && p[i] < 0x7f && !(p[i] == ' ' && (n == 0 || out[n - 1] == ' ')))
			out[n++] = p[i];
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

int arch_host(int kvm_fd, struct host *out, struct err *e)
{
	uint32_t msr[X86_MSRS_MAX];
	int r = cpuid_supported_(kvm_fd, out->cpuid, &out->cpuid_n, e);

	if (!r)
		r = msr_list_(kvm_fd, msr, &out->msr_n, e);
	if (r)
		return r;
	for (uint32_t i = 0; i < out->msr_n; i++)
		out->msr[i].index = msr[i];
	kvm_host_(out);
	cpu_model(out->cpu_model);
	out->phys_bits = 36;
	for (uint32_t i = 0; i < out->cpuid_n; i++)
		if (out->cpuid[i].function == LEAF_ADDRESS_BITS)
			out->phys_bits = out->cpuid[i].eax & 0xff;
	out->cap_n = ARRAY_LEN(caps);
	for (uint32_t i = 0; i < out->cap_n; i++) {
		int v = ioctl(kvm_fd, KVM_CHECK_EXTENSION, caps[i].number);
		strcpy(out->cap[i].name, caps[i].name);
		out->cap[i].value = v > 0 ? (uint32_t)v : 0;
		if (caps[i].number == KVM_CAP_NR_MEMSLOTS)
			out->memslots = out->cap[i].value;
		if (caps[i].number == KVM_CAP_MAX_VCPUS)
			out->vcpus = out->cap[i].value;
		if (caps[i].number == KVM_CAP_TSC_CONTROL)
			out->tsc_scaling = v > 0;
	}

	int vm = kvm_do(kvm_fd, KVM_CREATE_VM, 0, e);
	if (vm < 0)
		return vm;
	int vcpu = kvm_do(vm, KVM_CREATE_VCPU, 0, e);
	int khz = vcpu < 0 ? vcpu : ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
	out->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	if (vcpu >= 0)
		close(vcpu);
	close(vm);
	return vcpu < 0 ? vcpu : 0;
}
