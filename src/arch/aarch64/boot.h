/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/arch/aarch64/: what a guest finds in memory at its first instruction. */
#ifndef ARCH_AARCH64_BOOT_H
#define ARCH_AARCH64_BOOT_H

#include "arch/arch.h"

/**
 * struct kernel - an arm64 Image that was looked at (Documentation/arch/arm64/booting.rst)
 * @text_offset: from the place for kernels to where it is loaded and entered, in bytes
 * @bytes:       room that it needs from that place on
 */
struct kernel {
	uint64_t text_offset, bytes;
};

/** kernel_open() - Trust: @file is hostile. -ERR_MAGIC, -ERR_FEATURE, -ERR_RANGE, what reading
 * returns. */
int kernel_open(const struct io_src *file, struct kernel *out, struct err *e) MUST_CHECK;

/**
 * kernel_unpack() - an Image out of what distributions wrap it in: gzip, or an EFI program that
 * unpacks itself (zboot)
 * @out: the Image when it was wrapped, else empty; owned by the caller. At most KERNEL_BYTES_MAX
 */
#define KERNEL_BYTES_MAX (256 * MIB)
int kernel_unpack(const struct io_src *file, struct buf *out, struct err *e) MUST_CHECK;

#define PMU_PPI 7

/* MPIDR_EL1 of vCPU @id, as KVM gives it: 16 vCPUs to the lowest level. */
static inline uint64_t vcpu_affinity(uint32_t id)
{
	return (id & 0xf) | (uint64_t)(id >> 4) << 8;
}

/* What the tree tells besides layout and machine. */
struct fdt_facts {
	const char *cmdline; /* NULL: none */
	bool pmu;
};

/** fdt_write() - the device tree, at its row of @l; @at: where that is. */
int fdt_write(const struct layout *l, const struct machine *m, const struct fdt_facts *facts,
	      struct guest_mem *mem, struct gpa *at, struct err *e) MUST_CHECK;

#endif
