/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GIC in KVM: made from the layout, saved and loaded register by register. Offsets are those of
 * IHI 0048 (GICv2) and IHI 0069 (GICv3, ITS); how KVM takes them is in the kernel's
 * Documentation/virt/kvm/devices/, arm-vgic*.rst.
 */
#include "arch/aarch64/kvm.h"

#include <string.h>

const struct state_desc *const arch_irqchip_state = &arm64_gic_desc;

#define ALL_ONES UINT32_C(0xffffffff)
#define SGIS	 0xffff /* interrupts 0 to 15 */

/* --- making ---------------------------------------------------------------------------------- */

static int new_device(struct arch_vm *vm, uint32_t type, int *fd, struct err *e)
{
	struct kvm_create_device d = {.type = type};
	int r = kvm_do(vm->fd, KVM_CREATE_DEVICE, &d, e);

	if (r < 0)
		return r;
	*fd = (int)d.fd;
	return 0;
}

static int set_place(int fd, const struct arch_vm *vm, uint64_t what, const char *row,
		     struct err *e)
{
	const struct layout_region *region;
	int r = layout_need(vm->layout, row, &region, e);

	return r ? r : attr_set_(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, what, &region->start, e);
}

static int init_device(int fd, struct err *e)
{
	return attr_set_(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, e);
}

static int new_gic(struct arch_vm *vm, struct err *e)
{
	bool v3 = vm->layout->params.gic_version == 3;
	uint32_t lines = GIC_LINES;
	int r = new_device(vm, v3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2,
			   &vm->gic_fd, e);

	if (!r)
		r = attr_set_(vm->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &lines, e);
	if (!r)
		r = set_place(vm->gic_fd, vm,
			      v3 ? KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST,
			      "AARCH64_GIC_DIST_BASE", e);
	if (!r)
		r = set_place(vm->gic_fd, vm,
			      v3 ? KVM_VGIC_V3_ADDR_TYPE_REDIST : KVM_VGIC_V2_ADDR_TYPE_CPU,
			      v3 ? "AARCH64_GIC_REDIST_BASE" : "AARCH64_GIC_CPUI_BASE", e);
	return r ? r : init_device(vm->gic_fd, e);
}

int gic_new_(struct arch_vm *vm, struct err *e)
{
	int r = new_gic(vm, e);

	if (r || !vm->layout->params.gic_its)
		return r;
	r = new_device(vm, KVM_DEV_TYPE_ARM_VGIC_ITS, &vm->its_fd, e);
	if (!r)
		r = set_place(vm->its_fd, vm, KVM_VGIC_ITS_ADDR_TYPE, "AARCH64_GIC_ITS_BASE", e);
	return r ? r : init_device(vm->its_fd, e);
}

/* --- which registers ------------------------------------------------------------------------- */

/* Groups of 32-bit registers in the order of loading; those of the CPU interface of a GICv3 and of
 * the ITS have 64 bits. */
struct group {
	uint8_t space;
	bool banked;	    /* each vCPU has its own */
	bool may_be_absent; /* by the number of priority bits */
	uint32_t offset, count, stride;
};

/* clang-format off */
/* Of registers with @bits for each line: those of the SPIs, and those of SGIs and PPIs. */
#define SPIS(space, base, bits)                                                                    \
	{space, false, false, (base) + GIC_SPI_BASE * (bits) / 8,                                  \
	 (GIC_LINES - GIC_SPI_BASE) * (bits) / 32, 4}
#define PRIVATE(space, base, bits) {space, true, false, base, GIC_SPI_BASE *(bits) / 32, 4}
#define ONE(space, banked, offset) {space, banked, false, offset, 1, 4}

#define ICC(crn, crm, op2) (3u << 14 | (crn) << 7 | (crm) << 3 | (op2))
#define ICC_ONE(crn, crm, op2) {GIC_CPU, true, false, ICC(crn, crm, op2), 1, 1}
#define ICC_ACTIVE(crm, op2) {GIC_CPU, true, false, ICC(12, crm, op2), 1, 1},                      \
			     {GIC_CPU, true, true, ICC(12, crm, (op2) + 1), 3, 1}

enum {
	CTLR = 0x0,
	IIDR = 0x8,
	WAKER = 0x14,
	PROPBASER = 0x70, /* and PENDBASER after it, 64 bits each */
	IGROUPR = 0x80,
	ISENABLER = 0x100,
	ISPENDR = 0x200,
	ISACTIVER = 0x300,
	TO_CLEAR = 0x80, /* from ISENABLER and ISACTIVER to ICENABLER and ICACTIVER */
	IPRIORITYR = 0x400,
	ITARGETSR = 0x800,
	ICFGR = 0xc00,
	SPENDSGIR = 0xf20,
	IROUTER = 0x6000,
	SGI_BASE = 0x10000,

