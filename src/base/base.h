/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what everything stands on. Errors, checked arithmetic, guest addresses, growable
 * buffers, hostile-safe file reading, digests.
 *
 * Prefixes: err_, num_, gpa_, buf_, io_, sha256_. Nothing here prints, exits or keeps state of its
 * own; every function may be called from any thread on objects of its own.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK   __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

/* --- errors ------------------------------------------------------------------------------ */

/* Codes are pinned: tests and formats/next/bad name them. Grouped by whose fault it is. */
enum err_code {
	/* the caller's: the request itself makes no sense */
	ERR_USAGE = 1,	    /* argument that cannot be understood or combined */
	ERR_NAME = 2,	    /* no such VM, device, definition, field */
	ERR_WRONG_STATE = 3,	    /* not possible in the state the VM is in */
	/* the input's: bytes from a file, a socket or a guest are wrong */
	ERR_TRUNCATED = 20, /* ends before what it announces */
	ERR_MAGIC = 21,	    /* not the kind of file it should be */
	ERR_VERSION = 22,   /* a version this build does not read */
	ERR_FEATURE = 23,   /* requires a feature this build lacks */
	ERR_CHECKSUM = 24,  /* digest differs */
	ERR_ENCODING = 25,  /* malformed or not deterministically encoded */
	ERR_TYPE = 26,	    /* another type than the field has */
	ERR_RANGE = 27,	    /* value outside what the field may hold */
	ERR_MISSING = 28,   /* mandatory field or record absent */
	ERR_UNKNOWN = 29,   /* field or record nobody declared */
	ERR_DUPLICATE = 30, /* the same thing twice */
	ERR_LIMIT = 31,	    /* more than the stated maximum */
	ERR_STRUCTURE = 32, /* parts that do not fit together */
	ERR_SIGNATURE = 33, /* no signature, a wrong one, or somebody else's */
	ERR_KEY = 34,	    /* a key is missing, wrong, or cannot be used */
	/* a mismatch: valid, but not for this machine, build or host */
	ERR_INCOMPATIBLE = 50,
	/* the environment's */
	ERR_IO = 70,
	ERR_NOSPACE = 71,
	ERR_NOMEM = 72,
	ERR_KVM = 73,
	ERR_BUSY = 74,	    /* locked by somebody else */
	ERR_TIMEOUT = 75,
	ERR_CANCELLED = 76,
	/* ours */
	ERR_BUG = 90,
};

#define ERR_NO_OFFSET UINT64_MAX

/**
 * struct err - one failure, filled where it happened, on the caller's stack
 * @code:   an enum err_code, 0 while nothing has failed
 * @sys:    errno of the failing call, 0 if none
 * @offset: byte offset in the input, ERR_NO_OFFSET if there is none
 * @file:   the file that it is about, "" for none
 * @where:  what was being read or done, outermost first ("uart0.divisor")
 * @msg:    what was wrong with it
 */
struct err {
	int code;
	int sys;
	uint64_t offset;
	char file[128];
	char where[128];
	char msg[256];
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		.offset = ERR_NO_OFFSET                                                            \
	}

/**
 * err_set() - describe a failure
 * @e: filled; may be NULL
 *
 * Returns -@code, so that a function can `return err_set(e, ERR_X, ...)`.
 */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);

/** err_sys() - as err_set(), for a failed system call: keeps @sys_errno, ENOSPC becomes
 * ERR_NOSPACE and ENOMEM ERR_NOMEM whatever @code says. Returns the negative code. */
int err_sys(struct err *e, enum err_code code, int sys_errno, const char *fmt, ...) PRINTF(4, 5);

/** err_at() - as err_set(), with the byte offset in the input. */
int err_at(struct err *e, enum err_code code, uint64_t offset, const char *fmt, ...) PRINTF(4, 5);

