/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine, put together: layout, memory, vCPUs, devices, and what is done with all of
 * them at once.
 *
 * Prefix: vm_. Threads: the event loop's, unless it says otherwise.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "arch/arch.h"
#include "base/loop.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/disk.h"
#include "state/snapshot.h"
#include "vmm/console.h"
#include "vmm/guard.h"
#include "vmm/image.h"
#include "vmm/lazy.h"
#include "vmm/track.h"
#include "vmm/vcpus.h"

/* What stands behind a device on this host. All owned by whoever set it up, and outlives the VM. */
struct vm_backend {
	char id[DEVICE_ID_MAX + 1]; /* of the device in the machine description */
	struct disk *disk;
	bool new_overlay; /* the disk's topmost image was made for this VM */
	struct console *console;
	int tap_fd;
};

#define VM_BACKENDS_MAX MACHINE_DEVICES_MAX

/* Interrupt lines that several devices share: high while one of them drives it high. */
#define VM_LINES 256
struct vm_irq {
	struct irq_host host; /* first: devices hand it back */
	struct vm *vm;
	pthread_mutex_t lock;
	uint64_t sources[VM_LINES]; /* a bit for each device that drives the line high */
};

enum vm_end { VM_ENDS_NOT, VM_ENDED_BY_GUEST, VM_ENDED_BY_USER, VM_ENDED_BY_FAILURE };

struct vm {
	char name[MACHINE_NAME_MAX + 1];
	char host_name[64 + 1]; /* asked for before the sandbox is entered */
	struct host *host;	/* owned */
	struct loop *loop;
	int kvm_fd;
	struct layout layout;
	struct machine machine;
	struct guest_mem mem;
	struct uffd uffd; /* for live snapshots: a sandboxed process cannot open one. fd -1: no_uffd */
	struct err no_uffd;
	const char *mapped_file; /* that mem is a private mapping of; NULL: of no file */
	struct track track;
	struct lazy *lazy; /* owned; what fills mem while the guest runs. NULL: all is there */
	struct guard *guard; /* owned; beside lazy: what waits for memory may wait for ever */
	struct arch_vm *arch;
	struct arch_io io;
	struct bus memory, ports;
	struct vm_irq irq;
	struct guest_clock clock;
	struct pci_host *pci;
	struct vm_backend backend[VM_BACKENDS_MAX];
	uint32_t backend_n;
	struct device *device[MACHINE_DEVICES_MAX]; /* in the order of the machine description */
	uint32_t device_n;
	struct vcpus vcpus;
	bool vcpus_started;

	/* For a reset: what to start from, and everything as after power-on. */
	struct image *image;
	struct vm_state *power_on;

	/* What vCPU threads and devices report, and the eventfd that tells the loop. */
	struct device_events events;
	int event_fd;
	_Atomic uint64_t event; /* what, and in the upper half its value */
	struct err failure;
	pthread_mutex_t failure_lock;

	bool held;   /* stopped for whatever reason */
	bool paused; /* by the user */
	enum vm_end end;
	/* What a guest wrote to the debug-exit port; the status is as its own hardware would report
	 * it. */
	uint32_t exit_value;
	bool has_exit_value;
	bool cut_off; /* ended without waiting for threads that may wait for memory for ever */
	/* Called when held, paused or lazy changed, or the VM has ended. */
	void (*changed)(void *arg);
	void *changed_arg;
};

/* Everything that is not a device: what KVM holds. */
struct vm_state {
	struct clock clock;
	uint32_t vcpu_n;
	void *vcpu[ARCH_VCPUS_MAX]; /* records of arch_vcpu_state, owned */
	void *irqchip;		    /* of arch_irqchip_state, owned */
};

int vm_state_new(uint32_t vcpus, struct vm_state **out, struct err *e) MUST_CHECK;
void vm_state_free(struct vm_state *s);

struct vm_setup {
	const char *name;
	struct loop *loop;
	int kvm_fd;
	const struct host *host; /* what arch_host() said: it goes into snapshots */
	const struct layout *layout;
	const struct machine *machine;
	const struct vm_backend *backend;
	uint32_t backend_n;
	const struct cpu_policy *cpu; /* of a new machine; NULL: all that the host can give */
	bool hugepages;	   /* guest memory in huge pages of the host */
	/* Memory is a private mapping of a file, which is not empty then: of this snapshot's, or of
	 * memory after mem_share(). NULL: neither. */
	const struct snap *mapped;
	const struct guest_mem *shared;
	const char *file;  /* with @mapped: its name, for errors; outlives the VM */
	void **vcpu_state; /* saved ones, for their CPUID; NULL for a new machine */
};

