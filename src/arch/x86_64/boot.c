/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/boot_priv.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

int kernel_open(const struct io_src *file, struct kernel *out, struct err *e)
{
	struct kernel k = {0};
	uint8_t magic[SELFMAG];
	bool multiboot = false;
	int r = io_read_at(file, magic, sizeof magic, 0, e);

	if (r)
		return r;
	if (!memcmp(magic, ELFMAG, SELFMAG)) {
		r = kernel_open_elf_(file, &k, e);
	} else {
		if (!kernel_is_bzimage_(file))
			r = kernel_open_multiboot_(file, &k, &multiboot, e);
		if (!r && !multiboot)
			r = kernel_open_bzimage_(file, &k, e);
	}
	if (!r)
		*out = k;
	return r;
}

/* Where a bzImage puts itself before it decompresses (arch/x86/boot/compressed/head_64.S): at the
 * next multiple of its alignment, but not below pref_address. */
static bool bzimage_end(const struct kernel *k, uint64_t start, uint64_t *end)
{
	uint64_t run, loaded;

	if (!num_align_up(start > k->pref_address ? start : k->pref_address, k->align, &run) ||
	    !num_add(run, k->init_bytes, end) || !num_add(start, k->segment[0].mem_bytes, &loaded))
		return false;
	if (loaded > *end)
		*end = loaded;
	return true;
}

int kernel_footprint(const struct kernel *k, struct gpa start, uint64_t *bytes, struct err *e)
{
	uint64_t end = start.v;

	if (k->kind == KERNEL_BZIMAGE) {
		if (!bzimage_end(k, start.v, &end))
			return err_set(e, ERR_RANGE, "kernel wants to run at 0x%" PRIx64,
				       k->pref_address);
	} else {
		for (uint32_t i = 0; i < k->segment_n; i++) {
			const struct kernel_segment *s = &k->segment[i];
			if (s->at < start.v && k->kind != KERNEL_MULTIBOOT)
				return err_set(e, ERR_RANGE,
					       "kernel wants to lie at 0x%" PRIx64
					       ", below 0x%" PRIx64 " where kernels are loaded",
					       s->at, start.v);
			if (s->at + s->mem_bytes > end)
				end = s->at + s->mem_bytes;
		}
	}
	/* The row is there even if all of the kernel lies below it: the initrd comes after it. */
	*bytes = end > start.v ? end - start.v : 1;
	return 0;
}

int boot_row_(const struct boot_job *j, const char *name, uint64_t bytes, struct gpa *at,
	      void **host, struct err *e)
{
	const struct layout_region *row;
	int r = layout_need(j->l, name, &row, e);

	if (r)
		return r;
	*host = mem_rw(j->m, gpa(row->start), row->size);
	if (bytes > row->size || !*host)
		return err_set(e, ERR_STRUCTURE, "%s has no room for 0x%" PRIx64 " bytes", name,
			       bytes);
	memset(*host, 0, row->size);
	*at = gpa(row->start);
	return 0;
}

/* @file_bytes straight from the file, zeros after them: memory may have been used before. */
static int load(const struct io_src *file, const struct kernel_segment *s, uint64_t at,
		struct guest_mem *m, struct err *e)
{
	uint8_t *host = mem_rw(m, gpa(at), s->mem_bytes);
	int r;

	if (!host)
		return err_set(e, ERR_STRUCTURE, "no RAM from 0x%" PRIx64 " to 0x%" PRIx64, at,
			       at + s->mem_bytes);
	r = io_read_at(file, host, s->file_bytes, s->offset, e);
	if (!r)
		memset(host + s->file_bytes, 0, s->mem_bytes - s->file_bytes);
	return r;
}

/* RAM that no other row lies in; what is reserved is no RAM, though there is memory behind it. */
static int check_free(const struct layout *l, const struct layout_region *own, uint64_t at,
		      uint64_t bytes, struct err *e)
{
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (r == own || r->kind == REGION_PIO || (r->kind == REGION_RAM && !r->parent))
			continue;
		if (r->size && r->start < at + bytes && at < region_end(r))
			return err_set(e, ERR_RANGE,
				       "kernel wants to lie at 0x%" PRIx64 " to 0x%" PRIx64
				       ", where %s is",
				       at, at + bytes, r->name);
	}
	return 0;
}

static int load_kernel(struct boot_job *j, const struct io_src *file, struct err *e)
{
	const struct layout_region *row;
	uint64_t bytes;
	int r = layout_need(j->l, "KERNEL_START_OFFSET", &row, e);

	if (!r)
		r = kernel_footprint(j->k, gpa(row->start), &bytes, e);
	if (!r && bytes > row->size)
		return err_set(e, ERR_STRUCTURE,
			       "kernel needs 0x%" PRIx64 " bytes, the layout has 0x%" PRIx64
			       " for it",
			       bytes, row->size);
	uint64_t base = !r && j->k->kind == KERNEL_BZIMAGE ? row->start : 0;
	for (uint32_t i = 0; !r && i < j->k->segment_n; i++) {
		const struct kernel_segment *s = &j->k->segment[i];
		r = check_free(j->l, row, base + s->at, s->mem_bytes, e);
		if (!r)
			r = load(file, s, base + s->at, j->m, e);
	}
	j->out->rip = base + j->k->entry;
	return r;
}

