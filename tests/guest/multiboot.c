/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A multiboot kernel that says on COM1 what it was told, and ends by the debug-exit port: with
 * EXIT_GOOD if the state of the machine is what the specification promises.
 */
#include "port.h"

#include <stdbool.h>
#include <stdint.h>

#define COM1	   0x3f8
#define DEBUG_EXIT 0xf4
#define EXIT_GOOD  0x10
#define EXIT_BAD   0x11
#define CR0_PE	   0x00000001u
#define CR0_PG	   0x80000000u
#define MAGIC	   0x2badb002u

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4], mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr, config_table, boot_loader_name, apm_table;
};

struct module {
	uint32_t start, end, string, reserved;
};

struct range {
	uint32_t size, base[2], length[2], type;
};

void multiboot(uint32_t magic, const struct info *info) __attribute__((noreturn));

static uint8_t zeros[5000];

static void say(const char *s)
{
	for (; *s; s++)
		out8(COM1, (uint8_t)*s);
}

static void say_hex(const char *name, uint32_t high, uint32_t low)
{
	char digits[17];

	for (unsigned i = 0; i < 16; i++)
		digits[i] = "0123456789abcdef"[(i < 8 ? high : low) >> (28 - 4 * (i & 7)) & 15];
	digits[16] = 0;
	say(name);
	say("=0x");
	say(digits);
}

static void end(uint32_t code) __attribute__((noreturn));
static void end(uint32_t code)
{
	asm volatile("outl %0, %1" : : "a"(code), "Nd"((uint16_t)DEBUG_EXIT));
	for (;;)
		asm volatile("cli; hlt");
}

static void say_module(const struct module *m)
{
	uint32_t sum = 0;

	for (const uint8_t *p = (const uint8_t *)m->start; p < (const uint8_t *)m->end; p++)
		sum = sum * 31 + *p;
	say_hex("MODULE start", 0, m->start);
	say_hex(" bytes", 0, m->end - m->start);
	say_hex(" sum", 0, sum);
	say("\n");
}

static bool machine_is_right(uint32_t magic)
{
	uint32_t cr0, flags;
	uint16_t ds, ss;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("pushf; pop %0" : "=r"(flags));
	asm volatile("mov %%ds, %0; mov %%ss, %1" : "=r"(ds), "=r"(ss));
	for (unsigned i = 0; i < sizeof zeros; i++)
		if (((volatile uint8_t *)zeros)[i])
			return false;
	return magic == MAGIC && cr0 & CR0_PE && !(cr0 & CR0_PG) && !(flags & 0x20200) && ds == ss;
}

void multiboot(uint32_t magic, const struct info *info)
{
	const struct module *m = (const struct module *)info->mods_addr;
	uint32_t at = info->mmap_addr;

	say_hex("MULTIBOOT flags", 0, info->flags);
	say_hex(" lower", 0, info->mem_lower);
	say_hex(" upper", 0, info->mem_upper);
	say("\nLOADER ");
	say((const char *)info->boot_loader_name);
	say("\nCMDLINE ");
	say((const char *)info->cmdline);
	say("\n");
	for (uint32_t i = 0; i < info->mods_count; i++)
		say_module(m + i);
	while (at < info->mmap_addr + info->mmap_length) {
		const struct range *r = (const struct range *)at;
		say_hex("MAP base", r->base[1], r->base[0]);
		say_hex(" length", r->length[1], r->length[0]);
		say_hex(" type", 0, r->type);
		say("\n");
		at += r->size + 4;
	}
	end(machine_is_right(magic) ? EXIT_GOOD : EXIT_BAD);
}