/** vm_new() - memory, vCPUs and devices; nothing runs. Everything in @s but backends is copied. */
int vm_new(const struct vm_setup *s, struct vm **out, struct err *e) MUST_CHECK;
void vm_free(struct vm *vm);

/** vm_boot() - to the first instruction of @image, which is kept for resets and outlives the VM. */
int vm_boot(struct vm *vm, struct image *image, struct err *e) MUST_CHECK;

/** vm_boots_from() - the same of a machine that goes on from @saved, which was checked and will be
 * applied: should it start again, then from @image, as far as that is there. */
int vm_boots_from(struct vm *vm, struct image *image, const struct vm_state *saved,
		  struct err *e) MUST_CHECK;

/** vm_start() - make the vCPUs' threads; nothing runs before vm_go(). */
int vm_start(struct vm *vm, struct err *e) MUST_CHECK;

/** vm_load_lazily() - memory comes from @snap, taken over on success, from now on.
 * @file: its name, for errors; outlives the VM
 * @workset_fd: taken over on success; -1: none. Order: before anything uses memory. */
int vm_load_lazily(struct vm *vm, struct snap *snap, const char *file, unsigned threads,
		   int workset_fd, struct err *e) MUST_CHECK;

/** vm_hold() - stop vCPUs, then devices: afterwards nothing changes any more. vm_go() undoes it. */
void vm_hold(struct vm *vm);
void vm_go(struct vm *vm);
/** vm_hold_settled() - vm_hold(), and what the guest asked for until then has happened: a reset; or
 * the end, which is -ERR_WRONG_STATE. Its state does not say that it has asked. */
int vm_hold_settled(struct vm *vm, struct err *e) MUST_CHECK;

/** vm_pause(), vm_resume() - by the user's wish. -ERR_WRONG_STATE when it is so already. */
int vm_pause(struct vm *vm, struct err *e) MUST_CHECK;
int vm_resume(struct vm *vm, struct err *e) MUST_CHECK;

/** vm_power_button() - ask the guest to shut down. -ERR_WRONG_STATE on a machine without one. */
int vm_power_button(struct vm *vm, struct err *e) MUST_CHECK;
/** vm_new_generation() - tell the guest of a restored machine that it is a copy, if the machine has a
 * generation identifier. With everything applied, and held. */
int vm_new_generation(struct vm *vm, struct err *e) MUST_CHECK;
/** vm_end() - stop for good and leave the loop. While memory is still coming the process ends
 * within seconds, whatever its threads are waiting for. */
void vm_end(struct vm *vm, enum vm_end how);
/** vm_exit_status() - of the process, once the VM has ended. */
int vm_exit_status(const struct vm *vm);

/** vm_capture() - state of vCPUs and interrupt controllers, and every device's st brought up to
 * date. The VM is held. */
int vm_capture(struct vm *vm, struct vm_state *out, struct err *e) MUST_CHECK;

/**
 * vm_check() - would these records do for this machine? Pure.
 * @device_state: for each device of the machine description its record
 */
int vm_check(const struct vm *vm, const struct vm_state *state, const void *const *device_state,
	     struct err *e) MUST_CHECK;

/** vm_apply() - the opposite of vm_capture(): records that were checked, with memory loaded. */
int vm_apply(struct vm *vm, const struct vm_state *state, const void *const *device_state,
	     uint64_t elapsed_ns, struct err *e) MUST_CHECK;

/** vm_device() - the first of a type; NULL for none. */
struct device *vm_device(const struct vm *vm, const char *type);

/* Private to src/vmm/: what KVM holds, without devices. */
int vm_capture_cpus_(struct vm *vm, struct vm_state *out, struct err *e) MUST_CHECK;

/* Private to src/vmm/: vm_devices.c makes the devices of the machine description. */
int vm_add_devices_(struct vm *vm, struct err *e);
/* Private to src/vmm/: start again. @why: as in "… asked for a reset". It is held afterwards. */
int vm_reset_(struct vm *vm, const char *why, struct err *e) MUST_CHECK;
void vm_irq_init_(struct vm *vm);

const struct vm_backend *vm_backend(const struct vm *vm, const char *id);

#endif
