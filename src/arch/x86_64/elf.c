/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF kernels: any with the PVH note (docs/misc/pvh.pandoc of Xen), else any with a multiboot header,
 * else vmlinux, entered by the Linux 64-bit boot protocol. Segments lie at their physical addresses.
 */
#include "arch/x86_64/boot_priv.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX	  64
#define NOTES_BYTES_MAX	  (64 * KIB)
#define NOTE_OWNER	  "Xen"
#define NOTE_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY, public/elfnote.h */

struct elf {
	const struct io_src *file;
	bool wide;
	uint64_t entry, headers_at;
	uint16_t machine, type, header_n, header_bytes;
};

static int read_header(struct elf *f, struct err *e)
{
	union {
		uint8_t ident[EI_NIDENT];
		Elf32_Ehdr narrow;
		Elf64_Ehdr wide;
	} h;
	int r = io_read_at(f->file, h.ident, sizeof h.ident, 0, e);

	if (r)
		return r;
	if (memcmp(h.ident, ELFMAG, SELFMAG))
		return err_at(e, ERR_MAGIC, 0, "no ELF file");
	if (h.ident[EI_CLASS] != ELFCLASS32 && h.ident[EI_CLASS] != ELFCLASS64)
		return err_at(e, ERR_RANGE, EI_CLASS, "ELF class %u", h.ident[EI_CLASS]);
	if (h.ident[EI_DATA] != ELFDATA2LSB)
		return err_at(e, ERR_FEATURE, EI_DATA, "ELF file is not little-endian");
	f->wide = h.ident[EI_CLASS] == ELFCLASS64;
	r = io_read_at(f->file, &h, f->wide ? sizeof h.wide : sizeof h.narrow, 0, e);
	if (r)
		return r;
#define TAKE(TO, FROM) f->TO = f->wide ? h.wide.FROM : h.narrow.FROM
	TAKE(entry, e_entry);
	TAKE(headers_at, e_phoff);
	TAKE(machine, e_machine);
	TAKE(type, e_type);
	TAKE(header_n, e_phnum);
	TAKE(header_bytes, e_phentsize);
#undef TAKE
	return 0;
}

