/* SPDX-License-Identifier: Apache-2.0 */
/* Making vCPUs: Documentation/virt/kvm/api.rst, 4.82 and 4.119, and devices/vcpu.rst. */
#include "arch/aarch64/kvm.h"

#include <errno.h>
#include <sys/ioctl.h>

#define PVTIME_BYTES 64 /* of each vCPU: DEN0057A, 3.2.2 */

uint32_t vcpu_features_(int kvm_fd)
{
	static const struct {
		int cap;
		uint32_t feature;
	} offered[] = {
	    {KVM_CAP_ARM_SVE, ARM64_FEATURE_SVE},
	    {KVM_CAP_ARM_PTRAUTH_ADDRESS, ARM64_FEATURE_PTRAUTH_ADDRESS},
	    {KVM_CAP_ARM_PTRAUTH_GENERIC, ARM64_FEATURE_PTRAUTH_GENERIC},
	    {KVM_CAP_ARM_PMU_V3, ARM64_FEATURE_PMU},
	};
	uint32_t features = FEATURE(PSCI_0_2);

	for (size_t i = 0; i < ARRAY_LEN(offered); i++)
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, offered[i].cap) > 0)
			features |= offered[i].feature;
	return features;
}

int vcpu_init_(int vcpu_fd, uint32_t target, uint32_t features, const uint8_t *lengths,
	       struct err *e)
{
	struct kvm_vcpu_init init = {.target = target, .features = {features}};
	int sve = KVM_ARM_VCPU_SVE;
	int r = kvm_do(vcpu_fd, KVM_ARM_VCPU_INIT, &init, e);

	if (r < 0 || !(features & ARM64_FEATURE_SVE))
		return r < 0 ? r : 0;
	r = lengths ? reg_set_(vcpu_fd, KVM_REG_ARM64_SVE_VLS, lengths, e) : 0;
	/* At a reset the lengths are final already. */
	if (!r && ioctl(vcpu_fd, KVM_ARM_VCPU_FINALIZE, &sve) < 0 && errno != EPERM)
		r = err_sys(e, ERR_KVM, errno, "KVM_ARM_VCPU_FINALIZE");
	return r;
}

static const uint8_t *saved_lengths(const struct arm64_vcpu *st)
{
	for (uint32_t i = 0; i < st->wide_n; i++)
		if (st->wide[i].id == ARM64_SVE_LENGTHS)
			return st->wide[i].value;
	return NULL;
}

static int init_by_policy(struct arch_vcpu *c, const struct cpu_policy *cpu, struct err *e)
{
	uint8_t lengths[sizeof cpu->sve_lengths];

	for (unsigned w = 0; w < HOST_SVE_WORDS; w++)
		num_put_le64(lengths + 8 * w, cpu->sve_lengths[w]);
	int r = vcpu_init_(c->fd, c->vm->target, c->features, lengths, e);
	for (uint32_t i = 0; !r && i < cpu->reg_n; i++)
		r = reg_tell_(c->fd, c->features, &cpu->reg[i], e);
	return r;
}

int vcpu_new_(struct arch_vm *vm, uint32_t id, const struct cpu_policy *cpu,
	      const struct arm64_vcpu *saved, struct err *e)
{
	struct arch_vcpu *c = &vm->vcpu[id];

	c->vm = vm;
	c->id = id;
	c->features = saved ? saved->features
		      : cpu ? cpu->features | FEATURE(PSCI_0_2)
			    : vcpu_features_(vm->kvm_fd);
	/* All but the first are started by PSCI. */
	c->features |= id > 0 ? FEATURE(POWER_OFF) : 0;
	c->fd = kvm_do(vm->fd, KVM_CREATE_VCPU, id, e);
	if (c->fd < 0)
		return c->fd;
	vm->vcpu_n = id + 1;
	c->run = kvm_run_map_(vm->kvm_fd, c->fd, id, &c->run_bytes, e);
	if (!c->run)
		return e ? -e->code : -ERR_KVM;
	if (cpu && !saved)
		return init_by_policy(c, cpu, e);
	return vcpu_init_(c->fd, vm->target, c->features, saved ? saved_lengths(saved) : NULL, e);
}

static int finish_pmu(struct arch_vcpu *c, struct err *e)
{
	int ppi = PPI_BASE + PMU_PPI;
	int r = attr_set_(c->fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &ppi, e);

	return r ? r
		 : attr_set_(c->fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, NULL, e);
}

static bool wants_pvtime(const struct arch_vcpu *c, const struct cpu_policy *cpu,
			 const struct arm64_vcpu *saved)
{
	struct kvm_device_attr attr = {.group = KVM_ARM_VCPU_PVTIME_CTRL,
				       .attr = KVM_ARM_VCPU_PVTIME_IPA};

	if (saved)
		return saved->pvtime;
	return cpu ? cpu->stolen_time : !ioctl(c->fd, KVM_HAS_DEVICE_ATTR, &attr);
}

static int finish_pvtime(struct arch_vcpu *c, const struct arm64_vcpu *saved, struct err *e)
{
	const struct layout_region *row;
	int r = layout_need(c->vm->layout, "AARCH64_PVTIME_IPA_START", &row, e);

	if (r)
		return r;
	c->pvtime = row->start + (uint64_t)c->id * PVTIME_BYTES;
	if (saved && saved->pvtime != c->pvtime)
		return err_set(e, ERR_RANGE, "vcpu%u: stolen time at 0x%llx", c->id,
			       (unsigned long long)saved->pvtime);
	return attr_set_(c->fd, KVM_ARM_VCPU_PVTIME_CTRL, KVM_ARM_VCPU_PVTIME_IPA, &c->pvtime, e);
}

int vcpu_finish_(struct arch_vcpu *c, const struct cpu_policy *cpu, const struct arm64_vcpu *saved,
		 struct err *e)
{
	int r = c->features & ARM64_FEATURE_PMU ? finish_pmu(c, e) : 0;

	return r || !wants_pvtime(c, cpu, saved) ? r : finish_pvtime(c, saved, e);
}
