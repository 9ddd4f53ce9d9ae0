/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/arch/: what KVM has on every architecture. */
#ifndef ARCH_COMMON_H
#define ARCH_COMMON_H

#include "arch/arch.h"

#include <linux/kvm.h>
#include <pthread.h>

/* ioctl() that says what was refused. Returns its value, or -ERR_KVM. */
int kvm_do_(int fd, unsigned long request, void *arg, const char *what, struct err *e);
#define kvm_do(fd, request, arg, e) kvm_do_(fd, request, (void *)(uintptr_t)(arg), #request, e)

/* A slot for each backed region. Before the irqchip: after it each costs an SRCU grace period (0.6
 * against 7.6 ms). */
int kvm_slots_(int vm_fd, const struct guest_mem *mem, struct err *e);

/* Likewise with KVM's log of writes or without it; and what it has logged, added to @pages. */
int kvm_log_writes_(int vm_fd, const struct guest_mem *mem, bool on, struct err *e);
int kvm_collect_writes_(int vm_fd, const struct guest_mem *mem, uint64_t *pages, struct err *e);

/* The page that KVM shares with its user: NULL with @e filled. */
struct kvm_run *kvm_run_map_(int kvm_fd, int vcpu_fd, uint32_t id, size_t *bytes, struct err *e);

/* KVM_RUN. With immediate_exit set it finishes the access that came before, and returns. Returns 1
 * for an exit to look at, ARCH_INTERRUPTED, which is 0, or -ERR_KVM. */
int kvm_enter_(int vcpu_fd, struct kvm_run *run, uint32_t id, struct err *e);

/* Carry out KVM_EXIT_MMIO. */
void kvm_memory_io_(struct kvm_run *run, struct arch_io *io);

/* An exit that no vCPU goes on from: -ERR_KVM with what KVM says of it. */
int kvm_exit_error_(const struct kvm_run *run, uint32_t vcpu, struct err *e);

/* /dev/kvm, with the capabilities that every machine needs. */
int kvm_open_(int (*cap_number)(const char *name), int *kvm_fd, struct err *e);

/* The parts of a host profile that have the same source everywhere. */
void kvm_host_(struct host *out);

/* --- the guest that tells how fast KVM is ---------------------------------------------------- */

enum { PROBE_COUNT = 0, PROBE_COMPLETE = 16, PROBE_BYTES = 40 };
extern const uint8_t probe_code_[PROBE_BYTES]; /* at guest physical 0 */

/* By each architecture. probe_vcpu_() returns the new vCPU's descriptor. */
int probe_vcpu_(int vm, struct err *e);
int probe_enter_(int vcpu, uint64_t pc, struct err *e);
int probe_counter_(int vcpu, uint64_t *out, struct err *e);
bool probe_left_(const struct kvm_run *run);

/* --- message-signalled interrupts through irqfds --------------------------------------------- */

#define MSI_MAX 256

struct msi {
	int fd; /* eventfd */
	bool on;
	uint16_t requester; /* bus, device and function */
	uint64_t address;
	uint32_t data;
};

struct msi_table {
	int vm_fd;
	uint32_t first_gsi;   /* of the messages; what comes before is wired */
	bool with_requesters; /* the controller asks who sends */
	pthread_mutex_t lock; /* guards what follows */
	uint32_t n;
	struct msi msi[MSI_MAX];
	struct kvm_irq_routing *routing; /* NULL: before msi_init_() */
	uint32_t wired;			 /* entries at its beginning that stay */
};

/* @wired: routes that are there besides messages. */
int msi_init_(struct msi_table *t, int vm_fd, const struct kvm_irq_routing_entry *wired,
	      uint32_t wired_n, uint32_t first_gsi, struct err *e);
void msi_fini_(struct msi_table *t);

/* By each architecture: its VM's. */
struct msi_table *arch_msi_(struct arch_vm *vm);

#endif