/* e_type and e_machine lie at the same offsets in both classes; the others do not. */
static int check_header(const struct elf *f, struct err *e)
{
	if (f->machine != EM_X86_64 && (f->wide || f->machine != EM_386))
		return err_at(e, ERR_MAGIC, offsetof(Elf64_Ehdr, e_machine),
			      "ELF file for another machine (%u)", f->machine);
	if (f->type != ET_EXEC)
		return err_at(e, ERR_FEATURE, offsetof(Elf64_Ehdr, e_type),
			      "ELF file of type %u (%s), an executable is needed", f->type,
			      f->type == ET_DYN ? "to be relocated" : "no program");
	if (f->header_bytes != (f->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return err_at(e, ERR_STRUCTURE,
			      f->wide ? offsetof(Elf64_Ehdr, e_phentsize)
				      : offsetof(Elf32_Ehdr, e_phentsize),
			      "program headers of %u bytes", f->header_bytes);
	if (!f->header_n || f->header_n > HEADERS_MAX)
		return err_at(e, ERR_LIMIT,
			      f->wide ? offsetof(Elf64_Ehdr, e_phnum)
				      : offsetof(Elf32_Ehdr, e_phnum),
			      "%u program headers, 1 to %u can be", f->header_n, HEADERS_MAX);
	return 0;
}

static int read_program_header(const struct elf *f, unsigned i, Elf64_Phdr *out, uint64_t *offset,
			       struct err *e)
{
	Elf32_Phdr narrow;
	int r;

	/* Cannot wrap: the first was inside the file before the second is asked for. */
	*offset = f->headers_at + (uint64_t)i * f->header_bytes;
	if (f->wide)
		return io_read_at(f->file, out, sizeof *out, *offset, e);
	r = io_read_at(f->file, &narrow, sizeof narrow, *offset, e);
	if (r)
		return r;
	*out = (Elf64_Phdr){
	    .p_type = narrow.p_type,
	    .p_offset = narrow.p_offset,
	    .p_paddr = narrow.p_paddr,
	    .p_filesz = narrow.p_filesz,
	    .p_memsz = narrow.p_memsz,
	    .p_align = narrow.p_align,
	};
	return 0;
}

static int add_segment(const struct elf *f, struct kernel *k, const Elf64_Phdr *p, uint64_t offset,
		       struct err *e)
{
	uint64_t end;

	if (!p->p_memsz)
		return 0;
	if (p->p_filesz > p->p_memsz)
		return err_at(e, ERR_STRUCTURE, offset,
			      "segment of 0x%" PRIx64 " bytes has 0x%" PRIx64 " in the file",
			      p->p_memsz, p->p_filesz);
	if (!num_inside(p->p_offset, p->p_filesz, 0, f->file->size))
		return err_at(e, ERR_TRUNCATED, offset,
			      "segment of 0x%" PRIx64 " bytes at 0x%" PRIx64
			      " ends after the file (0x%" PRIx64 ")",
			      p->p_filesz, p->p_offset, f->file->size);
	if (!num_add(p->p_paddr, p->p_memsz, &end))
		return err_at(e, ERR_RANGE, offset,
			      "segment of 0x%" PRIx64 " bytes at physical address 0x%" PRIx64,
			      p->p_memsz, p->p_paddr);
	if (k->segment_n == KERNEL_SEGMENTS_MAX)
		return err_at(e, ERR_LIMIT, offset, "more than %d segments", KERNEL_SEGMENTS_MAX);
	k->segment[k->segment_n++] = (struct kernel_segment){.offset = p->p_offset,
							     .file_bytes = p->p_filesz,
							     .mem_bytes = p->p_memsz,
							     .at = p->p_paddr};
	return 0;
}

/* Looks for the entry among notes of one segment (gABI chapter 5, "Note Section"). */
static int find_entry(const struct elf *f, const Elf64_Phdr *p, uint64_t *entry, bool *found,
		      struct err *e)
{
	uint64_t align = p->p_align == 8 ? 8 : 4, at = 0;
	uint8_t *notes;
	int r;

	if (p->p_filesz > NOTES_BYTES_MAX)
		return err_at(e, ERR_LIMIT, p->p_offset, "0x%" PRIx64 " bytes of notes",
			      p->p_filesz);
	notes = malloc(p->p_filesz ? p->p_filesz : 1);
	if (!notes)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = io_read_at(f->file, notes, p->p_filesz, p->p_offset, e);
	while (!r && p->p_filesz - at >= sizeof(Elf64_Nhdr)) {
		uint64_t name = at + sizeof(Elf64_Nhdr);
		uint32_t name_len = num_le32(notes + at), desc_len = num_le32(notes + at + 4);
		uint32_t type = num_le32(notes + at + 8);
		uint64_t desc = (name + name_len + align - 1) & ~(align - 1);
		if (desc > p->p_filesz || desc_len > p->p_filesz - desc) {
			r = err_at(e, ERR_STRUCTURE, p->p_offset + at,
				   "note ends after its segment");
			break;
		}
		if (type == NOTE_PHYS32_ENTRY && name_len == sizeof NOTE_OWNER &&
		    !memcmp(notes + name, NOTE_OWNER, sizeof NOTE_OWNER)) {
			if (desc_len != 4 && desc_len != 8) {
				r = err_at(e, ERR_STRUCTURE, p->p_offset + at,
					   "PVH entry of %u bytes", desc_len);
				break;
			}
			*entry = desc_len == 4 ? num_le32(notes + desc) : num_le64(notes + desc);
			*found = true;
			break;
		}
		at = (desc + desc_len + align - 1) & ~(align - 1);
		if (at > p->p_filesz)
			break;
	}
	free(notes);
	return r;
}

static bool entry_in_segment(const struct kernel *k)
{
	for (uint32_t i = 0; i < k->segment_n; i++)
		if (num_inside(k->entry, 1, k->segment[i].at, k->segment[i].mem_bytes))
			return true;
	return false;
}

int kernel_open_elf_(const struct io_src *file, struct kernel *k, struct err *e)
{
	struct elf f = {.file = file};
	bool pvh = false, multiboot = false;
	int r = read_header(&f, e);

	if (!r)
		r = check_header(&f, e);
	k->entry = f.entry;
	for (unsigned i = 0; !r && i < f.header_n; i++) {
		Elf64_Phdr p;
		uint64_t offset;
		r = read_program_header(&f, i, &p, &offset, e);
		if (!r && p.p_type == PT_LOAD)
			r = add_segment(&f, k, &p, offset, e);
		if (!r && p.p_type == PT_NOTE && !pvh)
			r = find_entry(&f, &p, &k->entry, &pvh, e);
	}
	if (!r && !pvh)
		r = kernel_open_multiboot_(file, k, &multiboot, e);
	if (r)
		return r;
	if (!pvh && !multiboot && !f.wide)
		return err_at(e, ERR_FEATURE, EI_CLASS,
			      "32-bit ELF file with neither a PVH entry note nor a multiboot header");
	if (!entry_in_segment(k))
		return err_at(e, ERR_STRUCTURE, offsetof(Elf64_Ehdr, e_entry),
			      "entry 0x%" PRIx64 " is not in a loaded segment", k->entry);
	k->kind = pvh ? KERNEL_PVH : multiboot ? KERNEL_MULTIBOOT : KERNEL_ELF64;
	k->cmdline_max = UINT32_MAX;
	k->initrd_max = UINT32_MAX;
	return 0;
}
