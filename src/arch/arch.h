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

/* "x86_64" or "aarch64": what definitions of layouts and host profiles begin with. */
extern const char *const arch_name;

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

/**
 * struct arch_files - what a machine starts from; everything borrowed. Trust: files are hostile
 * @kernel: with @cmdline and perhaps @initrd; else @firmware: what starts at the reset vector, or a
 *          bootloader on aarch64
 * @pvm_firmware: runs before either, to protect the guest from its host; aarch64 only
 */
struct arch_files {
	const struct io_src *kernel, *initrd;
	const char *cmdline; /* NULL: empty */
	const struct io_src *firmware, *pvm_firmware;
};

/**
 * arch_image_open() - look at what is to be booted
 * @files: what it points to outlives the result, which is freed by arch_image_free()
 * @culprit: on failure, which of the files @e is about
 */
int arch_image_open(const struct arch_files *files, struct arch_image **out,
		    const struct io_src **culprit, struct err *e) MUST_CHECK;
void arch_image_free(struct arch_image *image);

/** arch_image_params() - sets the sizes of kernel, initrd and firmware, as @def places them. */
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
	ARCH_RESET,	  /* asked for by the guest */
	ARCH_TRIPLE_FAULT,
	ARCH_POWER_OFF,
};

/** arch_vcpu_run() - until something happens that is not I/O. Returns an enum arch_stop, or a
 * negative code when KVM cannot go on. */
int arch_vcpu_run(struct arch_vcpu *c, struct arch_io *io, struct err *e) MUST_CHECK;
/** arch_vcpu_interrupt() - any thread: makes arch_vcpu_run() return. The caller sends a signal to the
 * vCPU's thread afterwards; @on false withdraws it, in the vCPU's thread. */
void arch_vcpu_interrupt(struct arch_vcpu *c, bool on);

/* --- interrupts --------------------------------------------------------------------------- */

int arch_line(struct arch_vm *vm, uint32_t line, bool high);
/** arch_ppi() - likewise a private interrupt of one vCPU; x86-64 has none: -ERR_KVM. */
int arch_ppi(struct arch_vm *vm, uint32_t vcpu, uint32_t ppi, bool high);
/** arch_msi_new() - number of a new vector with an irqfd of its own, or -ERR_LIMIT, -ERR_KVM.
 * @requester: PCI bus, device and function that sends it */
int arch_msi_new(struct arch_vm *vm, uint16_t requester, struct err *e) MUST_CHECK;
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

/** arch_log_writes() - have KVM log what the guest writes to, from now on or no more. */
int arch_log_writes(struct arch_vm *vm, bool on, struct err *e) MUST_CHECK;
/** arch_collect_writes() - what was logged since it was last collected is added to @pages, of all
 * memory. On failure some of it may have been. */
int arch_collect_writes(struct arch_vm *vm, uint64_t *pages, struct err *e) MUST_CHECK;

/** arch_vcpu_keep() - what the processor is, and no reset changes, becomes in @st as in @of. */
void arch_vcpu_keep(void *st, const void *of);

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
