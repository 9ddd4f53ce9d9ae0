/* SPDX-License-Identifier: Apache-2.0 */
/* The console, the words of the command line, and how it ends. */
#include "guest.h"

#include <stdarg.h>

#define PSCI_SYSTEM_OFF 0x84000008

#define UART_DATA   0
#define UART_STATUS 5
#define UART_EMPTY  0x20

static uint64_t console;
static uint64_t debug_exit;
static const char *words = "";
static bool locked;

void say_on(uint64_t uart, const char *text)
{
	for (; *text; text++) {
		while (!(in8(uart + UART_STATUS) & UART_EMPTY))
			relax();
		out8(uart + UART_DATA, (uint8_t)*text);
	}
}

static void put(const char *text)
{
	if (console)
		say_on(console, text);
}

static void put_number(uint64_t v, unsigned base)
{
	char digits[24], *p = digits + sizeof digits;

	*--p = 0;
	do
		*--p = "0123456789abcdef"[v % base];
	while (v /= base);
	put(p);
}

static void put_format(const char *f, va_list ap)
{
	for (char one[2] = ""; *f; f++) {
		if (*f != '%') {
			one[0] = *f;
			put(one);
			continue;
		}
		bool wide = false;
		while (*++f == 'l')
			wide = true;
		if (*f == 's')
			put(va_arg(ap, const char *));
		else
			put_number(wide ? va_arg(ap, uint64_t) : va_arg(ap, uint32_t),
				   *f == 'x' ? 16 : 10);
	}
}

/* Lines of several CPUs do not mix; interrupt handlers do not speak. */
void say(const char *format, ...)
{
	va_list ap;

	while (__atomic_exchange_n(&locked, true, __ATOMIC_ACQUIRE))
		relax();
	va_start(ap, format);
	put_format(format, ap);
	va_end(ap);
	__atomic_store_n(&locked, false, __ATOMIC_RELEASE);
}

void power_off(void)
{
	hvc(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		asm volatile("wfi");
}

void end(uint32_t code)
{
	if (debug_exit)
		out32(debug_exit, code);
	power_off();
}

/* Whoever has the lock may be the one that fails. */
void failed(const char *format, ...)
{
	va_list ap;

	put("FAILED ");
	va_start(ap, format);
	put_format(format, ap);
	va_end(ap);
	put("\n");
	end(EXIT_FAILED);
}

void fault(uint64_t esr, uint64_t elr, uint64_t far)
{
	failed("exception: cpu %u esr 0x%lx elr 0x%lx far 0x%lx", cpu_self(), esr, elr, far);
}

/* --- words ----------------------------------------------------------------------------------- */

bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* What follows @name where it is a word, NULL where it is none. */
static const char *find_word(const char *name, char next)
{
	for (const char *s = words; *s;) {
		const char *n = name;
		while (*n && *s == *n)
			s++, n++;
		if (!*n && (*s == next || (next == ' ' && !*s)))
			return s;
		while (*s && *s != ' ')
			s++;
		while (*s == ' ')
			s++;
	}
	return NULL;
}

bool has_word(const char *name)
{
	return find_word(name, ' ');
}

uint64_t word_number(const char *name, uint64_t otherwise)
{
	const char *s = find_word(name, '=');
	uint64_t v = 0;

	if (!s++)
		return otherwise;
	bool hex = s[0] == '0' && s[1] == 'x';
	for (s += hex ? 2 : 0;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v * (hex ? 16 : 10) + (uint64_t)(*s - '0');
		else if (hex && *s >= 'a' && *s <= 'f')
			v = v * 16 + (uint64_t)(*s - 'a') + 10;
		else
			break;
	}
	return *s == 'K' ? v << 10 : *s == 'M' ? v << 20 : *s == 'G' ? v << 30 : v;
}

uint64_t checksum(const void *data, uint64_t bytes)
{
	const uint8_t *tail = (const uint8_t *)data + bytes / 8 * 8;
	const uint64_t *word = data;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < bytes / 8; i++)
		sum = sum * 31 + word[i];
	for (uint64_t i = 0; i < bytes % 8; i++)
		sum = sum * 31 + tail[i];
	return sum;
}

void say_init(void)
{
	int chosen = fdt_child(0, "chosen");
	int exit = fdt_next_compatible(FDT_NONE, "vmm,debug-exit");
	const char *path = (const char *)fdt_property(chosen, "stdout-path", 2, NULL);
	const char *args = (const char *)fdt_property(chosen, "bootargs", 1, NULL);
	int uart = path && path[0] == '/' ? fdt_child(0, path + 1) : FDT_NONE;

	if (exit != FDT_NONE)
		debug_exit = mmu_reg(exit, 0).start;
	if (uart != FDT_NONE)
		console = mmu_reg(uart, 0).start;
	if (args)
		words = args;
}
