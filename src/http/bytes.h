/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_BYTES_H
#define BICORN_HTTP_BYTES_H

/*
 * What a byte may be in HTTP.  The sets are spelled once, as constant
 * expressions; the table here and the tables of the vector scanners are
 * both made of them and cannot disagree.  For the files of this room.
 */

#include <stdint.h>

#define HTTP_IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define HTTP_IS_UPPER(c) ((c) >= 'A' && (c) <= 'Z')
#define HTTP_IS_LOWER(c) ((c) >= 'a' && (c) <= 'z')
#define HTTP_IS_ALNUM(c) \
	(HTTP_IS_DIGIT(c) || HTTP_IS_UPPER(c) || HTTP_IS_LOWER(c))

/* tchar, RFC 9110, 5.6.2 */
#define HTTP_IS_TOKEN(c) \
	(HTTP_IS_ALNUM(c) || (c) == '!' || ((c) >= '#' && (c) <= '\'') || \
	    (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || \
	    ((c) >= '^' && (c) <= '`') || (c) == '|' || (c) == '~')

/* What ends a field value or may not stand in it: controls but HTAB. */
#define HTTP_IS_STOP(c) (((c) < 0x20 && (c) != '\t') || (c) == 0x7f)

/*
 * What a scan of the request target has to look at.  '_' is among them for
 * the sake of field names, in which it is to be found.
 */
#define HTTP_IS_MARK(c) \
	((c) <= ' ' || (c) == 0x7f || (c) == '#' || (c) == '?' || (c) == '_')

#define HTTP_IS_METHOD(c) \
	(HTTP_IS_TOKEN(c) && !HTTP_IS_LOWER(c) && (c) != '#')

/* unreserved and sub-delims of RFC 3986: reg-name but for '%' */
#define HTTP_IS_HOST(c) \
	(HTTP_IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || \
	    (c) == '~' || (c) == '!' || (c) == '$' || \
	    ((c) >= '&' && (c) <= ',') || (c) == ';' || (c) == '=')

enum http_byte {
	HTTP_B_STOP = 1,
	HTTP_B_NOT_TOKEN = 2,
	HTTP_B_MARK = 4,
	HTTP_B_METHOD = 8,
	HTTP_B_HOST = 16,
};

/* For each byte the sum of its enum http_byte. */
extern const uint8_t http_bytes[256];

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
