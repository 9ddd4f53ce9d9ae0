/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ACPI: writing AML (ACPI 6.4, chapter 20) and resource descriptors (6.4) to a buffer.
 * Whatever has a length is opened, filled and ended:
 *
 *   size_t dev = aml_device(b, "COM1");
 *   aml_name(b, "_UID");
 *   aml_int(b, 1);
 *   aml_end(b, dev);
 *
 * Failure to allocate sticks in the buffer (see struct buf).
 */
#ifndef ARCH_X86_64_AML_H
#define ARCH_X86_64_AML_H

#include "base/base.h"

enum aml_op {
	AML_IF = 0xa0,
	AML_ELSE = 0xa1,
	AML_RETURN = 0xa4,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_NOTIFY = 0x86,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_NOT = 0x92, /* logical; LNotEqual is NOT EQUAL */
	AML_EQUAL = 0x93,
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_ARG1 = 0x69,
	AML_ARG3 = 0x6b,
	AML_NOWHERE = 0x00, /* NullName as a target */
};

/* Objects with a length; end with aml_end(). */
size_t aml_scope(struct buf *b, const char *path);
size_t aml_device(struct buf *b, const char *name);
size_t aml_method(struct buf *b, const char *name, unsigned args);
size_t aml_package(struct buf *b, unsigned elements);
size_t aml_if(struct buf *b);
size_t aml_else(struct buf *b);
void aml_end(struct buf *b, size_t opened);

void aml_op(struct buf *b, enum aml_op op);
/** aml_path() - up to four segments of up to four characters: "\\_SB.PCI0", "CDW1". */
void aml_path(struct buf *b, const char *path);
/** aml_name() - Name (@name, the object that comes next). */
void aml_name(struct buf *b, const char *name);
void aml_int(struct buf *b, uint64_t v);
void aml_text(struct buf *b, const char *text);
/** aml_eisa_id() - "PNP0A08" compressed (ASL's EisaId). */
void aml_eisa_id(struct buf *b, const char *id);
/** aml_bytes() - Buffer of @n bytes. */
void aml_bytes(struct buf *b, const void *data, size_t n);

/* A resource template: a buffer of descriptors; end with aml_resources_end(). */
enum aml_space { AML_MEMORY = 0, AML_BUS = 2 };

size_t aml_resources(struct buf *b);
void aml_resources_end(struct buf *b, size_t opened);
void aml_ports(struct buf *b, uint64_t start, uint64_t size);
/** aml_isa_irq() - edge-triggered, as ISA devices have it. */
void aml_isa_irq(struct buf *b, unsigned irq);
/** aml_gsi() - edge-triggered, active high, for this device alone. */
void aml_gsi(struct buf *b, uint32_t gsi);
/** aml_range() - @producer: a bridge hands it on to devices; else the device itself is there. */
void aml_range(struct buf *b, enum aml_space space, bool producer, uint64_t start, uint64_t size);

#endif
