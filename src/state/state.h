/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what survives a snapshot, declared once. A table of rows (an X macro) gives the C struct,
 * the descriptor, encoder, decoder, defaults for older files, schema, documentation and the
 * inspector's output. Headers beside this one hold one table each; tables.c defines them all.
 *
 *   #define UART_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST)               \
 *   FIELD(T, 1, u8,  ier,              1, 0,  hex, "Interrupt Enable Register")              \
 *   FIELD(T, 2, u16, divisor,          1, 12, dec, "Baud rate divisor latch")                \
 *   FLAG(T,  3, thr_pending,           1, 0,       "Transmit interrupt not yet acknowledged")  \
 *   ENUM(T,  4, parity_names, parity,  1, 0,       "…")                                      \
 *   ARRAY(T, 5, u8,  rx, 16,           1,     hex, "Receive FIFO, oldest first")             \
 *   BYTES(T, 6, xsave, 16384,          1,          "…")         name, name_len               \
 *   TEXT(T,  7, id, 32,                1,          "…")         NUL-terminated, 32 at most     \
 *   RECORD(T,8, pci_state, pci,        1,          "…")         a record in the record         \
 *   LIST(T,  9, queue_state, queue, 8, 1,          "…")         name, name_n                 \
 *
 *   STATE_DECLARE(uart_state, UART_STATE);       in the header: struct uart_state
 *   STATE_DEFINE(uart_state, UART_STATE, "uart", 1, "16550A UART"); in tables.c
 *
 * Columns: id (never reused, ascending), type, name, the record version it appeared in ("since"),
 * its value in files older than that, how it is shown, what it means. Rows are append-only; a
 * type, unit or meaning never changes once released. A file whose record is version V must have
 * exactly the fields with since <= V: a missing, unknown, repeated or misordered one is an error.
 *
 * On the wire a record is a map {0: version, id: value, ...}; formats/snapshot.md says more.
 * Prefix: state_. Descriptors are constant; all functions may run in any thread.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "base/base.h"
#include "state/cbor.h"

#include <stdio.h>

enum state_type { STATE_U8, STATE_U16, STATE_U32, STATE_U64, STATE_BOOL };
enum state_show {
	SHOW_dec,
	SHOW_hex,
	SHOW_size,
	SHOW_ns,
	SHOW_arm64, /* hexadecimal, and in text the name of the register with that number */
};
enum state_shape {
	STATE_SCALAR,
	STATE_NAMED, /* u8 that has a name for each value */
	STATE_ARRAY, /* exactly n scalars; of u8 a byte string */
	STATE_BLOB,  /* 0 to n bytes */
	STATE_STRING, /* 0 to n bytes of printable UTF-8 */
	STATE_RECORD,
	STATE_LIST, /* 0 to n records */
};

struct state_names {
	const char *const *name; /* index is the value; NULL: a value that is not in use */
	size_t n;
};

struct state_field {
	uint16_t id;
	uint8_t shape, type, show;
	uint16_t since;
	const char *name, *meaning;
	size_t offset, count_offset; /* of the value, and of name_len or name_n */
	size_t n;		     /* elements, or the most there may be */
	uint64_t dflt;
	const struct state_names *names;
	const struct state_desc *record;
};

struct state_desc {
	const char *name; /* the record's type in files: "uart" */
	uint16_t version;
	const char *meaning;
	size_t size; /* of the C struct */
	const struct state_field *field;
	size_t n_fields;
};

/* Bound on nesting, lists in lists included: the decoder recurses no deeper. */
#define STATE_DEPTH_MAX 4

/** state_defaults() - every field its default; lists empty. @st: desc->size bytes. */
void state_defaults(const struct state_desc *d, void *st);

/** state_encode() - append the record at its current version to @out (see buf.failed). */
void state_encode(const struct state_desc *d, const void *st, struct buf *out);