	GICC_CTLR = 0x0,
	GICC_PMR = 0x4,
	GICC_BPR = 0x8,
	GICC_ABPR = 0x1c,
	GICC_APR = 0xd0,

	GITS_CTLR = 0x0,
	GITS_IIDR = 0x4,
	GITS_CBASER = 0x80,
	GITS_CWRITER = 0x88,
	GITS_CREADR = 0x90,
	GITS_BASER = 0x100,
};

/* The distributor's switch comes before what is pending: KVM takes an interrupt into account when it
 * becomes pending, but not while the distributor is off. */
static const struct group gicv3[] = {
	ONE(GIC_DIST, false, IIDR),
	ONE(GIC_DIST, false, CTLR),
	SPIS(GIC_DIST, IGROUPR, 1),
	SPIS(GIC_DIST, IPRIORITYR, 8),
	SPIS(GIC_DIST, ICFGR, 2),
	SPIS(GIC_DIST, IROUTER, 64),
	SPIS(GIC_DIST, ISENABLER, 1),
	{GIC_LEVEL, false, false, GIC_SPI_BASE, (GIC_LINES - GIC_SPI_BASE) / 32, 32},
	SPIS(GIC_DIST, ISPENDR, 1),
	SPIS(GIC_DIST, ISACTIVER, 1),
	{GIC_REDIST, true, false, PROPBASER, 4, 4},
	ONE(GIC_REDIST, true, WAKER),
	PRIVATE(GIC_REDIST, SGI_BASE + IGROUPR, 1),
	PRIVATE(GIC_REDIST, SGI_BASE + IPRIORITYR, 8),
	PRIVATE(GIC_REDIST, SGI_BASE + ICFGR, 2),
	PRIVATE(GIC_REDIST, SGI_BASE + ISENABLER, 1),
	{GIC_LEVEL, true, false, 0, 1, 32},
	PRIVATE(GIC_REDIST, SGI_BASE + ISPENDR, 1),
	PRIVATE(GIC_REDIST, SGI_BASE + ISACTIVER, 1),
	ONE(GIC_REDIST, true, CTLR),
	ICC_ONE(12, 12, 5), /* SRE */
	ICC_ONE(12, 12, 4), /* CTLR */
	ICC_ONE(12, 12, 6), /* IGRPEN0 */
	ICC_ONE(12, 12, 7), /* IGRPEN1 */
	ICC_ONE(4, 6, 0),   /* PMR */
	ICC_ONE(12, 8, 3),  /* BPR0 */
	ICC_ONE(12, 12, 3), /* BPR1 */
	ICC_ACTIVE(8, 4),
	ICC_ACTIVE(9, 0),
};

static const struct group gicv2[] = {
	ONE(GIC_DIST, false, IIDR),
	ONE(GIC_DIST, false, CTLR),
	PRIVATE(GIC_DIST, IGROUPR, 1),
	SPIS(GIC_DIST, IGROUPR, 1),
	PRIVATE(GIC_DIST, IPRIORITYR, 8),
	SPIS(GIC_DIST, IPRIORITYR, 8),
	SPIS(GIC_DIST, ITARGETSR, 8),
	PRIVATE(GIC_DIST, ICFGR, 2),
	SPIS(GIC_DIST, ICFGR, 2),
	PRIVATE(GIC_DIST, ISENABLER, 1),
	SPIS(GIC_DIST, ISENABLER, 1),
	{GIC_DIST, true, false, SPENDSGIR, 4, 4},
	PRIVATE(GIC_DIST, ISPENDR, 1),
	SPIS(GIC_DIST, ISPENDR, 1),
	PRIVATE(GIC_DIST, ISACTIVER, 1),
	SPIS(GIC_DIST, ISACTIVER, 1),
	ONE(GIC_CPU, true, GICC_PMR),
	ONE(GIC_CPU, true, GICC_BPR),
	ONE(GIC_CPU, true, GICC_ABPR),
	{GIC_CPU, true, false, GICC_APR, 4, 4},
	ONE(GIC_CPU, true, GICC_CTLR),
};

static const struct group its[] = {
	{GIC_ITS, false, false, GITS_IIDR, 1, 4},
	{GIC_ITS, false, false, GITS_CBASER, 1, 8},
	/* Before CWRITER, which would start what is between the two. */
	{GIC_ITS, false, false, GITS_CREADR, 1, 8},
	{GIC_ITS, false, false, GITS_CWRITER, 1, 8},
	{GIC_ITS, false, false, GITS_BASER, 8, 8},
	{GIC_ITS, false, false, GITS_CTLR, 1, 4},
};

