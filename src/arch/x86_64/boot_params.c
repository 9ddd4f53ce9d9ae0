/* SPDX-License-Identifier: Apache-2.0 */
/* What Linux reads first: Documentation/arch/x86/{boot,zero-page}.rst of the kernel. */
#include "arch/x86_64/boot_priv.h"

#include <asm/bootparam.h>
#include <string.h>

#define BOOT_FLAG    0xaa55
#define MAGIC	     0x53726448 /* "HdrS" */
#define LOADER_OTHER 0xff	/* no number assigned */
#define VIDEO_NORMAL 0xffff
#define ALIGN_OF_ELF (16 * MIB) /* unused by an ELF kernel, but 0 would be invalid */

_Static_assert(sizeof(struct boot_params) == 4096, "zero page");
_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x70, "zero page");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "zero page");
_Static_assert(BOOT_RANGES_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "e820 in the zero page");

int boot_params_(const struct boot_job *j, struct gpa *at, struct err *e)
{
	struct boot_params *p;
	void *host;
	int r = boot_row_(j, "ZERO_PAGE_OFFSET", sizeof *p, at, &host, e);

	if (r)
		return r;
	p = host;
	/* Only the header is taken from the image, everything else stays zero. */
	if (j->k->kind == KERNEL_BZIMAGE) {
		memcpy(&p->hdr, j->k->header, j->k->header_len);
	} else {
		p->hdr.boot_flag = BOOT_FLAG;
		p->hdr.header = MAGIC;
		p->hdr.kernel_alignment = ALIGN_OF_ELF;
	}
	p->hdr.type_of_loader = LOADER_OTHER;
	p->hdr.loadflags |= LOADED_HIGH;
	p->hdr.loadflags &= (uint8_t)~CAN_USE_HEAP;
	p->hdr.vid_mode = VIDEO_NORMAL;
	p->hdr.setup_data = 0;
	p->hdr.cmd_line_ptr = (uint32_t)j->cmdline.v;
	p->ext_cmd_line_ptr = (uint32_t)(j->cmdline.v >> 32);
	p->hdr.ramdisk_image = (uint32_t)j->initrd.v;
	p->ext_ramdisk_image = (uint32_t)(j->initrd.v >> 32);
	p->hdr.ramdisk_size = (uint32_t)j->initrd_bytes;
	p->ext_ramdisk_size = (uint32_t)(j->initrd_bytes >> 32);
	p->acpi_rsdp_addr = j->rsdp.v;
	p->e820_entries = (uint8_t)j->map.n;
	for (uint32_t i = 0; i < j->map.n; i++) {
		const struct boot_range *from = &j->map.range[i];
		p->e820_table[i] = (struct boot_e820_entry){
		    .addr = from->start, .size = from->size, .type = from->type};
	}
	return 0;
}