/**
 * state_decode() - read one record
 * @in: hostile; on failure its position is undefined
 * @st: desc->size bytes; written whole on success, untouched on failure
 *
 * Allocates desc->size bytes, whatever the input claims. Values are range-checked by type only; what they
 * mean together is the owner's check.
 *
 * Returns 0, -ERR_TRUNCATED, -ERR_ENCODING, -ERR_TYPE, -ERR_RANGE, -ERR_MISSING, -ERR_UNKNOWN,
 * -ERR_DUPLICATE, -ERR_LIMIT, -ERR_VERSION, -ERR_NOMEM; @e->where names the field.
 */
int state_decode(const struct state_desc *d, struct cbor_in *in, void *st,
		 struct err *e) MUST_CHECK;

/** state_equal() - same value in every field (padding and unused list room do not count). */
bool state_equal(const struct state_desc *d, const void *a, const void *b);

/** state_text() - one "  name  value" line a field; records and elements of lists on lines of their
 * own, in one line if they are small. */
void state_text(const struct state_desc *d, const void *st, int indent, FILE *out);

/** state_json() - a JSON object, keys as named in the table; ends without a newline. */
struct json_t;
struct json_t *state_json(const struct state_desc *d, const void *st);

/**
 * state_from_json() - the opposite
 * @j:  hostile; must have exactly the record's fields
 * @st: desc->size bytes; written whole on success, untouched on failure
 *
 * Returns 0, -ERR_TYPE, -ERR_RANGE, -ERR_LIMIT, -ERR_MISSING, -ERR_UNKNOWN, -ERR_ENCODING,
 * -ERR_NOMEM; @e->where names the field.
 */
int state_from_json(const struct state_desc *d, const struct json_t *j, void *st,
		    struct err *e) MUST_CHECK;

/** state_file_json() - {"record": name, "version", name: state_json()}: what a file of one record
 * holds. Owned by the caller. */
struct json_t *state_file_json(const struct state_desc *d, const void *st);

/** state_read_file() - such a file; hostile, at most 1 MiB of it is read. Besides what
 * state_from_json() returns: -ERR_IO, -ERR_LIMIT, -ERR_MAGIC (another record), -ERR_VERSION. */
int state_read_file(const struct state_desc *d, const char *path, void *st,
		    struct err *e) MUST_CHECK;

/** state_cddl(), state_markdown() - the schema of the record at its current version. */
void state_cddl(const struct state_desc *d, FILE *out);
void state_markdown(const struct state_desc *d, FILE *out);

/** state_find() - descriptor by the type name in a file, or NULL. */
const struct state_desc *state_find(const char *name);

/* Every record that may stand in a file, in the order of the documents; then NULL. */
extern const struct state_desc *const state_all[];

/* --- the macros: one set of expansions for the struct, one for the descriptor ------------- */

#define STATE_C_u8  uint8_t
#define STATE_C_u16 uint16_t
#define STATE_C_u32 uint32_t
#define STATE_C_u64 uint64_t
#define STATE_T_u8  STATE_U8
#define STATE_T_u16 STATE_U16
#define STATE_T_u32 STATE_U32
#define STATE_T_u64 STATE_U64

#define STATE_M_FIELD(T, id, type, name, since, dflt, show, meaning) STATE_C_##type name;
#define STATE_M_FLAG(T, id, name, since, dflt, meaning)		     bool name;
#define STATE_M_ENUM(T, id, names, name, since, dflt, meaning)	     uint8_t name;
#define STATE_M_ARRAY(T, id, type, name, n, since, show, meaning)    STATE_C_##type name[n];
#define STATE_M_BYTES(T, id, name, max, since, meaning)                                            \
	uint32_t name##_len;                                                                       \
	uint8_t name[max];
#define STATE_M_TEXT(T, id, name, max, since, meaning)	      char name[(max) + 1];
#define STATE_M_RECORD(T, id, rec, name, since, meaning)      struct rec name;
#define STATE_M_LIST(T, id, rec, name, max, since, meaning)                                        \
	uint32_t name##_n;                                                                         \
	struct rec name[max];