/* clang-format on */

/* The @i-th group of a GIC with these properties; NULL after the last. */
static const struct group *group_at(uint8_t version, bool with_its, size_t i)
{
	const struct group *g = version == 3 ? gicv3 : gicv2;
	size_t n = version == 3 ? ARRAY_LEN(gicv3) : ARRAY_LEN(gicv2);

	if (i < n)
		return &g[i];
	return with_its && i - n < ARRAY_LEN(its) ? &its[i - n] : NULL;
}

/* --- access ---------------------------------------------------------------------------------- */

static uint32_t kvm_group(uint8_t version, uint8_t space)
{
	switch ((enum arm64_gic_space)space) {
	case GIC_DIST:
		return KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
	case GIC_REDIST:
		return KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
	case GIC_CPU:
		return version == 3 ? KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
				    : KVM_DEV_ARM_VGIC_GRP_CPU_REGS;
	case GIC_LEVEL:
		return KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO;
	case GIC_ITS:
		break;
	}
	return KVM_DEV_ARM_VGIC_GRP_ITS_REGS;
}

/* Which of several: a GICv3 goes by affinity, a GICv2 by number. */
static uint64_t attribute(uint8_t version, const struct arm64_gic_reg *reg)
{
	uint64_t who = version == 3 ? vcpu_affinity(reg->vcpu) : reg->vcpu;
	uint64_t level = reg->space == GIC_LEVEL ? (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL
						       << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT
						 : 0;

	return who << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT | level | reg->offset;
}

static bool is_wide(uint8_t version, uint8_t space)
{
	return space == GIC_ITS || (version == 3 && space == GIC_CPU);
}

static int get(const struct arch_vm *vm, struct arm64_gic_reg *reg, struct err *e)
{
	uint8_t version = vm->layout->params.gic_version;
	uint32_t narrow = 0;
	bool wide = is_wide(version, reg->space);
	int r = attr_get_(reg->space == GIC_ITS ? vm->its_fd : vm->gic_fd,
			  kvm_group(version, reg->space), attribute(version, reg),
			  wide ? (void *)&reg->value : &narrow, e);

	if (!wide)
		reg->value = narrow;
	return r;
}

static int set(const struct arch_vm *vm, const struct arm64_gic_reg *reg, struct err *e)
{
	uint8_t version = vm->layout->params.gic_version;
	uint32_t narrow = (uint32_t)reg->value;
	bool wide = is_wide(version, reg->space);
	int r = attr_set_(reg->space == GIC_ITS ? vm->its_fd : vm->gic_fd,
			  kvm_group(version, reg->space), attribute(version, reg),
			  wide ? (const void *)&reg->value : &narrow, e);

	if (r)
		err_where(e, "%s register 0x%x", arm64_gic_space_names.name[reg->space],
			  reg->offset);
	return r;
}

/* --- saving ---------------------------------------------------------------------------------- */

static int save_group(const struct arch_vm *vm, const struct group *g, struct arm64_gic *out,
		      struct err *e)
{
	uint32_t vcpus = g->banked ? vm->vcpu_n : 1;

	for (uint32_t v = 0; v < vcpus; v++)
		for (uint32_t i = 0; i < g->count; i++) {
			struct arm64_gic_reg reg = {.space = g->space,
						    .vcpu = (uint8_t)v,
						    .offset = g->offset + i * g->stride};
			int r = get(vm, &reg, g->may_be_absent ? NULL : e);
			if (r && g->may_be_absent)
				continue;
			if (!r && out->reg_n == ARM64_GIC_REGS_MAX)
				r = err_set(e, ERR_LIMIT, "too many registers");
			if (r)
				return r;
			out->reg[out->reg_n++] = reg;
		}
	return 0;
}

/* What message interrupts wait is in RAM, and so is where they go: before RAM is saved. */
static int flush_tables(const struct arch_vm *vm, struct err *e)
{
	int r = 0;

	if (vm->layout->params.gic_version == 3)
		r = attr_set_(vm->gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
			      KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL, e);
	if (!r && vm->its_fd >= 0)
		r = attr_set_(vm->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_SAVE_TABLES,
			      NULL, e);
	return r;
}

int arch_irqchip_save(struct arch_vm *vm, void *st, struct err *e)
{
	struct arm64_gic *out = st;
	const struct group *g;
	int r = flush_tables(vm, e);

	state_defaults(&arm64_gic_desc, out);
	out->version = vm->layout->params.gic_version;
	out->its = vm->its_fd >= 0;
	out->lines = GIC_LINES;
	for (size_t i = 0; !r && (g = group_at(out->version, out->its, i)); i++)
		r = save_group(vm, g, out, e);
	if (r)
		err_where(e, "gic");
	return r;
}

/* --- loading --------------------------------------------------------------------------------- */

static bool in_group(const struct group *g, const struct arm64_gic_reg *reg)
{
	return g->space == reg->space && reg->offset >= g->offset &&
	       (reg->offset - g->offset) % g->stride == 0 &&
	       (reg->offset - g->offset) / g->stride < g->count &&
	       (g->banked ? reg->vcpu < ARCH_VCPUS_MAX : !reg->vcpu);
}

static bool known(const struct arm64_gic *st, const struct arm64_gic_reg *reg)
{
	const struct group *g;

	for (size_t i = 0; (g = group_at(st->version, st->its, i)); i++)
		if (in_group(g, reg))
			return true;
	return false;
}

int arch_irqchip_check(const void *state, struct err *e)
{
	const struct arm64_gic *st = state;

	if ((st->version != 2 && st->version != 3) || (st->version == 2 && st->its))
		return err_set(e, ERR_RANGE, "version %u%s", st->version,
			       st->its ? " with an ITS" : "");
	if (st->lines != GIC_LINES)
		return err_set(e, ERR_RANGE, "lines: %u, this build has %d", st->lines, GIC_LINES);
	for (uint32_t i = 0; i < st->reg_n; i++)
		if (!known(st, &st->reg[i]))
			return err_set(e, ERR_RANGE, "no register 0x%x of the %s",
				       st->reg[i].offset,
				       arm64_gic_space_names.name[st->reg[i].space]);
	return 0;
}

/* Registers that only set bits want those cleared first that are set; message interrupts cannot be
 * set up anew while they are on. */
static int clear_before(const struct arch_vm *vm, const struct arm64_gic_reg *reg, struct err *e)
{
	uint32_t offset = reg->offset & (SGI_BASE - 1);
	struct arm64_gic_reg other = *reg;

	if (reg->space != GIC_DIST && reg->space != GIC_REDIST)
		return 0;
	if ((offset >= ISENABLER && offset < ISENABLER + TO_CLEAR) ||
	    (offset >= ISACTIVER && offset < ISACTIVER + TO_CLEAR)) {
		other.offset += TO_CLEAR;
		other.value = ALL_ONES;
		return set(vm, &other, e);
	}
	if (reg->space == GIC_REDIST && reg->offset == PROPBASER) {
		other.offset = CTLR;
		other.value = 0;
		return set(vm, &other, e);
	}
	return 0;
}

/* SGIs of a GICv2 have come with their senders already (SPENDSGIR). KVM, told here that one is
 * pending, adds the vCPU itself to them: it would come twice. */
static struct arm64_gic_reg without_sgis(const struct arch_vm *vm, struct arm64_gic_reg reg)
{
	if (vm->layout->params.gic_version == 2 && reg.space == GIC_DIST && reg.offset == ISPENDR)
		reg.value &= ~(uint64_t)SGIS;
	return reg;
}

static int load_register(const struct arch_vm *vm, const struct arm64_gic_reg *saved, struct err *e)
{
	const struct arm64_gic_reg plain = without_sgis(vm, *saved), *reg = &plain;
	int r = 0;

	/* The tables come when everything is there but the switch. */
	if (reg->space == GIC_ITS && reg->offset == GITS_CTLR)
		r = attr_set_(vm->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES,
			      NULL, e);
	if (!r)
		r = clear_before(vm, reg, e);
	return r ? r : set(vm, reg, e);
}

int gic_load_(struct arch_vm *vm, const struct arm64_gic *st, struct err *e)
{
	int r = 0;

	if (st->version != vm->layout->params.gic_version || st->its != (vm->its_fd >= 0))
		return err_set(e, ERR_STRUCTURE, "gic: version %u is not that of the layout",
			       st->version);
	if (vm->its_fd >= 0)
		r = attr_set_(vm->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET,
			      NULL, e);
	for (uint32_t i = 0; !r && i < st->reg_n; i++) {
		if (st->reg[i].vcpu >= vm->vcpu_n)
			return err_set(e, ERR_RANGE, "gic: registers of vCPU %u", st->reg[i].vcpu);
		r = load_register(vm, &st->reg[i], e);
	}
	if (r)
		err_where(e, "gic");
	return r;
}
