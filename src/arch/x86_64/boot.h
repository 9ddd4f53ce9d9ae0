/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Booting a kernel on x86-64: reading the image, and writing what it expects to find in guest
 * memory. Every address is a row of the layout. No KVM calls: struct boot_entry says in what state
 * the first vCPU starts.
 *
 * Prefixes: kernel_, boot_. All functions are pure but for guest memory; any thread.
 */
#ifndef ARCH_X86_64_BOOT_H
#define ARCH_X86_64_BOOT_H

#include "layout/mem.h"

enum kernel_kind {
	KERNEL_BZIMAGE, /* Linux boot protocol 2.12 or newer, entered in 64-bit mode */
	KERNEL_ELF64,	/* vmlinux: Linux 64-bit boot protocol, at the ELF entry */
	KERNEL_PVH,	/* ELF with XEN_ELFNOTE_PHYS32_ENTRY: 32-bit mode, PVH start info */
	KERNEL_MULTIBOOT, /* multiboot header, ELF or not: 32-bit mode, multiboot information */
};

#define KERNEL_SEGMENTS_MAX 32
#define KERNEL_HEADER_MAX   256 /* setup_header ends before boot_params.edd_mbr_sig_buffer */

/* Goes from the file to guest memory as it is; the rest up to @mem_bytes is zero. */
struct kernel_segment {
	uint64_t offset, file_bytes, mem_bytes;
	uint64_t at; /* physical address; of a bzImage: bytes after where it is loaded */
};

struct kernel {
	enum kernel_kind kind;
	uint64_t entry; /* as kernel_segment.at */
	uint32_t segment_n;
	struct kernel_segment segment[KERNEL_SEGMENTS_MAX];
	/* bzImage only, from the setup header */
	uint64_t pref_address;
	uint32_t init_bytes; /* what it needs while it decompresses, from where it runs */
	uint32_t align;
	uint32_t cmdline_max; /* characters, without the NUL */
	uint32_t initrd_max;  /* highest address an initrd's byte may have */
	uint32_t header_len;
	uint8_t header[KERNEL_HEADER_MAX]; /* the bytes for boot_params.hdr */
};

/**
 * kernel_open() - recognise a kernel image and check everything that boot_load() relies on
 * @file: hostile; a few KiB are read
 * @out:  written on success; borrows nothing
 *
 * An ELF file with a PVH note is booted by PVH, whatever else it has, and a bzImage as one: multiboot
 * is for kernels that have nothing else, or no more than an ELF entry.
 *
 * Returns 0, -ERR_MAGIC (no kernel for this machine), -ERR_VERSION (boot protocol too old),
 * -ERR_FEATURE (valid, but of a kind not handled: 32-bit only, needs relocation), -ERR_RANGE,
 * -ERR_STRUCTURE, -ERR_LIMIT, -ERR_TRUNCATED, -ERR_IO; @e has the offset in the file.
 */
int kernel_open(const struct io_src *file, struct kernel *out, struct err *e) MUST_CHECK;

/**
 * kernel_footprint() - layout_params.kernel_bytes for a kernel
 * @start: where the layout's definition has the row KERNEL_START_OFFSET
 * @bytes: from there to the last byte that the kernel fills or works in
 *
 * Multiboot kernels may lie below @start, usually at 1 MiB: boot_load() sees to it that nothing else
 * does. Returns 0, or -ERR_RANGE when any other image wants to lie there.
 */
int kernel_footprint(const struct kernel *k, struct gpa start, uint64_t *bytes,
		     struct err *e) MUST_CHECK;

/* A hidden part of a segment register, as KVM and the manuals have it. */
struct boot_segment {
	uint16_t selector;
	uint8_t type; /* Intel SDM 3, 3.4.5.1 (code, data) and 3.5 (system) */
	bool system, long_mode, big, granular;
	uint64_t base;
	uint32_t limit; /* in bytes */
};

enum boot_mode {
	BOOT_LONG64, /* paging on, rsi = boot_params */
	BOOT_FLAT32, /* protected mode without paging, ebx = what the kernel is told */
};

/* The state of the first vCPU; whatever is not said here is as after reset. */
struct boot_entry {
	enum boot_mode mode;
	uint64_t rip, rsp, rsi, rax, rbx;
	uint64_t rflags, cr0, cr3, cr4, efer;
	struct boot_segment code, data /* ds, es, fs, gs, ss */, task;
	uint64_t gdt_base, idt_base;
	uint16_t gdt_limit, idt_limit;
};

/**
 * boot_load() - put a kernel and all it needs into guest memory
 * @k, @kernel_file: from kernel_open(), and the same file
 * @initrd:  borrowed; NULL for none
 * @cmdline: NUL-terminated
 * @l: built with kernel_footprint() and the initrd's size
 * @m: memory of @l
 *
 * Writes kernel, initrd, command line, GDT, IDT, page tables and boot_params, PVH start
 * info or multiboot information.
 * The RSDP is announced where acpi_write() puts it: at the start of ACPI_HI_RSDP_WINDOW_BASE.
 *
 * Returns 0, -ERR_LIMIT (command line too long, initrd too high), -ERR_RANGE (something else lies where
 * the kernel wants to), -ERR_STRUCTURE (the layout was built for something else), -ERR_TRUNCATED, -ERR_IO. On failure guest memory has undefined
 * contents.
 */
int boot_load(const struct kernel *k, const struct io_src *kernel_file, const struct io_src *initrd,
	      const char *cmdline, const struct layout *l, struct guest_mem *m,
	      struct boot_entry *out, struct err *e) MUST_CHECK;

struct kvm_regs;
struct kvm_sregs;

/** boot_entry_regs() - @b as KVM wants it. @sregs: as KVM_GET_SREGS gave them (APIC base and what
 * else is not of the boot stays); @regs is written whole. */
void boot_entry_regs(const struct boot_entry *b, struct kvm_regs *regs, struct kvm_sregs *sregs);

#endif