#define STATE_D_(ID, SHAPE, TYPE, SHOW, SINCE, T, NAME, COUNT, N, DFLT, NAMES, REC, MEANING)       \
	{.id = ID, .shape = SHAPE, .type = TYPE, .show = SHOW, .since = SINCE, .name = #NAME,      \
	 .meaning = MEANING, .offset = offsetof(struct T, NAME), .count_offset = COUNT, .n = N,    \
	 .dflt = DFLT, .names = NAMES, .record = REC},
#define STATE_D_FIELD(T, id, type, name, since, dflt, show, meaning)                               \
	STATE_D_(id, STATE_SCALAR, STATE_T_##type, SHOW_##show, since, T, name, 0, 1, dflt, NULL,  \
		 NULL, meaning)
#define STATE_D_FLAG(T, id, name, since, dflt, meaning)                                            \
	STATE_D_(id, STATE_SCALAR, STATE_BOOL, SHOW_dec, since, T, name, 0, 1, dflt, NULL, NULL,   \
		 meaning)
#define STATE_D_ENUM(T, id, NAMES, name, since, dflt, meaning)                                     \
	STATE_D_(id, STATE_NAMED, STATE_U8, SHOW_dec, since, T, name, 0, 1, dflt, &NAMES, NULL,    \
		 meaning)
#define STATE_D_ARRAY(T, id, type, name, n, since, show, meaning)                                  \
	STATE_D_(id, STATE_ARRAY, STATE_T_##type, SHOW_##show, since, T, name, 0, n, 0, NULL,      \
		 NULL, meaning)
#define STATE_D_BYTES(T, id, name, max, since, meaning)                                            \
	STATE_D_(id, STATE_BLOB, STATE_U8, SHOW_hex, since, T, name,                               \
		 offsetof(struct T, name##_len), max, 0, NULL, NULL, meaning)
#define STATE_D_TEXT(T, id, name, max, since, meaning)                                             \
	STATE_D_(id, STATE_STRING, STATE_U8, SHOW_dec, since, T, name, 0, max, 0, NULL, NULL,      \
		 meaning)
#define STATE_D_RECORD(T, id, rec, name, since, meaning)                                           \
	STATE_D_(id, STATE_RECORD, STATE_U8, SHOW_dec, since, T, name, 0, 1, 0, NULL,              \
		 &rec##_desc, meaning)
#define STATE_D_LIST(T, id, rec, name, max, since, meaning)                                        \
	STATE_D_(id, STATE_LIST, STATE_U8, SHOW_dec, since, T, name,                               \
		 offsetof(struct T, name##_n), max, 0, NULL, &rec##_desc, meaning)

#define STATE_DECLARE(T, TABLE)                                                                    \
	struct T {                                                                                 \
		TABLE(T, STATE_M_FIELD, STATE_M_FLAG, STATE_M_ENUM, STATE_M_ARRAY, STATE_M_BYTES,  \
		      STATE_M_TEXT, STATE_M_RECORD, STATE_M_LIST)                                  \
	};                                                                                         \
	extern const struct state_desc T##_desc

#define STATE_DEFINE(T, TABLE, NAME, VERSION, MEANING)                                             \
	static const struct state_field T##_fields[] = {                                           \
		TABLE(T, STATE_D_FIELD, STATE_D_FLAG, STATE_D_ENUM, STATE_D_ARRAY, STATE_D_BYTES,  \
		      STATE_D_TEXT, STATE_D_RECORD, STATE_D_LIST)};                                \
	const struct state_desc T##_desc = {                                                       \
		.name = NAME,                                                                      \
		.version = VERSION,                                                                \
		.meaning = MEANING,                                                                \
		.size = sizeof(struct T),                                                          \
		.field = T##_fields,                                                               \
		.n_fields = ARRAY_LEN(T##_fields),                                                 \
	}

#endif
