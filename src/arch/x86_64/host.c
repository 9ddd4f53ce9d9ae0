/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/kvm.h"
#include "layout/compat.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

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
	CAP(NESTED_STATE), CAP(X86_SMM),
#undef CAP
};

static int cap_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (!strcmp(caps[i].name, name))
			return caps[i].number;
	return -1;
}

int arch_kvm_open(int *kvm_fd, struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, ERR_KVM, errno, "cannot open /dev/kvm%s",
			       errno == ENOENT	 ? " (is the kvm-intel or kvm-amd module loaded?)"
			       : errno == EACCES ? " (is this user in the group kvm?)"
						 : "");
	int version = ioctl(fd, KVM_GET_API_VERSION, 0), r = 0;
	if (version < 0)
		r = err_sys(e, ERR_KVM, errno, "/dev/kvm is no KVM device");
	else if (version != KVM_API_VERSION)
		r = err_set(e, ERR_KVM, "/dev/kvm has API version %d, %d is needed", version,
			    KVM_API_VERSION);
	const char *name;
	for (size_t i = 0; !r && (name = compat_needed_cap("x86_64", i)); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, cap_number(name)) <= 0)
			r = err_set(e, ERR_KVM, "this KVM lacks %s", name);
	if (r) {
		close(fd);
		return r;
	}
	*kvm_fd = fd;
	return 0;
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

/* Faults that KVM takes itself need either the device node or the privilege. */
static bool has_userfaultfd(void)
{
	int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd = dev >= 0 ? ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC)
			  : (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (dev >= 0)
		close(dev);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int arch_host(int kvm_fd, struct host *out, struct err *e)
{
	struct utsname u;
	uint32_t msr[X86_MSRS_MAX];
	int r = cpuid_supported_(kvm_fd, out->cpuid, &out->cpuid_n, e);

	if (!r)
		r = msr_list_(kvm_fd, msr, &out->msr_n, e);
	if (r)
		return r;
	for (uint32_t i = 0; i < out->msr_n; i++)
		out->msr[i].index = msr[i];
	strcpy(out->arch, "x86_64");
	uname(&u);
	snprintf(out->kernel, sizeof out->kernel, "%s", u.release);
	cpu_model(out->cpu_model);
	out->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
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
	out->userfaultfd = has_userfaultfd();

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
