/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int num_parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -ERR_USAGE;
	/* Never octal: a leading zero is no reason to give a guest less. */
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	errno = 0;
	unsigned long long v = strtoull(text, &end, hex ? 16 : 10);
	if (errno || end == text)
		return -ERR_USAGE;
	if (*end) {
		const char *u = strchr(units, toupper((unsigned char)*end));
		if (!u || end[1])
			return -ERR_USAGE;
		if (!num_mul(v, 1ull << (10 * (u - units + 1)), out))
			return -ERR_USAGE;
		return 0;
	}
	*out = v;
	return 0;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool num_unhex(const char *digits, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = digit(digits[2 * i]), low = high < 0 ? -1 : digit(digits[2 * i + 1]);
		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

const char *num_hex(const uint8_t *bytes, size_t n, char *digits)
{
	static const char all[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		digits[2 * i] = all[bytes[i] >> 4];
		digits[2 * i + 1] = all[bytes[i] & 15];
	}
	digits[2 * n] = '\0';
	return digits;
}

uint16_t num_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

uint32_t num_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

uint64_t num_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

void num_put_le16(void *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof v);
}

void num_put_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

void num_put_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}
