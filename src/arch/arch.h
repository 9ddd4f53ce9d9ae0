/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch: everything that talks to KVM, and what a machine of this architecture looks like to the
 * software it boots. One folder for each architecture, with the same file names.
 *
 * Prefix: arch_. Threads: a vCPU belongs to the thread that runs it; its state may be read and
 * written by another only while that thread is not inside arch_vcpu_run(). Interrupt functions
 * may be called from any thread; the rest is for the thread that builds, saves and restores.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "layout/mem.h"
#include "state/clock.h"
#include "state/cpu_policy.h"
#include "state/host.h"
#include "state/machine.h"

struct arch_vm;
struct arch_vcpu;

#define ARCH_VCPUS_MAX 16

/* Descriptors of this architecture's vCPU and interrupt-controller records. */
extern const struct state_desc *const arch_vcpu_state;
extern const struct state_desc *const arch_irqchip_state;

/* --- the host ----------------------------------------------------------------------------- */

/** arch_kvm_open() - /dev/kvm, of the right API version. -ERR_KVM with what to do about it. */
int arch_kvm_open(int *kvm_fd, struct err *e) MUST_CHECK;

/** arch_host() - what this host can carry. @kvm_fd: borrowed. */
int arch_host(int kvm_fd, struct host *out, struct err *e) MUST_CHECK;

/**
 * struct arch_speed - how this KVM executes kernel code, found out by running a probe guest
 * @kernel_mips: millions of instructions a second in the guest's kernel mode
 * @native:      fast enough, and complete enough, to boot an operating system
 */
struct arch_speed {
	uint32_t kernel_mips;
	bool native;
};

/** arch_host_speed() - takes about 2 ms. */
int arch_host_speed(int kvm_fd, struct arch_speed *out, struct err *e) MUST_CHECK;

/* --- a virtual machine -------------------------------------------------------------------- */

/**
 * arch_vm_new() - memory slots, interrupt controllers, vCPUs with their CPUID
 * @kvm_fd: borrowed
 * @l, @mem: borrowed; outlive the VM
 * @cpu: which features new vCPUs get, or NULL for all that this host can give
 * @vcpu_state: records of arch_vcpu_state whose CPUID the vCPUs get, one for each; NULL for a new
 *              machine
 */
int arch_vm_new(int kvm_fd, const struct layout *l, struct guest_mem *mem,
		const struct cpu_policy *cpu, void **vcpu_state, struct arch_vm **out,
		struct err *e) MUST_CHECK;
void arch_vm_free(struct arch_vm *vm);
uint32_t arch_vcpu_count(const struct arch_vm *vm);
struct arch_vcpu *arch_vcpu_at(struct arch_vm *vm, uint32_t i);

/* --- booting ------------------------------------------------------------------------------ */

struct arch_image; /* what is booted: a kernel or firmware that was looked at */

/** arch_kernel_open() - @kernel, @initrd (may be NULL) and @cmdline are borrowed and outlive the
 * result, which is freed by arch_image_free(). Trust: both files are hostile. */
int arch_kernel_open(const struct io_src *kernel, const struct io_src *initrd,
		     const char *cmdline, struct arch_image **out, struct err *e) MUST_CHECK;
/** arch_firmware_open() - likewise, for what starts at the reset vector. */
int arch_firmware_open(const struct io_src *firmware, struct arch_image **out,
		       struct err *e) MUST_CHECK;
void arch_image_free(struct arch_image *image);

/** arch_image_params() - sets kernel_bytes and initrd_bytes, as @def places the kernel, or
 * firmware_bytes. */
int arch_image_params(const struct arch_image *image, const struct layout_def *def,
		      struct layout_params *p, struct err *e) MUST_CHECK;

/** arch_boot() - put kernel, boot structures and tables in memory, and vCPU 0 at the entry; or the
 * firmware, and the vCPUs stay as they are. Order: vCPUs are new, or loaded as they were then. */
int arch_boot(struct arch_vm *vm, const struct arch_image *image, const struct machine *m,
	      struct err *e) MUST_CHECK;

/* --- running ------------------------------------------------------------------------------ */

/* Where accesses of the guest go. Called in the vCPU's thread. */
struct arch_io {
	uint64_t (*read)(struct arch_io *io, bool port, uint64_t addr, unsigned len);
	void (*write)(struct arch_io *io, bool port, uint64_t addr, unsigned len, uint64_t v);
};

enum arch_stop {
	ARCH_INTERRUPTED, /* by arch_vcpu_interrupt(); what was in flight has been completed */
	ARCH_SHUTDOWN,	  /* triple fault */
};

/** arch_vcpu_run() - until something happens that is not I/O. Returns an enum arch_stop, or a
 * negative code when KVM cannot go on. */
int arch_vcpu_run(struct arch_vcpu *c, struct arch_io *io, struct err *e) MUST_CHECK;
/** arch_vcpu_interrupt() - any thread: makes arch_vcpu_run() return. The caller sends a signal to the
 * vCPU's thread afterwards; @on false withdraws it, in the vCPU's thread. */
void arch_vcpu_interrupt(struct arch_vcpu *c, bool on);

/* --- interrupts --------------------------------------------------------------------------- */

int arch_line(struct arch_vm *vm, uint32_t line, bool high);
/** arch_msi_new() - number of a new vector with an irqfd of its own, or -ERR_LIMIT, -ERR_KVM. */
int arch_msi_new(struct arch_vm *vm, struct err *e) MUST_CHECK;
int arch_msi_set(struct arch_vm *vm, int msi, uint64_t address, uint32_t data,
		 struct err *e) MUST_CHECK;
void arch_msi_off(struct arch_vm *vm, int msi);
void arch_msi_raise(struct arch_vm *vm, int msi);
/** arch_msi_settle() - every message raised so far has reached its vCPU's state. */
int arch_msi_settle(struct arch_vm *vm, struct err *e) MUST_CHECK;
int arch_doorbell(struct arch_vm *vm, bool on, struct gpa at, uint16_t value, int fd,
		  struct err *e) MUST_CHECK;

/* --- saving and restoring ----------------------------------------------------------------- */

/** arch_clock_save() - first of all saving, with every vCPU stopped. */
int arch_clock_save(struct arch_vm *vm, struct clock *out, struct err *e) MUST_CHECK;
int arch_vcpu_save(struct arch_vcpu *c, void *out, struct err *e) MUST_CHECK;
int arch_irqchip_save(struct arch_vm *vm, void *out, struct err *e) MUST_CHECK;

/** arch_vcpu_check(), arch_irqchip_check() - pure. Trust: values have the right types, nothing more. */
int arch_vcpu_check(const void *st, struct err *e) MUST_CHECK;
int arch_irqchip_check(const void *st, struct err *e) MUST_CHECK;

/**
 * arch_load() - everything KVM holds, in the order it wants it
 * @vcpu_state, @irqchip_state: checked
 * @clock: time at the pause
 * @elapsed_ns: how far guest time advances over what @clock says
 */
int arch_load(struct arch_vm *vm, void *const *vcpu_state, const void *irqchip_state,
	      const struct clock *clock, uint64_t elapsed_ns, struct err *e) MUST_CHECK;

/** arch_resuming() - tells guests with a paravirtual clock that they were stopped. */
void arch_resuming(struct arch_vm *vm);

#endif
