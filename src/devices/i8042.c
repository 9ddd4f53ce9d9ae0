/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/i8042.h"

#include "state/i8042.h"

#include <stdlib.h>

enum {
	CMD_READ_CONTROL = 0x20,
	CMD_WRITE_CONTROL = 0x60,
	CMD_TEST_MOUSE = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_TEST_KEYBOARD = 0xab,
	CMD_READ_OUTPUT_PORT = 0xd0,
	CMD_WRITE_OUTPUT_PORT = 0xd1,
	CMD_PULSE = 0xf0, /* output lines whose bit (3-0) is 0 go low for 6 us */

	SELF_TEST_PASSED = 0x55,
	TEST_CLOCK_LOW = 0x01, /* nothing answers on that interface */

	PORT_RESET = 0x01, /* low: the processor is held in reset */
	PORT_A20 = 0x02,   /* always open */

	STATUS_OUTPUT_FULL = 0x01,
	STATUS_SYSTEM = 0x04, /* self test passed */
	STATUS_COMMAND = 0x08,
	STATUS_NOT_LOCKED = 0x10,
};

struct i8042 {
	struct device dev;
	struct i8042_state st;
	struct device_events *events;
};

static struct i8042 *i8042_of(struct device *d)
{
	return (struct i8042 *)d;
}

static void answer(struct i8042_state *st, uint8_t v)
{
	st->output = v;
	st->output_full = true;
}

static void reset_line(struct i8042 *k, uint8_t lines)
{
	if (!(lines & PORT_RESET))
		k->events->happened(k->events, DEVICE_RESET, 0);
}

static uint64_t data_read(struct device *d, uint64_t offset, unsigned len)
{
	struct i8042_state *st = &i8042_of(d)->st;

	st->output_full = false;
	return st->output;
}

/* Without a command before it the byte is for the keyboard that is not there. */
static void data_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	struct i8042 *k = i8042_of(d);

	if (k->st.command == CMD_WRITE_CONTROL)
		k->st.control = (uint8_t)v;
	else if (k->st.command == CMD_WRITE_OUTPUT_PORT)
		reset_line(k, (uint8_t)v);
	k->st.command = 0;
	k->st.last_was_command = false;
}

static uint64_t status_read(struct device *d, uint64_t offset, unsigned len)
{
	const struct i8042_state *st = &i8042_of(d)->st;

	return STATUS_SYSTEM | STATUS_NOT_LOCKED | (st->output_full ? STATUS_OUTPUT_FULL : 0) |
	       (st->last_was_command ? STATUS_COMMAND : 0);
}

static void command_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	struct i8042 *k = i8042_of(d);
	uint8_t command = (uint8_t)v;

	k->st.command = 0;
	k->st.last_was_command = true;
	switch (command) {
	case CMD_READ_CONTROL:
		answer(&k->st, k->st.control);
		break;
	case CMD_SELF_TEST:
		answer(&k->st, SELF_TEST_PASSED);
		break;
	case CMD_TEST_KEYBOARD:
	case CMD_TEST_MOUSE:
		answer(&k->st, TEST_CLOCK_LOW);
		break;
	case CMD_READ_OUTPUT_PORT:
		answer(&k->st, PORT_RESET | PORT_A20);
		break;
	case CMD_WRITE_CONTROL:
	case CMD_WRITE_OUTPUT_PORT:
		k->st.command = command;
		break;
	default:
		if (command >= CMD_PULSE)
			reset_line(k, command);
	}
}

const struct bus_ops i8042_data_ops = {data_read, data_write};
const struct bus_ops i8042_command_ops = {status_read, command_write};

static int on_check(const struct device *d, const void *state, struct err *e)
{
	const struct i8042_state *st = state;

	if (st->command && st->command != CMD_WRITE_CONTROL && st->command != CMD_WRITE_OUTPUT_PORT)
		return err_set(e, ERR_RANGE, "command 0x%x waits for no data", st->command);
	return 0;
}

static void on_reset(struct device *d)
{
	state_defaults(d->cls->state, d->st);
}

/* Acts only when the guest writes: there is nothing to stop, to update or to bring in line. */
static const struct device_class i8042_class = {
    .type = "i8042",
    .state = &i8042_state_desc,
    .pause = device_nothing,
    .resume = device_nothing,
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = device_nothing,
    .reset = on_reset,
    .free = device_free,
};

struct device *i8042_new(const char *id, struct device_events *events, struct err *e)
{
	struct i8042 *k = calloc(1, sizeof *k);

	if (!k) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&k->dev, &i8042_class, id, &k->st);
	k->events = events;
	return &k->dev;
}
