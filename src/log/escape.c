/* SPDX-License-Identifier: MIT */
/*
 * Escaping for logs.  Nearly all bytes are plain, so runs of them are found
 * and copied eight at a time.
 */
#include "log/escape.h"

#include <stdint.h>
#include <string.h>

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Not 0 when one of the eight bytes of v is c. */
static uint64_t
has_byte(uint64_t v, unsigned char c)
{
	v ^= ONES * c;
	return (v - ONES) & ~v & HIGHS;
}

/* Eight bytes that no flag but ESCAPE_SPACES could object to. */
static bool
all_plain(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return ((v & HIGHS) | ((v - ONES * 0x20) & ~v & HIGHS) |
		   has_byte(v, '"') | has_byte(v, '\\') |
		   has_byte(v, 0x7f)) == 0;
}

/*
 * The length of the UTF-8 character at p, 0 when there is none or when it
 * is a control character (U+0080 to U+009F).
 */
static size_t
utf8_length(const unsigned char *p, size_t left)
{
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	unsigned low = 0x80, high = 0xbf;

	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
		return 0;
	if (p[0] == 0xc2 || p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static size_t
put_hex(char *out, unsigned char c, unsigned flags)
{
	static const char digits[] = "0123456789abcdef";

	if ((flags & ESCAPE_JSON) != 0) {
		memcpy(out, c < 0x80 ? "\\u0000" : "\\ufffd", 6);
		if (c < 0x80) {
			out[4] = digits[c >> 4];
			out[5] = digits[c & 15];
		}
		return 6;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = digits[c >> 4];
	out[3] = digits[c & 15];
	return 4;
}

/*
 * Writes one character to out, which has room for ESCAPE_GROWTH bytes, and
 * stores how many bytes of input it took.
 */
static size_t
put_one(char *out, const unsigned char *p, size_t left, unsigned flags,
    size_t *taken_out)
{
	size_t n;

	*taken_out = 1;
	if (p[0] >= 0x80) {
		n = utf8_length(p, left);
		if (n == 0)
			return put_hex(out, p[0], flags);
		memcpy(out, p, n);
		*taken_out = n;
		return n;
	}
	if ((p[0] == '"' || p[0] == '\\') && (flags & ESCAPE_QUOTES) != 0) {
		out[0] = '\\';
		out[1] = (char)p[0];
		return 2;
	}
	if (p[0] == ' ' && (flags & ESCAPE_SPACES) != 0)
		return put_hex(out, p[0], flags);
	if ((p[0] < 0x20 || p[0] == 0x7f) &&
	    !((p[0] == '\n' || p[0] == '\t') && (flags & ESCAPE_LINES) != 0))
		return put_hex(out, p[0], flags);
	out[0] = (char)p[0];
	return 1;
}

size_t
escape_put(char *out, size_t room, const char **in, size_t *len,
    unsigned flags)
{
	const bool by_eight = (flags & ESCAPE_SPACES) == 0;
	const char *p = *in;
	size_t left = *len, used = 0;

	while (left > 0 && room - used >= ESCAPE_GROWTH) {
		size_t taken;

		while (by_eight && left >= 8 && room - used >= 8 &&
		    all_plain(p)) {
			memcpy(out + used, p, 8);
			p += 8;
			left -= 8;
			used += 8;
		}
		if (left == 0 || room - used < ESCAPE_GROWTH)
			break;
		used += put_one(out + used, (const unsigned char *)p, left,
		    flags, &taken);
		p += taken;
		left -= taken;
	}
	*in = p;
	*len = left;
	return used;
}
