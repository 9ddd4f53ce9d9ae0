/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU's registers: whatever KVM lists, in its order. */
#include "arch/aarch64/kvm.h"

#include <stdlib.h>
#include <string.h>

/* --- saving ---------------------------------------------------------------------------------- */

static int save_register(const struct arch_vcpu *c, uint64_t id, struct arm64_vcpu *out,
			 struct err *e)
{
	uint8_t value[ARM64_WIDE_BYTES] = {0};
	size_t n = arm64_reg_bytes(id);

	if (n > sizeof value)
		return err_set(e, ERR_LIMIT, "register 0x%llx has %zu bytes",
			       (unsigned long long)id, n);
	if (reg_get_(c->fd, id, value, NULL)) {
		if (out->unread_n == ARM64_UNREAD_MAX)
			return err_set(e, ERR_LIMIT, "KVM does not let registers be read");
		out->unread[out->unread_n++].id = id;
	} else if (n <= sizeof(uint64_t)) {
		if (out->reg_n == ARM64_REGS_MAX)
			return err_set(e, ERR_LIMIT, "too many registers");
		out->reg[out->reg_n++] = (struct arm64_reg){id, num_le64(value)};
	} else {
		if (out->wide_n == ARM64_WIDE_MAX)
			return err_set(e, ERR_LIMIT, "too many wide registers");
		struct arm64_wide *w = &out->wide[out->wide_n++];
		w->id = id;
		w->value_len = (uint32_t)n;
		memcpy(w->value, value, n);
	}
	return 0;
}

static int save_registers(const struct arch_vcpu *c, struct arm64_vcpu *out, struct err *e)
{
	struct reg_list *l = NULL;
	int r = reg_list_(c->fd, &l, e);

	if (r)
		return r;
	for (uint64_t i = 0; !r && i < l->n; i++)
		if (!arm64_is_time(l->id[i]))
			r = save_register(c, l->id[i], out, e);
	free(l);
	return r;
}

static int save_events(const struct arch_vcpu *c, struct arm64_vcpu *out, struct err *e)
{
	struct kvm_vcpu_events ev = {0};
	struct kvm_mp_state mp;
	int r = kvm_do(c->fd, KVM_GET_VCPU_EVENTS, &ev, e);

	if (r >= 0)
		r = kvm_do(c->fd, KVM_GET_MP_STATE, &mp, e);
	if (r < 0)
		return r;
	out->serror_pending = ev.exception.serror_pending;
	out->serror_has_esr = ev.exception.serror_has_esr;
	out->serror_esr = ev.exception.serror_esr;
	out->mp_state = (uint8_t)mp.mp_state;
	return 0;
}

/* Counters run on: what they were at the pause. */
static int save_counters(const struct arch_vcpu *c, struct arm64_vcpu *out, struct err *e)
{
	int r = reg_get_(c->fd, ARM64_TIMER_CNT, &out->counter, e);

	out->counter -= counter_now_() - c->vm->saved_counter;
	out->counter_hz = counter_hz_();
	out->has_physical_counter =
	    !reg_get_(c->fd, ARM64_PTIMER_CNT, &out->physical_counter, NULL);
	if (out->has_physical_counter)
		out->physical_counter -= counter_now_() - c->vm->saved_counter;
	return r;
}

int arch_vcpu_save(struct arch_vcpu *c, void *st, struct err *e)
{
	struct arm64_vcpu *out = st;

	state_defaults(&arm64_vcpu_desc, out);
	int r = save_events(c, out, e);
	if (!r)
		r = save_registers(c, out, e);
	if (!r)
		r = save_counters(c, out, e);
	if (r) {
		err_where(e, "vcpu%u", c->id);
		return r;
	}
	out->features = c->features;
	out->pvtime = c->pvtime;
	return 0;
}

void arch_vcpu_keep(void *st, const void *of)
{
	const struct arm64_vcpu *from = of;
	struct arm64_vcpu *to = st;

	for (uint32_t i = 0; i < to->reg_n; i++)
		for (uint32_t k = 0; arm64_tells_of_processor(to->reg[i].id) && k < from->reg_n;
		     k++)
			if (from->reg[k].id == to->reg[i].id)
				to->reg[i].value = from->reg[k].value;
}