/** err_where() - put "name" before what is already in @e->where; @e may be NULL. */
void err_where(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/** err_file() - the file that the failure is about, unless that is known; @e may be NULL. */
void err_file(struct err *e, const char *path);

/** err_text() - the one line for people, without program name or newline; returns @buf. */
const char *err_text(const struct err *e, char *buf, size_t size);

/** err_code_name() - "CHECKSUM" for ERR_CHECKSUM; "?" for a number that is none. */
const char *err_code_name(int code);

/* --- numbers ------------------------------------------------------------------------------ */

static inline bool num_add(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline bool num_mul(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* @align is a power of two; false when the result does not fit. */
static inline bool num_align_up(uint64_t v, uint64_t align, uint64_t *out)
{
	if (!num_add(v, align - 1, out))
		return false;
	*out &= ~(align - 1);
	return true;
}

/* True when [start, start+size) lies inside [outer, outer+outer_size), without overflow. */
static inline bool num_inside(uint64_t start, uint64_t size, uint64_t outer, uint64_t outer_size)
{
	return start >= outer && size <= outer_size && start - outer <= outer_size - size;
}

/** num_parse_size() - "512M", "4G", "0x1000": powers of two; 0 or -ERR_USAGE. */
int num_parse_size(const char *text, uint64_t *out) MUST_CHECK;

/** num_unhex() - @n bytes from 2 * @n digits as this project writes them: 0 to 9, a to f. False for
 * anything else, @out undefined. In place is fine. */
bool num_unhex(const char *digits, uint8_t *out, size_t n) MUST_CHECK;
/** num_hex() - the other way: 2 * @n digits and a NUL; returns @digits. */
const char *num_hex(const uint8_t *bytes, size_t n, char *digits);

/* Little-endian fields of any alignment. */
uint16_t num_le16(const void *p);
uint32_t num_le32(const void *p);
uint64_t num_le64(const void *p);
void num_put_le16(void *p, uint16_t v);
void num_put_le32(void *p, uint32_t v);
void num_put_le64(void *p, uint64_t v);

/* --- guest physical addresses ------------------------------------------------------------- */

/* Cannot be dereferenced or mixed up with a host address; layout/mem.h turns it into a pointer. */
struct gpa {
	uint64_t v;
};

static inline struct gpa gpa(uint64_t v)
{
	return (struct gpa){v};
}

/* Wraps like the address bus does: the bound is checked where the address is used. */
static inline struct gpa gpa_add(struct gpa a, uint64_t n)
{
	return gpa(a.v + n);
}

/* --- growable buffer ---------------------------------------------------------------------- */

/* @failed sticks once an allocation failed: write freely, check once at the end. */
struct buf {
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

#define BUF_INIT                                                                                   \
	{                                                                                          \
		0                                                                                  \
	}

void buf_free(struct buf *b);
void buf_put(struct buf *b, const void *data, size_t n);
/** buf_grow() - room for @n more bytes at the end; NULL when memory is out (and @failed set). */
void *buf_grow(struct buf *b, size_t n);

/* --- input and output --------------------------------------------------------------------- */

/**
 * struct io_src - random access to bytes that somebody else wrote
 * @size: total bytes, fixed when it was opened
 *
 * A file that shrinks later gives -ERR_TRUNCATED, never SIGBUS: nothing is mapped.
 */
struct io_src {
	uint64_t size;
	int fd;		     /* -1: bytes in memory */
	const uint8_t *data; /* borrowed */
};

/** io_src_fd() - @fd is borrowed. Returns 0 or -ERR_IO (not a regular file or block device). */
int io_src_fd(struct io_src *src, int fd, struct err *e) MUST_CHECK;
void io_src_mem(struct io_src *src, const void *data, size_t size);

/** io_read_at() - exactly @n bytes at @offset. Returns 0, -ERR_TRUNCATED, -ERR_IO. */
int io_read_at(const struct io_src *src, void *out, size_t n, uint64_t offset,
	       struct err *e) MUST_CHECK;

/** io_next_data() - the first byte from @offset on that is in no hole of the file; its size if
 * there is none. */
uint64_t io_next_data(const struct io_src *src, uint64_t offset);

/** io_write_all() - all @n bytes to a file, pipe or socket. Returns 0, -ERR_IO, -ERR_NOSPACE. */
int io_write_all(int fd, const void *data, size_t n, struct err *e) MUST_CHECK;
int io_write_all_at(int fd, const void *data, size_t n, uint64_t offset, struct err *e) MUST_CHECK;

/** io_read_file() - a whole file of at most @max bytes into @out (owned by the caller). */
int io_read_file(const char *path, size_t max, struct buf *out, struct err *e) MUST_CHECK;

/* Monotonic and wall clock, in nanoseconds. */
uint64_t io_now_ns(void);
uint64_t io_realtime_ns(void);

/* --- digests ------------------------------------------------------------------------------ */

#define SHA256_BYTES 32

struct sha256; /* owned by the caller of sha256_new() */

/** sha256_of() - digest of one piece. Aborts only when libcrypto has no SHA-256 at all. */
void sha256_of(const void *data, size_t n, uint8_t out[static SHA256_BYTES]);
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *h, const void *data, size_t n);
/** sha256_end() - writes the digest and frees @h. */
void sha256_end(struct sha256 *h, uint8_t out[static SHA256_BYTES]);
/** sha256_hex() - 64 digits and a NUL; returns @out. */
const char *sha256_hex(const uint8_t digest[static SHA256_BYTES],
		       char out[static 2 * SHA256_BYTES + 1]);

#endif
