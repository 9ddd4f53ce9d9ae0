/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor and page tables of the first instruction, and the segments that go with them. */
#include "arch/x86_64/boot_priv.h"

#include <linux/kvm.h>
#include <string.h>

/* Where the Linux 64-bit boot protocol wants code and data: __BOOT_CS and __BOOT_DS. The task
 * segment of 64-bit mode has no room for its second half; nothing loads it again. */
enum { GDT_TASK = 1, GDT_CODE, GDT_DATA, GDT_ENTRIES };

/* Intel SDM 3, figure 3-8 */
static uint64_t descriptor(const struct boot_segment *s)
{
	uint64_t limit = s->granular ? s->limit >> 12 : s->limit, base = s->base;
	uint64_t access = 0x80u /* present */ | (s->system ? 0 : 0x10u) | s->type;
	uint64_t flags = (s->granular ? 8u : 0) | (s->big ? 4u : 0) | (s->long_mode ? 2u : 0);

	return (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 |
	       (limit >> 16 & 0xf) << 48 | flags << 52 | (base >> 24 & 0xff) << 56;
}

int boot_gdt_(const struct boot_job *j, struct err *e)
{
	struct boot_entry *b = j->out;
	const struct layout_region *idt;
	struct gpa at;
	void *gdt;
	int r = boot_row_(j, "boot_gdt_addr", GDT_ENTRIES * 8, &at, &gdt, e);

	if (!r)
		r = layout_need(j->l, "boot_idt_addr", &idt, e);
	if (r)
		return r;
	b->code = (struct boot_segment){
	    .selector = GDT_CODE * 8,
	    .type = 0xb, /* execute, read, accessed */
	    .long_mode = b->mode == BOOT_LONG64,
	    .big = b->mode == BOOT_FLAT32,
	    .granular = true,
	    .limit = UINT32_MAX,
	};
	b->data = (struct boot_segment){
	    .selector = GDT_DATA * 8,
	    .type = 0x3, /* read, write, accessed */
	    .big = true,
	    .granular = true,
	    .limit = UINT32_MAX,
	};
	b->task = (struct boot_segment){
	    .selector = GDT_TASK * 8,
	    .type = 0xb, /* busy TSS */
	    .system = true,
	    .limit = 0x67, /* one TSS, as PVH has it */
	};
	num_put_le64((uint8_t *)gdt + GDT_CODE * 8, descriptor(&b->code));
	num_put_le64((uint8_t *)gdt + GDT_DATA * 8, descriptor(&b->data));
	num_put_le64((uint8_t *)gdt + GDT_TASK * 8, descriptor(&b->task));
	b->gdt_base = at.v;
	b->gdt_limit = GDT_ENTRIES * 8 - 1;
	b->idt_base = idt->start;
	b->idt_limit = (uint16_t)(idt->size - 1);
	return 0;
}

/* Intel SDM 3, 4.5 */
#define PTE_PRESENT 0x01u
#define PTE_WRITE   0x02u
#define PTE_LARGE   0x80u
#define TABLE_BYTES (4 * KIB)
#define PER_TABLE   512u

/* Identity map of as many GiB as there are pages in the lowest row. */
int boot_paging_(const struct boot_job *j, uint64_t *mapped_bytes, struct err *e)
{
	const struct layout_region *row;
	struct gpa l4_at, l3_at, l2_at;
	void *l4, *l3, *l2;
	uint64_t tables;
	int r = boot_row_(j, "boot_pml4_addr", TABLE_BYTES, &l4_at, &l4, e);

	if (!r)
		r = boot_row_(j, "boot_pdpte_addr", TABLE_BYTES, &l3_at, &l3, e);
	if (!r)
		r = boot_row_(j, "boot_pde_addr", TABLE_BYTES, &l2_at, &l2, e);
	if (!r)
		r = layout_need(j->l, "boot_pde_addr", &row, e);
	if (r)
		return r;
	tables = row->size / TABLE_BYTES < PER_TABLE ? row->size / TABLE_BYTES : PER_TABLE;
	num_put_le64(l4, l3_at.v | PTE_PRESENT | PTE_WRITE);
	for (uint64_t i = 0; i < tables; i++)
		num_put_le64((uint8_t *)l3 + 8 * i,
			     (l2_at.v + i * TABLE_BYTES) | PTE_PRESENT | PTE_WRITE);
	for (uint64_t i = 0; i < tables * PER_TABLE; i++)
		num_put_le64((uint8_t *)l2 + 8 * i,
			     (i * 2 * MIB) | PTE_PRESENT | PTE_WRITE | PTE_LARGE);
	j->out->cr3 = l4_at.v;
	*mapped_bytes = tables * GIB;
	return 0;
}

static struct kvm_segment segment(const struct boot_segment *s)
{
	return (struct kvm_segment){
	    .base = s->base,
	    .limit = s->limit,
	    .selector = s->selector,
	    .type = s->type,
	    .present = 1,
	    .db = s->big,
	    .s = !s->system,
	    .l = s->long_mode,
	    .g = s->granular,
	};
}

void boot_entry_regs(const struct boot_entry *b, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	*regs = (struct kvm_regs){
	    .rip = b->rip,
	    .rsp = b->rsp,
	    .rsi = b->rsi,
	    .rax = b->rax,
	    .rbx = b->rbx,
	    .rflags = b->rflags,
	};
	sregs->cs = segment(&b->code);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = segment(&b->data);
	sregs->tr = segment(&b->task);
	sregs->gdt = (struct kvm_dtable){.base = b->gdt_base, .limit = b->gdt_limit};
	sregs->idt = (struct kvm_dtable){.base = b->idt_base, .limit = b->idt_limit};
	sregs->cr0 = b->cr0;
	sregs->cr3 = b->cr3;
	sregs->cr4 = b->cr4;
	sregs->efer = b->efer;
}
