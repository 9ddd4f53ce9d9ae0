/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550A serial port. */
#ifndef STATE_UART_H
#define STATE_UART_H

#include "state/state.h"

#define UART_FIFO 16

/* clang-format off */
#define UART_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u8, ier, 1, 0, hex, "Interrupt Enable Register") \
	FIELD(T, 2, u8, fcr, 1, 0, hex, "FIFO Control Register, bits that stay: enable (0), receiver trigger (7-6)") \
	FIELD(T, 3, u8, lcr, 1, 0, hex, "Line Control Register") \
	FIELD(T, 4, u8, mcr, 1, 0, hex, "Modem Control Register") \
	FIELD(T, 5, u8, scr, 1, 0, hex, "Scratch Register") \
	FIELD(T, 6, u16, divisor, 1, 12, dec, "Divisor Latch: 1843200 / (16 * divisor) baud") \
	FLAG(T, 7, overrun, 1, 0, "Overrun error not yet read from the Line Status Register") \
	FIELD(T, 8, u8, msr_delta, 1, 0, hex, "Modem Status Register bits 3-0, changes not yet read") \
	FLAG(T, 9, thr_pending, 1, 0, "Transmitter-empty interrupt not yet acknowledged") \
	FIELD(T, 10, u8, rx_n, 1, 0, dec, "Characters in the receiver FIFO") \
	ARRAY(T, 11, u8, rx, UART_FIFO, 1, hex, "Receiver FIFO, oldest first")

STATE_DECLARE(uart_state, UART_STATE);
/* clang-format on */

#endif
