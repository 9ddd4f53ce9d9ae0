/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/kvm.h"

#include <string.h>

static uint64_t get_le(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return v;
}

/* A string instruction gives several accesses at once. */
static void port_io(struct kvm_run *run, struct arch_io *io)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned len = run->io.size;

	for (uint32_t i = 0; i < run->io.count; i++, data += len) {
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			io->write(io, true, run->io.port, len, get_le(data, len));
		} else {
			uint64_t v = io->read(io, true, run->io.port, len);
			memcpy(data, &v, len);
		}
	}
}

int arch_vcpu_run(struct arch_vcpu *c, struct arch_io *io, struct err *e)
{
	struct kvm_run *run = c->run;

	for (;;) {
		int r = kvm_enter_(c->fd, run, c->id, e);
		if (r <= 0)
			return r;
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			port_io(run, io);
			break;
		case KVM_EXIT_MMIO:
			kvm_memory_io_(run, io);
			break;
		case KVM_EXIT_SHUTDOWN:
			return ARCH_TRIPLE_FAULT;
		case KVM_EXIT_INTR:
		case KVM_EXIT_IRQ_WINDOW_OPEN:
			break;
		default:
			return kvm_exit_error_(run, c->id, e);
		}
	}
}

void arch_vcpu_interrupt(struct arch_vcpu *c, bool on)
{
	__atomic_store_n(&c->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}
