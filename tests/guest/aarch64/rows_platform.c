/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of devices that are not on PCI. */
#include "rows.h"

#define UARTS 4

/* PC16550D */
#define UART_IER     1
#define UART_IIR     2
#define UART_LSR     5
#define UART_SCRATCH 7
#define LSR_DATA     0x01
#define IER_EMPTY    0x02

/* Arm DDI0224, PL031 */
#define RTC_DATA     0x0
#define RTC_MATCH    0x4
#define RTC_CONTROL  0xc
#define RTC_MASK     0x10
#define RTC_RAW	     0x14
#define RTC_CLEAR    0x1c
#define RTC_ID	     0xfe0
#define RTC_ID_WORDS 8

/* drivers/cpufreq/virtual-cpufreq.c of Linux */
#define FREQ_SET     0x4
#define FREQ_ENTRIES 0x8
#define FREQ_SELECT  0xc
#define FREQ_ENTRY   0x10

static const char *const uart_row[UARTS] = {
    "SERIAL_ADDR[0]",
    "SERIAL_ADDR[1]",
    "SERIAL_ADDR[2]",
    "SERIAL_ADDR[3]",
};
static uint64_t uart[UARTS], rtc;

static void find_uarts(void)
{
	int node = FDT_NONE;

	for (unsigned i = 0; i < UARTS; i++) {
		node = fdt_next_compatible(node, "ns16550a");
		CHECK(node != FDT_NONE, "serial port %u", i);
		uart[i] = mmu_reg(node, 0).start;
	}
}

void hold(void)
{
	find_uarts();
	say("HOLD\n");
	while (!(in8(uart[1] + UART_LSR) & LSR_DATA))
		relax();
	in8(uart[1]);
}

/* Lines are shared by two ports each; only one of them is on at a time. */
static void on_uart(uint32_t id)
{
	for (unsigned i = 0; i < UARTS; i++)
		if (in8(uart[i] + UART_IER)) {
			in8(uart[i] + UART_IIR);
			out8(uart[i] + UART_IER, 0);
		}
}

static void uarts(void)
{
	char text[] = "UART n pass n\n";
	int node = FDT_NONE;

	find_uarts();
	for (unsigned i = 0; i < UARTS; i++) {
		uint64_t scratch = uart[i] + UART_SCRATCH;
		node = fdt_next_compatible(node, "ns16550a");
		uint32_t line = fdt_interrupt(node, 0);
		CHECK(!rows_pass || in8(scratch) == (uint8_t)rows_mark(0, i), "scratch of %u: 0x%x",
		      i, in8(scratch));
		out8(scratch, (uint8_t)rows_mark(rows_pass, i));
		CHECK(in8(scratch) == (uint8_t)rows_mark(rows_pass, i), "scratch of %u", i);
		text[5] = (char)('0' + i);
		text[12] = (char)('0' + rows_pass);
		say_on(uart[i], text);
		gic_enable(line, false, on_uart);
		uint32_t before = gic_count(line);
		out8(uart[i] + UART_IER, IER_EMPTY);
		gic_await(line, before);
		row(uart_row[i], uart[i]);
		say(" line=%u scratch=0x%x\n", line, in8(scratch));
	}
}

static void on_rtc(uint32_t id)
{
	out32(rtc + RTC_MASK, 0);
	out32(rtc + RTC_CLEAR, 1);
}

static void clock(void)
{
	static const uint8_t id[RTC_ID_WORDS] = {0x31, 0x10, 0, 0, 0x0d, 0xf0, 0x05, 0xb1};
	int node = fdt_next_compatible(FDT_NONE, "arm,pl031");

	if (node == FDT_NONE)
		return;
	rtc = mmu_reg(node, 0).start;
	for (unsigned i = 0; i < RTC_ID_WORDS; i++) {
		uint8_t v = (uint8_t)in32(rtc + RTC_ID + 4 * i);
		/* The third has the revision in its upper half, and the designer in the other. */
		CHECK(i == 2 ? (v & 0xf) == 4 : v == id[i], "word %u of the RTC's id: 0x%x", i, v);
	}
	uint32_t line = fdt_interrupt(node, 0), before = gic_count(line);
	uint32_t seconds = in32(rtc + RTC_DATA);
	gic_enable(line, false, on_rtc);
	out32(rtc + RTC_CONTROL, 1);
	out32(rtc + RTC_MATCH, seconds + 1);
	out32(rtc + RTC_MASK, 1);
	gic_await(line, before);
	CHECK(in32(rtc + RTC_DATA) > seconds, "the RTC stands still");
	row("AARCH64_RTC_ADDR", rtc);
	say(" line=%u seconds=%u\n", line, seconds);
}

/* Of the first CPU, which asks for a half and then for a third. */
static void frequency(void)
{
	int node = fdt_next_compatible(FDT_NONE, "qemu,virtual-cpufreq");

	if (node == FDT_NONE)
		return;
	uint64_t at = mmu_reg(node, 0).start;
	uint32_t entries = in32(at + FREQ_ENTRIES), most = 0;
	CHECK(entries, "no frequencies");
	for (uint32_t i = 0; i < entries; i++) {
		out32(at + FREQ_SELECT, i);
		uint32_t v = in32(at + FREQ_ENTRY);
		most = v > most ? v : most;
	}
	CHECK(!rows_pass || in32(at) == most / 2, "frequency %u of %u", in32(at), most);
	out32(at + FREQ_SET, most / (2 + rows_pass));
	row("AARCH64_VIRTFREQ_BASE", at);
	say(" entries=%u most=%u now=%u\n", entries, most, in32(at));
}

/* It changes, and that is told, when the machine is another one than before. */
static void generation(void)
{
	int node = fdt_next_compatible(FDT_NONE, "microsoft,vmgenid");
	struct range r = fdt_need_reg(node, 0);
	uint32_t line = fdt_interrupt(node, 0);
	const uint64_t *id = (const uint64_t *)r.start;

	mmu_map(r.start, r.size, MMU_MEMORY);
	gic_enable(line, true, NULL);
	irqs_on();
	irqs_off();
	row("VMGENID_PAGE", r.start);
	say(" line=%u id=0x%lx,0x%lx told=%u\n", line, id[0], id[1], gic_count(line));
}

static void debug_exit(void)
{
	int node = fdt_next_compatible(FDT_NONE, "vmm,debug-exit");

	if (node == FDT_NONE)
		return;
	uint64_t at = mmu_reg(node, 0).start;
	row("plat_mmio_base", at);
	say(" code=%u\n", in32(at));
}

void rows_platform(void)
{
	uarts();
	clock();
	frequency();
	generation();
	debug_exit();
}