static int load_initrd(struct boot_job *j, const struct io_src *initrd, struct err *e)
{
	const struct layout_region *row;
	int r;

	if (!initrd || !initrd->size)
		return 0;
	r = layout_need(j->l, "initrd_start", &row, e);
	if (r)
		return r;
	if (initrd->size > row->size)
		return err_set(e, ERR_STRUCTURE,
			       "initrd has 0x%" PRIx64 " bytes, the layout has 0x%" PRIx64
			       " for it",
			       initrd->size, row->size);
	if (row->start + initrd->size - 1 > j->k->initrd_max)
		return err_set(e, ERR_LIMIT,
			       "initrd would end at 0x%" PRIx64 ", the kernel reads it up to 0x%x",
			       row->start + initrd->size, j->k->initrd_max);
	j->initrd = gpa(row->start);
	j->initrd_bytes = initrd->size;
	struct kernel_segment whole = {.file_bytes = initrd->size, .mem_bytes = initrd->size};
	return load(initrd, &whole, row->start, j->m, e);
}

static int load_cmdline(struct boot_job *j, const char *cmdline, struct err *e)
{
	const struct layout_region *row;
	uint64_t len = strlen(cmdline), max;
	void *host;
	int r = layout_need(j->l, "CMDLINE_OFFSET", &row, e);

	if (!r)
		r = boot_row_(j, "CMDLINE_OFFSET", 1, &j->cmdline, &host, e);
	if (r)
		return r;
	max = row->size - 1 < j->k->cmdline_max ? row->size - 1 : j->k->cmdline_max;
	if (len > max)
		return err_set(e, ERR_LIMIT,
			       "command line of %" PRIu64 " characters, at most %" PRIu64 " fit",
			       len, max);
	memcpy(host, cmdline, len);
	j->cmdline_bytes = len + 1;
	return 0;
}

/* CR0, CR4, EFER: Intel SDM 3, 2.5 and 2.2.1; RFLAGS bit 1 is always set. */
#define RFLAGS_FIXED 0x2
#define CR0_PE	     (1u << 0)
#define CR0_ET	     (1u << 4)
#define CR0_PG	     (1u << 31)
#define CR4_PAE	     (1u << 5)
#define EFER_LME     (1u << 8)
#define EFER_LMA     (1u << 10)

/* Documentation/arch/x86/boot.rst, "64-bit Boot Protocol". */
static int enter_long64(struct boot_job *j, struct err *e)
{
	const struct layout_region *stack, *kernel;
	struct boot_entry *b = j->out;
	struct gpa params, unused;
	uint64_t mapped;
	void *idt;
	int r = layout_need(j->l, "BOOT_STACK_POINTER", &stack, e);

	if (!r)
		r = layout_need(j->l, "KERNEL_START_OFFSET", &kernel, e);
	if (!r)
		r = boot_paging_(j, &mapped, e);
	if (!r && region_end(kernel) > mapped)
		r = err_set(e, ERR_LIMIT,
			    "kernel ends at 0x%" PRIx64
			    ", the boot page tables map up to 0x%" PRIx64,
			    region_end(kernel), mapped);
	if (!r)
		r = boot_row_(j, "boot_idt_addr", 0, &unused, &idt, e);
	if (!r)
		r = boot_params_(j, &params, e);
	if (r)
		return r;
	b->mode = BOOT_LONG64;
	b->rsi = params.v;
	b->rsp = stack->start;
	b->cr0 = CR0_PE | CR0_ET | CR0_PG;
	b->cr4 = CR4_PAE;
	b->efer = EFER_LME | EFER_LMA;
	return 0;
}

#define MULTIBOOT_ENTRY 0x2badb002

/* The register state at the entry point: docs/misc/pvh.pandoc of Xen; Multiboot Specification 3.2. */
static int enter_flat32(struct boot_job *j, struct err *e)
{
	struct boot_entry *b = j->out;
	bool multiboot = j->k->kind == KERNEL_MULTIBOOT;
	struct gpa info;
	int r = multiboot ? boot_multiboot_(j, &info, e) : boot_pvh_(j, &info, e);

	if (r)
		return r;
	b->mode = BOOT_FLAT32;
	b->rax = multiboot ? MULTIBOOT_ENTRY : 0;
	b->rbx = info.v;
	b->cr0 = CR0_PE | CR0_ET;
	return 0;
}

int boot_load(const struct kernel *k, const struct io_src *kernel_file, const struct io_src *initrd,
	      const char *cmdline, const struct layout *l, struct guest_mem *m,
	      struct boot_entry *out, struct err *e)
{
	struct boot_entry entry = {.rflags = RFLAGS_FIXED};
	const struct layout_region *acpi;
	struct boot_job j = {.k = k, .l = l, .m = m, .out = &entry};
	int r = layout_need(l, "ACPI_HI_RSDP_WINDOW_BASE", &acpi, e);

	if (r)
		return r;
	j.rsdp = gpa(acpi->start);
	r = boot_map_(l, &j.map, e);
	if (!r)
		r = load_kernel(&j, kernel_file, e);
	if (!r)
		r = load_initrd(&j, initrd, e);
	if (!r)
		r = load_cmdline(&j, cmdline, e);
	if (!r)
		r = k->kind == KERNEL_PVH || k->kind == KERNEL_MULTIBOOT ? enter_flat32(&j, e)
									 : enter_long64(&j, e);
	if (!r)
		r = boot_gdt_(&j, e);
	if (!r)
		*out = entry;
	return r;
}
