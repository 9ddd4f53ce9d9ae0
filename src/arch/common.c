/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common.h"

#include "layout/compat.h"
#include "layout/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

int kvm_do_(int fd, unsigned long request, void *arg, const char *what, struct err *e)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(e, ERR_KVM, errno, "%s", what);
	return r;
}

static int set_slots(int vm_fd, const struct guest_mem *mem, uint32_t flags, struct err *e)
{
	for (uint32_t i = 0; i < mem->slot_n; i++) {
		const struct mem_slot *s = &mem->slot[i];
		struct kvm_userspace_memory_region region = {
		    .slot = i,
		    .flags = flags,
		    .guest_phys_addr = s->start.v,
		    .memory_size = s->size,
		    .userspace_addr = (uintptr_t)mem->host + s->offset,
		};
		int r = kvm_do(vm_fd, KVM_SET_USER_MEMORY_REGION, &region, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int kvm_slots_(int vm_fd, const struct guest_mem *mem, struct err *e)
{
	return set_slots(vm_fd, mem, 0, e);
}

int kvm_log_writes_(int vm_fd, const struct guest_mem *mem, bool on, struct err *e)
{
	return set_slots(vm_fd, mem, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, e);
}

int kvm_collect_writes_(int vm_fd, const struct guest_mem *mem, uint64_t *pages, struct err *e)
{
	uint64_t *words = malloc(mem_track_words(mem->size) * sizeof *words);
	int r = words ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (uint32_t i = 0; r >= 0 && i < mem->slot_n; i++) {
		const struct mem_slot *s = &mem->slot[i];
		struct kvm_dirty_log log = {.slot = i, .dirty_bitmap = words};
		r = kvm_do(vm_fd, KVM_GET_DIRTY_LOG, &log, e);
		if (r >= 0)
			mem_add_pages(pages, s->offset, words, mem_track_words(s->size));
	}
	free(words);
	return r < 0 ? r : 0;
}

struct kvm_run *kvm_run_map_(int kvm_fd, int vcpu_fd, uint32_t id, size_t *bytes, struct err *e)
{
	int size = kvm_do(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0, e);

	if (size < 0)
		return NULL;
	void *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (run == MAP_FAILED) {
		err_sys(e, ERR_KVM, errno, "cannot map vCPU %u", id);
		return NULL;
	}
	*bytes = (size_t)size;
	return run;
}

int kvm_enter_(int vcpu_fd, struct kvm_run *run, uint32_t id, struct err *e)
{
	while (ioctl(vcpu_fd, KVM_RUN, 0) < 0) {
		if (errno == EINTR && run->immediate_exit)
			return ARCH_INTERRUPTED;
		if (errno != EINTR && errno != EAGAIN)
			return err_sys(e, ERR_KVM, errno, "vCPU %u: KVM_RUN", id);
	}
	return 1;
}

void kvm_memory_io_(struct kvm_run *run, struct arch_io *io)
{
	uint64_t addr = run->mmio.phys_addr, v = 0;
	unsigned len = run->mmio.len;

	if (run->mmio.is_write) {
		memcpy(&v, run->mmio.data, len);
		io->write(io, false, addr, len, v);
	} else {
		v = io->read(io, false, addr, len);
		memcpy(run->mmio.data, &v, len);
	}
}

int kvm_exit_error_(const struct kvm_run *run, uint32_t vcpu, struct err *e)
{
	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return err_set(e, ERR_KVM, "vCPU %u: KVM cannot go on (suberror %u)", vcpu,
			       run->internal.suberror);
	case KVM_EXIT_FAIL_ENTRY:
		return err_set(e, ERR_KVM, "vCPU %u: hardware refused to enter (0x%llx)", vcpu,
			       run->fail_entry.hardware_entry_failure_reason);
	default:
		return err_set(e, ERR_KVM, "vCPU %u: unexpected exit %u", vcpu, run->exit_reason);
	}
}

int kvm_open_(int (*cap_number)(const char *name), int *kvm_fd, struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, ERR_KVM, errno, "cannot open /dev/kvm%s",
			       errno == ENOENT	 ? " (is KVM's module loaded?)"
			       : errno == EACCES ? " (is this user in the group kvm?)"
						 : "");
	int version = ioctl(fd, KVM_GET_API_VERSION, 0), r = 0;
	if (version < 0)
		r = err_sys(e, ERR_KVM, errno, "/dev/kvm is no KVM device");
	else if (version != KVM_API_VERSION)
		r = err_set(e, ERR_KVM, "/dev/kvm has API version %d, %d is needed", version,
			    KVM_API_VERSION);
	const char *name;
	for (size_t i = 0; !r && (name = compat_needed_cap(arch_name, i)); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, cap_number(name)) <= 0)
			r = err_set(e, ERR_KVM, "this KVM lacks %s", name);
	if (r) {
		close(fd);
		return r;
	}
	*kvm_fd = fd;
	return 0;
}

static bool has_userfaultfd(void)
{
	struct uffd u;
	bool has = !uffd_open(&u, NULL, NULL);

	uffd_close(&u);
	return has;
}

void kvm_host_(struct host *out)
{
	struct utsname u;

	strcpy(out->arch, arch_name);
	uname(&u);
	snprintf(out->kernel, sizeof out->kernel, "%s", u.release);
	out->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	out->userfaultfd = has_userfaultfd();
}
