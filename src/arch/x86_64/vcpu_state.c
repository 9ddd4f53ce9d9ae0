/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a vCPU, from and to KVM. */
#include "arch/x86_64/kvm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Registers of one name on both sides. */
#define EACH_REG(X)                                                                                \
	X(rax) X(rbx) X(rcx) X(rdx) X(rsi) X(rdi) X(rsp) X(rbp) X(r8) X(r9) X(r10) X(r11) X(r12)   \
	X(r13) X(r14) X(r15) X(rip) X(rflags)
#define EACH_SEGMENT(X) X(cs) X(ds) X(es) X(fs) X(gs) X(ss) X(tr) X(ldt)
#define EACH_SEGMENT_FIELD(X)                                                                      \
	X(selector) X(base) X(limit) X(type) X(s) X(dpl) X(present) X(avl) X(l) X(db) X(g)         \
	X(unusable)
#define EACH_CONTROL(X) X(cr0) X(cr2) X(cr3) X(cr4) X(cr8) X(efer) X(apic_base)
/* Ours, KVM's, in struct kvm_vcpu_events. */
#define EACH_EVENT(X)                                                                              \
	X(exception_injected, exception.injected) X(exception_pending, exception.pending)          \
	X(exception_nr, exception.nr) X(exception_has_error_code, exception.has_error_code)        \
	X(exception_error_code, exception.error_code)                                              \
	X(exception_has_payload, exception_has_payload) X(exception_payload, exception_payload)    \
	X(interrupt_injected, interrupt.injected) X(interrupt_nr, interrupt.nr)                    \
	X(interrupt_soft, interrupt.soft) X(interrupt_shadow, interrupt.shadow)                    \
	X(nmi_injected, nmi.injected) X(nmi_pending, nmi.pending) X(nmi_masked, nmi.masked)        \
	X(sipi_vector, sipi_vector) X(smm, smi.smm) X(smi_pending, smi.pending)                    \
	X(smm_inside_nmi, smi.smm_inside_nmi) X(smi_latched_init, smi.latched_init)                \
	X(triple_fault_pending, triple_fault.pending)

static void segment_from(struct x86_segment *out, const struct kvm_segment *k)
{
#define X(f) out->f = k->f;
	EACH_SEGMENT_FIELD(X)
#undef X
}

static struct kvm_segment segment_to(const struct x86_segment *s)
{
	struct kvm_segment k = {0};
#define X(f) k.f = s->f;
	EACH_SEGMENT_FIELD(X)
#undef X
	return k;
}

static int save_regs(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int r = kvm_do(c->fd, KVM_GET_REGS, &regs, e);

	if (r >= 0)
		r = kvm_do(c->fd, KVM_GET_SREGS, &sregs, e);
	if (r < 0)
		return r;
#define X(f) out->f = regs.f;
	EACH_REG(X)
#undef X
#define X(f) segment_from(&out->f, &sregs.f);
	EACH_SEGMENT(X)
#undef X
#define X(f) out->f = sregs.f;
	EACH_CONTROL(X)
#undef X
	out->gdt = (struct x86_table){sregs.gdt.base, sregs.gdt.limit};
	out->idt = (struct x86_table){sregs.idt.base, sregs.idt.limit};
	memcpy(out->interrupt_bitmap, sregs.interrupt_bitmap, sizeof out->interrupt_bitmap);

	struct kvm_sregs2 sregs2;
	if (ioctl(c->vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SREGS2) > 0) {
		r = kvm_do(c->fd, KVM_GET_SREGS2, &sregs2, e);
		if (r < 0)
			return r;
		out->pdptrs_valid = sregs2.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
		memcpy(out->pdptr, sregs2.pdptrs, sizeof out->pdptr);
	}
	return 0;
}

static int load_regs(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e)
{
	struct kvm_regs regs = {0};
	struct kvm_sregs sregs = {0};
	struct kvm_sregs2 sregs2 = {0};
#define X(f) regs.f = st->f;
	EACH_REG(X)
#undef X
#define X(f) sregs.f = sregs2.f = segment_to(&st->f);
	EACH_SEGMENT(X)
#undef X
#define X(f) sregs.f = sregs2.f = st->f;
	EACH_CONTROL(X)
#undef X
	sregs.gdt = (struct kvm_dtable){.base = st->gdt.base, .limit = st->gdt.limit};
	sregs.idt = (struct kvm_dtable){.base = st->idt.base, .limit = st->idt.limit};
	memcpy(sregs.interrupt_bitmap, st->interrupt_bitmap, sizeof sregs.interrupt_bitmap);
	int r = kvm_do(c->fd, KVM_SET_SREGS, &sregs, e);
	if (r >= 0 && st->pdptrs_valid) {
		sregs2.gdt = sregs.gdt;
		sregs2.idt = sregs.idt;
		sregs2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		memcpy(sregs2.pdptrs, st->pdptr, sizeof sregs2.pdptrs);
		r = kvm_do(c->fd, KVM_SET_SREGS2, &sregs2, e);
	}
	if (r >= 0)
		r = kvm_do(c->fd, KVM_SET_REGS, &regs, e);
	return r < 0 ? r : 0;
}

