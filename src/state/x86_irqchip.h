/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt controllers and timer that KVM emulates on x86-64. */
#ifndef STATE_X86_IRQCHIP_H
#define STATE_X86_IRQCHIP_H

#include "state/state.h"

#define X86_IOAPIC_PINS 24

/* clang-format off */
#define X86_PIC_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u8, last_irr, 1, 0, hex, "Line levels, for edge detection") \
	FIELD(T, 2, u8, irr, 1, 0, hex, "Interrupt request register") \
	FIELD(T, 3, u8, imr, 1, 0, hex, "Interrupt mask register") \
	FIELD(T, 4, u8, isr, 1, 0, hex, "In-service register") \
	FIELD(T, 5, u8, priority_add, 1, 0, dec, "Line of highest priority") \
	FIELD(T, 6, u8, irq_base, 1, 0, hex, "Vector of line 0") \
	FLAG(T, 7, read_isr, 1, 0, "Reads give the ISR rather than the IRR") \
	FLAG(T, 8, poll, 1, 0, "The next read polls") \
	FLAG(T, 9, special_mask, 1, 0, "Special mask mode") \
	FIELD(T, 10, u8, init_state, 1, 0, dec, "Initialization command word awaited") \
	FLAG(T, 11, auto_eoi, 1, 0, "Automatic end of interrupt") \
	FLAG(T, 12, rotate_on_auto_eoi, 1, 0, "Rotate priorities at automatic end of interrupt") \
	FLAG(T, 13, special_fully_nested, 1, 0, "Special fully nested mode") \
	FLAG(T, 14, init4, 1, 0, "A fourth initialization word follows") \
	FIELD(T, 15, u8, elcr, 1, 0, hex, "Lines that are level-triggered") \
	FIELD(T, 16, u8, elcr_mask, 1, 0, hex, "Lines that may be")

STATE_DECLARE(x86_pic, X86_PIC_STATE);

#define X86_PIT_CHANNEL_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, count, 1, 0, dec, "Reload value, 65536 for 0") \
	FIELD(T, 2, u16, latched_count, 1, 0, dec, "Count latched for reading") \
	FIELD(T, 3, u8, count_latched, 1, 0, dec, "Bytes of it left to read") \
	FLAG(T, 4, status_latched, 1, 0, "The status is latched for reading") \
	FIELD(T, 5, u8, status, 1, 0, hex, "Status byte") \
	FIELD(T, 6, u8, read_state, 1, 0, dec, "Byte that the next read gives") \
	FIELD(T, 7, u8, write_state, 1, 0, dec, "Byte that the next write sets") \
	FIELD(T, 8, u8, write_latch, 1, 0, hex, "Low byte written") \
	FIELD(T, 9, u8, rw_mode, 1, 0, dec, "Access mode") \
	FIELD(T, 10, u8, mode, 1, 0, dec, "Counting mode") \
	FLAG(T, 11, bcd, 1, 0, "Counts in BCD") \
	FLAG(T, 12, gate, 1, 0, "Gate input")

STATE_DECLARE(x86_pit_channel, X86_PIT_CHANNEL_STATE);

#define X86_IRQCHIP_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	RECORD(T, 1, x86_pic, pic_master, 1, "8259A, lines 0 to 7") \
	RECORD(T, 2, x86_pic, pic_slave, 1, "8259A, lines 8 to 15") \
	FIELD(T, 3, u64, ioapic_base, 1, 0, hex, "I/O APIC: where it answers") \
	FIELD(T, 4, u32, ioapic_select, 1, 0, hex, "I/O APIC: register selected") \
	FIELD(T, 5, u32, ioapic_id, 1, 0, hex, "I/O APIC: identification") \
	FIELD(T, 6, u32, ioapic_irr, 1, 0, hex, "I/O APIC: lines asserted") \
	ARRAY(T, 7, u64, ioapic_redirection, X86_IOAPIC_PINS, 1, hex, \
	      "I/O APIC: redirection table (82093AA, 3.2.4)") \
	LIST(T, 8, x86_pit_channel, pit, 3, 1, "8254 channels; they start to count anew when loaded") \
	FIELD(T, 9, u32, pit_flags, 1, 0, hex, "1: the HPET's legacy mode silences channel 0")

STATE_DECLARE(x86_irqchip, X86_IRQCHIP_STATE);
/* clang-format on */

#endif
