/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_BYTES_H
#define BICORN_HTTP_BYTES_H

/*
 * What a byte may be in HTTP.  The sets are spelled once, as constant
 * expressions; the table here and the tables of the vector scanners are
 * both made of them and cannot disagree.  For the files of this room.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HTTP_IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define HTTP_IS_UPPER(c) ((c) >= 'A' && (c) <= 'Z')
#define HTTP_IS_LOWER(c) ((c) >= 'a' && (c) <= 'z')
#define HTTP_IS_ALNUM(c)                                                       \
	(HTTP_IS_DIGIT(c) || HTTP_IS_UPPER(c) || HTTP_IS_LOWER(c))

/* tchar, RFC 9110, 5.6.2 */
#define HTTP_IS_TOKEN(c)                                                       \
	(HTTP_IS_ALNUM(c) || (c) == '!' || ((c) >= '#' && (c) <= '\'') ||      \
	    (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' ||            \
	    ((c) >= '^' && (c) <= '`') || (c) == '|' || (c) == '~')

/* What ends a field value or may not stand in it: controls but HTAB. */
#define HTTP_IS_STOP(c) (((c) < 0x20 && (c) != '\t') || (c) == 0x7f)

/* Nearly every byte of a name.  '_' is a token, but has to be noticed. */
#define HTTP_IS_PLAIN_NAME(c) (HTTP_IS_TOKEN(c) && (c) != '_')

/* What ends a request target, its path, or may not stand in it. */
#define HTTP_IS_MARK(c) ((c) <= ' ' || (c) == 0x7f || (c) == '#' || (c) == '?')

#define HTTP_IS_METHOD(c) (HTTP_IS_TOKEN(c) && !HTTP_IS_LOWER(c) && (c) != '#')

/* unreserved and sub-delims of RFC 3986: reg-name but for '%' */
#define HTTP_IS_HOST(c)                                                        \
	(HTTP_IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' ||         \
	    (c) == '~' || (c) == '!' || (c) == '$' ||                          \
	    ((c) >= '&' && (c) <= ',') || (c) == ';' || (c) == '=')

enum http_byte {
	HTTP_B_STOP = 1,
	HTTP_B_NOT_PLAIN = 2,
	HTTP_B_NOT_TOKEN = 4,
	HTTP_B_MARK = 8,
	HTTP_B_METHOD = 16,
	HTTP_B_HOST = 32,
};

/* For each byte the sum of its enum http_byte. */
extern const uint8_t http_bytes[256];

/* 8 copies of a byte. */
#define HTTP_EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* 8 bytes at p, the first one lowest. */
static inline uint64_t
http_load8(const char *p)
{
	uint64_t x;

	memcpy(&x, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap64(x);
#endif
	return x;
}

/*
 * Bytes of x below a limit of at most 128, or equal to one: 0x80 in them,
 * and perhaps in bytes above the lowest of them.  0 only when there is none.
 */
static inline uint64_t
http_below(uint64_t x, unsigned limit)
{
	return (x - HTTP_EIGHT(limit)) & ~x & HTTP_EIGHT(0x80);
}

static inline uint64_t
http_equal(uint64_t x, unsigned byte)
{
	return http_below(x ^ HTTP_EIGHT(byte), 1);
}

/*
 * Whether 8 bytes are those of known, which is in lower case, in any case:
 * bit 5 makes no difference where known has a letter.
 */
static inline bool
http_same_8_bytes(const char *p, const char *known)
{
	uint64_t k = http_load8(known);

	return ((http_load8(p) ^ k) & ~((k & HTTP_EIGHT(0x40)) >> 1)) == 0;
}

/* For len of 8 to 16: the two halves may overlap. */
static inline bool
http_same8(const char *p, const char *known, size_t len)
{
	return http_same_8_bytes(p, known) &&
	       http_same_8_bytes(p + len - 8, known + len - 8);
}

/* For len of 4 to 8. */
static inline bool
http_same4(const char *p, const char *known, size_t len)
{
	uint32_t a, b, c, d, mask = UINT32_C(0x40404040);

	memcpy(&a, p, 4);
	memcpy(&b, p + len - 4, 4);
	memcpy(&c, known, 4);
	memcpy(&d, known + len - 4, 4);
	return (((a ^ c) & ~((c & mask) >> 1)) |
		   ((b ^ d) & ~((d & mask) >> 1))) == 0;
}

/* The value of a hexadecimal digit, -1 for any other byte. */
static inline int
http_hex(unsigned char c)
{
	unsigned digit = c - (unsigned)'0', letter = (c | 0x20u) - 'a';

	if (digit < 10)
		return (int)digit;
	return letter < 6 ? (int)letter + 10 : -1;
}

#endif
