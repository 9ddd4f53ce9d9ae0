/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers: whatever KVM lists, and the few that it saves without listing. */
#include "arch/x86_64/kvm.h"

#include <stdlib.h>
#include <string.h>

#define MSR_TSC		 0x10
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_XSS		 0xda0
#define MSR_MTRR_DEF_TYPE 0x2ff

#define MTRR_ENABLE	  (1u << 11)
#define MTRR_FIXED_ENABLE (1u << 10)
#define MTRR_WRITE_BACK	  6u

int msr_list_(int kvm_fd, uint32_t out[static X86_MSRS_MAX], uint32_t *n, struct err *e)
{
	struct kvm_msr_list *list = calloc(1, sizeof *list + X86_MSRS_MAX * sizeof(uint32_t));

	if (!list)
		return err_set(e, ERR_NOMEM, "out of memory");
	list->nmsrs = X86_MSRS_MAX - 1;
	int r = kvm_do(kvm_fd, KVM_GET_MSR_INDEX_LIST, list, e);
	if (r >= 0) {
		bool xss = false;
		for (uint32_t i = 0; i < list->nmsrs; i++) {
			out[i] = list->indices[i];
			xss |= out[i] == MSR_XSS;
		}
		*n = list->nmsrs;
		/* Kernels before 5.10 leave it out of the list. */
		if (!xss)
			out[(*n)++] = MSR_XSS;
	}
	free(list);
	return r < 0 ? r : 0;
}

static int note_unread(struct x86_vcpu *out, uint32_t index, struct err *e)
{
	if (index == MSR_XSS) /* not listed, so a processor without it is to be expected */
		return 0;
	if (out->unread_n == X86_UNREAD_MAX)
		return err_set(e, ERR_KVM, "more than %d MSRs cannot be read", X86_UNREAD_MAX);
	out->unread[out->unread_n++].index = index;
	return 0;
}

/* KVM_GET_MSRS stops at the first register that it will not read: note that one and go on. */
int msr_save_(struct arch_vcpu *c, struct x86_vcpu *out, struct err *e)
{
	uint32_t list[X86_MSRS_MAX], n = 0;
	int r = msr_list_(c->vm->kvm_fd, list, &n, e);
	struct kvm_msrs *get = r ? NULL : calloc(1, sizeof *get + n * sizeof get->entries[0]);

	if (r)
		return r;
	if (!get)
		return err_set(e, ERR_NOMEM, "out of memory");
	out->msr_n = out->unread_n = 0;
	for (uint32_t done = 0; r >= 0 && done < n;) {
		get->nmsrs = n - done;
		for (uint32_t i = done; i < n; i++)
			get->entries[i - done].index = list[i];
		r = kvm_do(c->fd, KVM_GET_MSRS, get, e);
		for (int i = 0; i < r; i++)
			if (get->entries[i].index != MSR_TSC) /* tsc_save_() */
				out->msr[out->msr_n++] = (struct x86_msr){
					get->entries[i].index, get->entries[i].data};
		if (r < 0)
			break;
		done += (uint32_t)r;
		if (done < n)
			r = note_unread(out, list[done++], e);
	}
	free(get);
	return r < 0 ? r : 0;
}

/* struct kvm_msrs with room for one: its last member has no size. */
union one_msr {
	struct kvm_msrs msrs;
	uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

int msr_set_(struct arch_vcpu *c, uint32_t index, uint64_t value, struct err *e)
{
	union one_msr one = {.msrs.nmsrs = 1};

	one.msrs.entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
	int r = kvm_do(c->fd, KVM_SET_MSRS, &one, e);
	if (r == 1)
		return 0;
	if (r < 0)
		return r;
	return err_set(e, ERR_KVM, "MSR 0x%x does not take 0x%llx", index,
		       (unsigned long long)value);
}

int msr_get_(struct arch_vcpu *c, uint32_t index, uint64_t *value, struct err *e)
{
	union one_msr one = {.msrs.nmsrs = 1};

	one.msrs.entries[0].index = index;
	int r = kvm_do(c->fd, KVM_GET_MSRS, &one, e);
	if (r < 0)
		return r;
	if (r != 1)
		return err_set(e, ERR_KVM, "MSR 0x%x cannot be read", index);
	*value = one.msrs.entries[0].data;
	return 0;
}

/* What firmware would have set: MTRRs on, memory write-back unless they say otherwise (SDM 3,
 * 12.11.2.1). Linux does without PAT otherwise. */
int msr_boot_(struct arch_vcpu *c, struct err *e)
{
	return msr_set_(c, MSR_MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_FIXED_ENABLE | MTRR_WRITE_BACK, e);
}

/* A register this KVM refuses is in order if it holds the value already: it has it after reset. The
 * deadline comes last: it is compared with the TSC, which tsc_load_() has set. */
int msr_load_(struct arch_vcpu *c, const struct x86_vcpu *st, struct err *e)
{
	for (int deadline = 0; deadline < 2; deadline++)
		for (uint32_t i = 0; i < st->msr_n; i++) {
			const struct x86_msr *m = &st->msr[i];
			uint64_t now;
			if ((m->index == MSR_TSC_DEADLINE) != deadline)
				continue;
			int r = msr_set_(c, m->index, m->value, e);
			if (r && (msr_get_(c, m->index, &now, NULL) ? m->value != 0 : now != m->value))
				return r;
		}
	return 0;
}