/* --- loading --------------------------------------------------------------------------------- */

static int load_wide(struct arch_vcpu *c, const struct arm64_wide *w, struct err *e)
{
	uint8_t now[ARM64_WIDE_BYTES];

	/* Lengths were set when the vCPU was made. */
	if (w->id == ARM64_SVE_LENGTHS || reg_get_(c->fd, w->id, now, NULL))
		return 0;
	return reg_set_(c->fd, w->id, w->value, e);
}

static int load_events(struct arch_vcpu *c, const struct arm64_vcpu *st, struct err *e)
{
	struct kvm_vcpu_events ev = {0};
	struct kvm_mp_state mp = {.mp_state = st->mp_state};

	ev.exception.serror_pending = st->serror_pending;
	ev.exception.serror_has_esr = st->serror_has_esr;
	ev.exception.serror_esr = st->serror_esr;
	int r = kvm_do(c->fd, KVM_SET_VCPU_EVENTS, &ev, e);
	if (r >= 0)
		r = kvm_do(c->fd, KVM_SET_MP_STATE, &mp, e);
	return r < 0 ? r : 0;
}

/* Everything but the counter. A register that this KVM does not have had no other value than after
 * reset where it was saved: rule C014 of layout/rules.h saw to that. */
int vcpu_load_(struct arch_vcpu *c, const struct arm64_vcpu *st, struct err *e)
{
	int r = vcpu_init_(c->fd, c->vm->target, c->features, NULL, e);

	for (uint32_t i = 0; !r && i < st->reg_n; i++)
		r = reg_tell_(c->fd, c->features, &st->reg[i], e);
	for (uint32_t i = 0; !r && i < st->wide_n; i++)
		r = load_wide(c, &st->wide[i], e);
	return r ? r : load_events(c, st, e);
}

static bool mp_state_known(uint8_t v)
{
	return v == KVM_MP_STATE_RUNNABLE || v == KVM_MP_STATE_STOPPED ||
	       v == KVM_MP_STATE_SUSPENDED;
}

int arch_vcpu_check(const void *state, struct err *e)
{
	const struct arm64_vcpu *st = state;

	if (!mp_state_known(st->mp_state))
		return err_set(e, ERR_RANGE, "mp_state: %u", st->mp_state);
	if (!st->counter_hz || !st->reg_n)
		return err_set(e, ERR_RANGE, "no counter frequency or registers");
	for (uint32_t i = 0; i < st->reg_n; i++)
		if (arm64_reg_bytes(st->reg[i].id) > sizeof(uint64_t) ||
		    arm64_is_time(st->reg[i].id))
			return err_set(e, ERR_RANGE, "reg: number 0x%llx",
				       (unsigned long long)st->reg[i].id);
	for (uint32_t i = 0; i < st->wide_n; i++)
		if (arm64_reg_bytes(st->wide[i].id) != st->wide[i].value_len)
			return err_set(e, ERR_RANGE, "wide: number 0x%llx with %u bytes",
				       (unsigned long long)st->wide[i].id, st->wide[i].value_len);
	return 0;
}

int arch_load(struct arch_vm *vm, void *const *vcpu_state, const void *irqchip_state,
	      const struct clock *clock, uint64_t elapsed_ns, struct err *e)
{
	uint64_t began = io_now_ns();
	int r = 0;

	for (uint32_t i = 0; !r && i < vm->vcpu_n; i++) {
		r = vcpu_load_(&vm->vcpu[i], vcpu_state[i], e);
		if (r)
			err_where(e, "vcpu%u", i);
	}
	if (!r)
		r = gic_load_(vm, irqchip_state, e);
	/* Time that goes on did so meanwhile. */
	if (elapsed_ns)
		elapsed_ns += io_now_ns() - began;
	return r ? r : counter_load_(vm, vcpu_state[0], elapsed_ns, e);
}
