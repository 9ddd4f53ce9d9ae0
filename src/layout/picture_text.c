/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/picture_parts.h"
#include "layout/print.h"

#include <inttypes.h>
#include <string.h>

#define REPLACEMENT 0xfffd

/* Left after the first byte of a UTF-8 sequence; -1 when it cannot be one (RFC 3629). */
static int follow_of(unsigned char lead)
{
	return lead < 0x80		     ? 0
	       : lead >= 0xc2 && lead < 0xe0 ? 1
	       : lead >= 0xe0 && lead < 0xf0 ? 2
	       : lead >= 0xf0 && lead < 0xf5 ? 3
					     : -1;
}

/* What cannot stand in XML, cannot be seen, or would turn round the text beside it. */
static bool hidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || (c >= 0xd800 && c <= 0xf8ff) || c == 0xfeff ||
	       (c >= 0xfff0 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe || c > 0x10ffff;
}

/* The next character; a byte that begins none is one by itself. */
static uint32_t next(const char **text)
{
	const unsigned char *p = (const unsigned char *)*text;
	static const uint32_t least[] = {0, 0x80, 0x800, 1u << 16};
	int follow = follow_of(*p);
	uint32_t c = follow > 0 ? *p & (0x3f >> follow) : *p;

	for (int i = 1; i <= follow; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			follow = -1;
			break;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	*text += follow > 0 ? follow + 1 : 1;
	return follow < 0 || c < least[follow] || hidden(c) ? REPLACEMENT : c;
}

/* From the Hangul letters on, many are twice as wide. */
static unsigned cells_of(uint32_t c)
{
	return c < 0x1100 || c == REPLACEMENT || (c >= 0x2000 && c < 0x2e80) ? 1 : 2;
}

static void put_char(uint32_t c, FILE *out)
{
	switch (c) {
	case '&':
		fputs("&amp;", out);
		break;
	case '<':
		fputs("&lt;", out);
		break;
	case '>':
		fputs("&gt;", out);
		break;
	case '"':
		fputs("&quot;", out);
		break;
	case '\'':
		fputs("&#39;", out);
		break;
	default:
		if (c < 0x80)
			fputc((int)c, out);
		else
			fprintf(out, "&#x%" PRIx32 ";", c);
	}
}

void picture_put_part_(const char *text, unsigned from, unsigned n, FILE *out)
{
	unsigned at = 0;

	while (*text) {
		uint32_t c = next(&text);
		unsigned cells = cells_of(c);
		if (at >= from && at - from + cells <= n)
			put_char(c, out);
		else if (at >= from)
			break;
		at += cells;
	}
}

void picture_put_(const char *text, FILE *out)
{
	picture_put_part_(text, 0, UINT16_MAX, out);
}

unsigned picture_cells_(const char *text)
{
	unsigned n = 0;

	while (*text && n < UINT16_MAX)
		n += cells_of(next(&text));
	return n;
}

bool picture_ascii_(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}

/* The common monospaced fonts advance by at most 0.6021 of their size. */
int picture_width_(unsigned cells, enum picture_font font)
{
	return ((int)cells * (int)font * 61 + 99) / 100;
}

const char *picture_size_(uint64_t bytes, bool ports, char buf[static 32])
{
	static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t n, u = 0;

	if (ports || bytes < KIB) {
		snprintf(buf, 32, ports ? "%" PRIu64 : "%" PRIu64 " B", bytes);
		return buf;
	}
	n = strspn(layout_size_text(bytes, buf), "0123456789");
	if (n <= 4 && buf[n])
		return buf;
	/* In sixteenths, printed in tenths. */
	for (bytes /= KIB / 16; bytes / 16 >= KIB && u + 1 < ARRAY_LEN(unit); u++)
		bytes /= KIB;
	snprintf(buf, 32, "\u2248%" PRIu64 ".%" PRIu64 " %s", bytes / 16, bytes % 16 * 10 / 16,
		 unit[u]);
	return buf;
}
