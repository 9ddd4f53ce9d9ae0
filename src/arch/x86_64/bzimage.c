/* SPDX-License-Identifier: Apache-2.0 */
/* Linux bzImage: Documentation/arch/x86/boot.rst of the kernel, "The Real-Mode Kernel Header". */
#include "arch/x86_64/boot_priv.h"

#include <asm/bootparam.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR	      512
#define MAGIC	      0x53726448 /* "HdrS" */
#define VERSION_MIN   0x020c
#define HEADER_OFFSET offsetof(struct boot_params, hdr)
/* The header ends at 0x202 + the byte at 0x201: the offset of the jump over it. */
#define HEADER_END_BASE (HEADER_OFFSET + offsetof(struct setup_header, header))
/* "64-bit entry point is at loaded address + 0x200" */
#define ENTRY64 0x200

_Static_assert(HEADER_OFFSET == 0x1f1 && HEADER_END_BASE == 0x202, "boot protocol");
_Static_assert(offsetof(struct boot_params, edd_mbr_sig_buffer) - HEADER_OFFSET <=
		   KERNEL_HEADER_MAX,
	       "kernel.header");

#define FIELD_AT(f) (HEADER_OFFSET + offsetof(struct setup_header, f))

static int check_header(const struct setup_header *h, struct err *e)
{
	if (h->version < VERSION_MIN)
		return err_at(e, ERR_VERSION, FIELD_AT(version),
			      "bzImage of boot protocol %u.%02u, 2.12 (Linux 3.8) is needed",
			      h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return err_at(e, ERR_FEATURE, FIELD_AT(xloadflags),
			      "bzImage without a 64-bit entry point");
	if (!(h->loadflags & LOADED_HIGH))
		return err_at(e, ERR_FEATURE, FIELD_AT(loadflags),
			      "zImage, to be loaded low; a bzImage is needed");
	if (!h->kernel_alignment || h->kernel_alignment & (h->kernel_alignment - 1))
		return err_at(e, ERR_RANGE, FIELD_AT(kernel_alignment),
			      "kernel_alignment 0x%x is no power of two", h->kernel_alignment);
	if (!h->init_size)
		return err_at(e, ERR_RANGE, FIELD_AT(init_size), "init_size is 0");
	return 0;
}

bool kernel_is_bzimage_(const struct io_src *file)
{
	uint8_t magic[4];

	return !io_read_at(file, magic, sizeof magic, FIELD_AT(header), NULL) &&
	       num_le32(magic) == MAGIC;
}

int kernel_open_bzimage_(const struct io_src *file, struct kernel *k, struct err *e)
{
	struct setup_header h;
	uint64_t setup, body;
	uint8_t jump[2];
	int r = io_read_at(file, &h, sizeof h, HEADER_OFFSET, e);

	if (!r)
		r = io_read_at(file, jump, sizeof jump, FIELD_AT(jump), e);
	if (r)
		return r;
	if (h.header != MAGIC)
		return err_at(e, ERR_MAGIC, FIELD_AT(header), "no Linux boot header");
	r = check_header(&h, e);
	if (r)
		return r;

	setup = ((h.setup_sects ? h.setup_sects : 4) + 1ull) * SECTOR;
	if (setup >= file->size)
		return err_at(e, ERR_TRUNCATED, FIELD_AT(setup_sects),
			      "kernel should start at 0x%" PRIx64 ", the file ends at 0x%" PRIx64,
			      setup, file->size);
	body = file->size - setup;
	if (body <= ENTRY64)
		return err_at(e, ERR_TRUNCATED, setup, "0x%" PRIx64 " bytes of kernel", body);
	/* In 16-byte paragraphs; what follows is a signature. It was rounded up until Linux 6.6
	 * and down since. */
	if (h.syssize * 16ull > body + 15)
		return err_at(e, ERR_TRUNCATED, FIELD_AT(syssize),
			      "announces 0x%llx bytes after the setup part, 0x%" PRIx64
			      " are there",
			      h.syssize * 16ull, body);

	k->header_len = (uint32_t)(HEADER_END_BASE + jump[1] - HEADER_OFFSET);
	if (k->header_len < sizeof h - sizeof h.handover_offset - sizeof h.kernel_info_offset ||
	    HEADER_OFFSET + k->header_len > offsetof(struct boot_params, edd_mbr_sig_buffer))
		return err_at(e, ERR_STRUCTURE, FIELD_AT(jump) + 1, "setup header of 0x%x bytes",
			      k->header_len);
	r = io_read_at(file, k->header, k->header_len, HEADER_OFFSET, e);
	if (r)
		return r;

	k->kind = KERNEL_BZIMAGE;
	k->entry = ENTRY64;
	k->segment_n = 1;
	k->segment[0] = (struct kernel_segment){
	    .offset = setup, .file_bytes = body, .mem_bytes = body, .at = 0};
	k->pref_address = h.pref_address;
	k->init_bytes = h.init_size;
	k->align = h.kernel_alignment;
	k->cmdline_max = h.cmdline_size;
	/* Headers say where the 32-bit entry could reach; a 64-bit one may go further. */
	k->initrd_max = h.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G ? UINT32_MAX : h.initrd_addr_max;
	return 0;
}
