/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of a vCPU, by KVM's numbers. */
#include "arch/aarch64/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int one(int vcpu_fd, unsigned long request, const char *what, uint64_t id, const void *value,
	       struct err *e)
{
	struct kvm_one_reg reg = {id, (uintptr_t)value};
	char name[64];
	int r = kvm_do_(vcpu_fd, request, &reg, what, e);

	if (r < 0)
		err_where(e, "%s", arm64_reg_name(id, name, sizeof name));
	return r < 0 ? r : 0;
}

int reg_get_(int vcpu_fd, uint64_t id, void *value, struct err *e)
{
	return one(vcpu_fd, KVM_GET_ONE_REG, "KVM_GET_ONE_REG", id, value, e);
}

int reg_set_(int vcpu_fd, uint64_t id, const void *value, struct err *e)
{
	return one(vcpu_fd, KVM_SET_ONE_REG, "KVM_SET_ONE_REG", id, value, e);
}

int reg_tell_(int vcpu_fd, uint32_t features, const struct arm64_reg *reg, struct err *e)
{
	uint64_t value = reg->value, now = 0;
	struct err first = ERR_INIT;

	if (reg_get_(vcpu_fd, reg->id, &now, NULL))
		return 0;
	if (arm64_is_id(reg->id)) {
		uint64_t unseen = arm64_id_unseen(reg->id, features);
		value = (value & ~unseen) | (now & unseen);
	}
	if (!reg_set_(vcpu_fd, reg->id, &value, &first) || now == value)
		return 0;
	if (e)
		*e = first;
	return -(int)first.code;
}

int reg_list_(int vcpu_fd, struct reg_list **out, struct err *e)
{
	struct reg_list *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	l->n = REGS_MAX;
	if (ioctl(vcpu_fd, KVM_GET_REG_LIST, l) < 0) {
		int r = errno == E2BIG
			    ? err_set(e, ERR_LIMIT, "%llu registers", (unsigned long long)l->n)
			    : err_sys(e, ERR_KVM, errno, "KVM_GET_REG_LIST");
		free(l);
		return r;
	}
	*out = l;
	return 0;
}