static size_t xsave_bytes(const struct arch_vm *vm)
{
	int n = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	return n > (int)sizeof(struct kvm_xsave) ? (size_t)n : sizeof(struct kvm_xsave);
}

static int save_fpu(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e)
{
	size_t n = xsave_bytes(c->vm);
	struct kvm_xcrs xcrs;

	if (n > sizeof out->xsave)
		return err_set(e, ERR_LIMIT, "XSAVE area of %zu bytes", n);
	bool two = n > sizeof(struct kvm_xsave);
	int r = two ? kvm_do(c->fd, KVM_GET_XSAVE2, out->xsave, e)
		    : kvm_do(c->fd, KVM_GET_XSAVE, out->xsave, e);
	out->xsave_len = (uint32_t)n;
	if (r >= 0)
		r = kvm_do(c->fd, KVM_GET_XCRS, &xcrs, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < xcrs.nr_xcrs; i++)
		if (xcrs.xcrs[i].xcr == 0)
			out->xcr0 = xcrs.xcrs[i].value;
	return 0;
}

static int load_fpu(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = st->xcr0}};
	size_t n = xsave_bytes(c->vm);
	int r = kvm_do(c->fd, KVM_SET_XCRS, &xcrs, e);

	if (r < 0)
		return r;
	/* KVM reads as much as this host's area holds, whatever was saved. */
	uint8_t *area = calloc(1, n > sizeof st->xsave ? n : sizeof st->xsave);
	if (!area)
		return err_set(e, ERR_NOMEM, "out of memory");
	memcpy(area, st->xsave, st->xsave_len);
	r = kvm_do(c->fd, KVM_SET_XSAVE, area, e);
	free(area);
	return r < 0 ? r : 0;
}

static int save_events(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e)
{
	struct kvm_vcpu_events ev;
	struct kvm_debugregs dr;
	struct kvm_mp_state mp;
	int r = kvm_do(c->fd, KVM_GET_VCPU_EVENTS, &ev, e);

	if (r >= 0)
		r = kvm_do(c->fd, KVM_GET_DEBUGREGS, &dr, e);
	if (r >= 0)
		r = kvm_do(c->fd, KVM_GET_MP_STATE, &mp, e);
	if (r < 0)
		return r;
#define X(ours, theirs) out->ours = ev.theirs;
	EACH_EVENT(X)
#undef X
	memcpy(out->dr, dr.db, sizeof out->dr);
	out->dr6 = dr.dr6;
	out->dr7 = dr.dr7;
	out->mp_state = (uint8_t)mp.mp_state;
	return 0;
}

static int load_events(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e)
{
	struct kvm_vcpu_events ev = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM,
	};
#define X(ours, theirs) ev.theirs = st->ours;
	EACH_EVENT(X)
#undef X
	int kvm = c->vm->kvm_fd;
	struct kvm_enable_cap cap = {.args = {1}};
	if (st->exception_has_payload &&
	    ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_EXCEPTION_PAYLOAD) > 0) {
		cap.cap = KVM_CAP_EXCEPTION_PAYLOAD;
		ev.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
		kvm_do(c->vm->fd, KVM_ENABLE_CAP, &cap, NULL);
	}
	if (st->triple_fault_pending &&
	    ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_TRIPLE_FAULT_EVENT) > 0) {
		cap.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT;
		ev.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		kvm_do(c->vm->fd, KVM_ENABLE_CAP, &cap, NULL);
	}
	int r = kvm_do(c->fd, KVM_SET_VCPU_EVENTS, &ev, e);
	return r < 0 ? r : 0;
}

static int load_debug(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e)
{
	struct kvm_debugregs dr = {.dr6 = st->dr6, .dr7 = st->dr7};

	memcpy(dr.db, st->dr, sizeof dr.db);
	int r = kvm_do(c->fd, KVM_SET_DEBUGREGS, &dr, e);
	return r < 0 ? r : 0;
}

