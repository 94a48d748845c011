/* SPDX-License-Identifier: MIT */
#include "base/span.h"

#include <stdint.h>
#include <stdlib.h>

static unsigned char
lower(unsigned char c)
{
	return (unsigned char)(c - (unsigned)'A' < 26u ? c | 0x20 : c);
}

bool
span_ieq(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower((unsigned char)a.ptr[i]) !=
		    lower((unsigned char)b.ptr[i]))
			return false;
	return true;
}

struct span
span_trim(struct span s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 &&
	    (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool
span_next(struct span *rest, char sep, struct span *part_out)
{
	const char *cut;

	*part_out = *rest;
	if (rest->ptr == NULL)
		return false;
	cut = rest->len > 0 ? memchr(rest->ptr, sep, rest->len) : NULL;
	if (cut == NULL) {
		*rest = SPAN_NONE;
		return true;
	}
	part_out->len = (size_t)(cut - rest->ptr);
	rest->len -= part_out->len + 1;
	rest->ptr = cut + 1;
	return true;
}

bool
span_uint(struct span s, unsigned long long *value_out)
{
	const unsigned long long max = INT64_MAX;
	unsigned long long value = 0;

	*value_out = 0;
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - '0';

		if (digit > 9 || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*value_out = value;
	return true;
}

char *
span_dup(struct span s)
{
	char *copy = malloc(s.len + 1);

	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.ptr, s.len);
	copy[s.len] = '\0';
	return copy;
}
