/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/kvm.h"
#include "state/x86_irqchip.h"

#include <string.h>

const struct state_desc *const arch_irqchip_state = &x86_irqchip_desc;

_Static_assert(KVM_IOAPIC_NUM_PINS == X86_IOAPIC_PINS, "pins of the I/O APIC");

#define PIT_MODE_UNSET 0xff /* KVM, before the guest has written a mode */

/* Ours, KVM's. */
#define EACH_PIC_FIELD(X)                                                                          \
	X(last_irr, last_irr) X(irr, irr) X(imr, imr) X(isr, isr) X(priority_add, priority_add)    \
	X(irq_base, irq_base) X(read_isr, read_reg_select) X(poll, poll)                           \
	X(special_mask, special_mask) X(init_state, init_state) X(auto_eoi, auto_eoi)              \
	X(rotate_on_auto_eoi, rotate_on_auto_eoi)                                                  \
	X(special_fully_nested, special_fully_nested_mode) X(init4, init4) X(elcr, elcr)           \
	X(elcr_mask, elcr_mask)
#define EACH_PIT_FIELD(X)                                                                          \
	X(count) X(latched_count) X(count_latched) X(status_latched) X(status) X(read_state)       \
	X(write_state) X(write_latch) X(rw_mode) X(mode) X(bcd) X(gate)

static int save_pic(struct arch_vm *vm, uint32_t id, struct x86_pic *out, struct err *e)
{
	struct kvm_irqchip chip = {.chip_id = id};
	int r = kvm_do(vm->fd, KVM_GET_IRQCHIP, &chip, e);

	if (r < 0)
		return r;
#define X(ours, theirs) out->ours = chip.chip.pic.theirs;
	EACH_PIC_FIELD(X)
#undef X
	return 0;
}

static int load_pic(struct arch_vm *vm, uint32_t id, const struct x86_pic *st, struct err *e)
{
	struct kvm_irqchip chip = {.chip_id = id};
#define X(ours, theirs) chip.chip.pic.theirs = st->ours;
	EACH_PIC_FIELD(X)
#undef X
	int r = kvm_do(vm->fd, KVM_SET_IRQCHIP, &chip, e);
	return r < 0 ? r : 0;
}

static int save_ioapic(struct arch_vm *vm, struct x86_irqchip *out, struct err *e)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};
	int r = kvm_do(vm->fd, KVM_GET_IRQCHIP, &chip, e);

	if (r < 0)
		return r;
	out->ioapic_base = chip.chip.ioapic.base_address;
	out->ioapic_select = chip.chip.ioapic.ioregsel;
	out->ioapic_id = chip.chip.ioapic.id;
	out->ioapic_irr = chip.chip.ioapic.irr;
	for (int i = 0; i < X86_IOAPIC_PINS; i++)
		out->ioapic_redirection[i] = chip.chip.ioapic.redirtbl[i].bits;
	return 0;
}

static int load_ioapic(struct arch_vm *vm, const struct x86_irqchip *st, struct err *e)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};

	chip.chip.ioapic.base_address = st->ioapic_base;
	chip.chip.ioapic.ioregsel = st->ioapic_select;
	chip.chip.ioapic.id = st->ioapic_id;
	chip.chip.ioapic.irr = st->ioapic_irr;
	for (int i = 0; i < X86_IOAPIC_PINS; i++)
		chip.chip.ioapic.redirtbl[i].bits = st->ioapic_redirection[i];
	int r = kvm_do(vm->fd, KVM_SET_IRQCHIP, &chip, e);
	return r < 0 ? r : 0;
}

static int save_pit(struct arch_vm *vm, struct x86_irqchip *out, struct err *e)
{
	struct kvm_pit_state2 pit;
	int r = kvm_do(vm->fd, KVM_GET_PIT2, &pit, e);

	if (r < 0)
		return r;
	out->pit_n = ARRAY_LEN(pit.channels);
	for (uint32_t i = 0; i < out->pit_n; i++) {
#define X(f) out->pit[i].f = pit.channels[i].f;
		EACH_PIT_FIELD(X)
#undef X
	}
	out->pit_flags = pit.flags;
	return 0;
}

static int load_pit(struct arch_vm *vm, const struct x86_irqchip *st, struct err *e)
{
	struct kvm_pit_state2 pit = {.flags = st->pit_flags};

	for (uint32_t i = 0; i < st->pit_n; i++) {
#define X(f) pit.channels[i].f = st->pit[i].f;
		EACH_PIT_FIELD(X)
#undef X
	}
	int r = kvm_do(vm->fd, KVM_SET_PIT2, &pit, e);
	return r < 0 ? r : 0;
}

int arch_irqchip_save(struct arch_vm *vm, void *st, struct err *e)
{
	struct x86_irqchip *out = st;

	state_defaults(&x86_irqchip_desc, out);
	int r = save_pic(vm, KVM_IRQCHIP_PIC_MASTER, &out->pic_master, e);
	if (!r)
		r = save_pic(vm, KVM_IRQCHIP_PIC_SLAVE, &out->pic_slave, e);
	if (!r)
		r = save_ioapic(vm, out, e);
	if (!r)
		r = save_pit(vm, out, e);
	return r;
}

int arch_irqchip_check(const void *state, struct err *e)
{
	const struct x86_irqchip *st = state;

	if (st->pit_n != 3)
		return err_set(e, ERR_RANGE, "pit: %u channels, a machine has 3", st->pit_n);
	for (uint32_t i = 0; i < st->pit_n; i++)
		if (st->pit[i].count > 65536 ||
		    (st->pit[i].mode > 5 && st->pit[i].mode != PIT_MODE_UNSET))
			return err_set(e, ERR_RANGE, "pit.%u: count %u, mode %u", i,
				       st->pit[i].count, st->pit[i].mode);
	return 0;
}

int irqchip_load_(struct arch_vm *vm, const void *state, struct err *e)
{
	const struct x86_irqchip *st = state;
	int r = load_pic(vm, KVM_IRQCHIP_PIC_MASTER, &st->pic_master, e);

	if (!r)
		r = load_pic(vm, KVM_IRQCHIP_PIC_SLAVE, &st->pic_slave, e);
	if (!r)
		r = load_ioapic(vm, st, e);
	if (!r)
		r = load_pit(vm, st, e);
	return r;
}