static int save_lapic(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e)
{
	struct kvm_lapic_state lapic;
	int r = kvm_do(c->fd, KVM_GET_LAPIC, &lapic, e);

	for (int i = 0; r >= 0 && i < X86_LAPIC_REGS; i++)
		out->lapic[i] = num_le32(lapic.regs + 16 * i);
	return r < 0 ? r : 0;
}

static int load_lapic(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e)
{
	struct kvm_lapic_state lapic = {0};

	for (int i = 0; i < X86_LAPIC_REGS; i++)
		num_put_le32(lapic.regs + 16 * i, st->lapic[i]);
	int r = kvm_do(c->fd, KVM_SET_LAPIC, &lapic, e);
	return r < 0 ? r : 0;
}

/* MP state first: reading it makes KVM act on a pending INIT or SIPI (api.rst, 4.38). */
int arch_vcpu_save(struct arch_vcpu *c, void *st, struct err *e)
{
	struct x86_vcpu *out = st;

	state_defaults(&x86_vcpu_desc, out);
	int r = save_events(c, out, e);
	if (!r)
		r = save_regs(c, out, e);
	if (!r)
		r = save_fpu(c, out, e);
	if (!r)
		r = save_lapic(c, out, e);
	if (!r)
		r = msr_save_(c, out, e);
	if (!r)
		r = tsc_save_(c, out, e);
	memcpy(out->cpuid, c->cpuid, c->cpuid_n * sizeof c->cpuid[0]);
	out->cpuid_n = c->cpuid_n;
	if (r)
		err_where(e, "vcpu%u", c->id);
	return r;
}

/* Registers that tell what the processor can do (SDM 4, 2.1). Once it has run KVM takes no other
 * values for them. */
static bool tells_of_processor(uint32_t msr)
{
	return msr == 0x8b /* microcode */ || msr == 0xce /* PLATFORM_INFO */ ||
	       msr == 0x10a /* ARCH_CAPABILITIES */ || msr == 0x345 /* PERF_CAPABILITIES */ ||
	       (msr >= 0x480 && msr <= 0x491) /* VMX */;
}

void arch_vcpu_keep(void *st, const void *of)
{
	const struct x86_vcpu *from = of;
	struct x86_vcpu *to = st;

	to->tsc_khz = from->tsc_khz;
	for (uint32_t i = 0; i < to->msr_n; i++)
		for (uint32_t k = 0; tells_of_processor(to->msr[i].index) && k < from->msr_n; k++)
			if (from->msr[k].index == to->msr[i].index)
				to->msr[i].value = from->msr[k].value;
}

/* Everything but what depends on the TSC: tsc_load_() and msr_load_() come after all vCPUs. */
int vcpu_load_(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e)
{
	struct kvm_mp_state mp = {.mp_state = st->mp_state};
	int r = kvm_do(c->fd, KVM_SET_MP_STATE, &mp, e);

	if (r >= 0)
		r = load_regs(c, st, e);
	if (r >= 0)
		r = load_fpu(c, st, e);
	if (r >= 0)
		r = load_debug(c, st, e);
	if (r >= 0)
		r = load_lapic(c, st, e);
	return r < 0 ? r : 0;
}

int arch_vcpu_check(const void *state, struct err *e)
{
	const struct x86_vcpu *st = state;

	/* KVM_MP_STATE_*: those that x86 has. */
	if (st->mp_state > KVM_MP_STATE_SIPI_RECEIVED)
		return err_set(e, ERR_RANGE, "mp_state: %u", st->mp_state);
	if (st->xsave_len < 512 + 64) /* legacy region and header: SDM 1, 13.4 */
		return err_set(e, ERR_RANGE, "xsave: %u bytes", st->xsave_len);
	if (!st->tsc_khz || !st->cpuid_n)
		return err_set(e, ERR_RANGE, "no TSC frequency or CPUID");
	return 0;
}

int arch_load(struct arch_vm *vm, void *const *vcpu_state, const void *irqchip_state,
	      const struct clock *clock, uint64_t elapsed_ns, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < vm->vcpu_n; i++)
		r = vcpu_load_(&vm->vcpu[i], vcpu_state[i], e);
	if (!r)
		r = irqchip_load_(vm, irqchip_state, e);
	if (!r)
		r = tsc_load_(vm, vcpu_state, elapsed_ns, e);
	for (uint32_t i = 0; !r && i < vm->vcpu_n; i++) {
		r = msr_load_(&vm->vcpu[i], vcpu_state[i], e);
		/* Last: what came before can queue or clear events. */
		if (!r)
			r = load_events(&vm->vcpu[i], vcpu_state[i], e);
		if (r)
			err_where(e, "vcpu%u", i);
	}
	if (!r)
		r = clock_load_(vm, clock, elapsed_ns, e);
	return r;
}
