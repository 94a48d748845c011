/* SPDX-License-Identifier: MIT */
/* Byte ranges: what the client asks for, cut to what there is. */
#include "range.h"

#include <stdbool.h>

struct reader {
	const char *at;
	const char *end;
};

static bool
at_digit(const struct reader *r)
{
	return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

/*
 * Digits, at least one.  A number too large to hold is larger than any file
 * and becomes the largest.
 */
static bool
read_number(struct reader *r, int64_t *out)
{
	int64_t value = 0;

	*out = 0;
	if (!at_digit(r))
		return false;
	for (; at_digit(r); r->at++) {
		int digit = *r->at - '0';

		if (value > (INT64_MAX - digit) / 10)
			value = INT64_MAX;
		else
			value = value * 10 + digit;
	}
	*out = value;
	return true;
}

static void
skip_space(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
		r->at++;
}

/*
 * Reads FIRST-LAST, FIRST- or -SUFFIX.  False when it is none of them.
 * out->len is 0 when no byte of the file lies in it.
 */
static bool
read_spec(struct reader *r, int64_t size, struct range *out)
{
	bool suffix = !at_digit(r);
	int64_t first = 0, last = INT64_MAX;

	out->first = out->len = 0;
	if (!suffix && !read_number(r, &first))
		return false;
	if (r->at == r->end || *r->at != '-')
		return false;
	r->at++;
	if ((suffix || at_digit(r)) && !read_number(r, &last))
		return false;

	if (suffix) {
		out->len = last < size ? last : size;
		out->first = size - out->len;
		return true;
	}
	if (last < first)
		return false;
	if (first < size) {
		out->first = first;
		out->len = (last < size ? last : size - 1) - first + 1;
	}
	return true;
}

enum range_verdict
range_parse(struct bicorn_str value, int64_t size,
    struct range out[RANGE_MAX], size_t *count_out)
{
	static const char UNIT[] = "bytes=";
	const size_t unit_len = sizeof(UNIT) - 1;
	struct bicorn_str unit = { value.ptr, unit_len };
	struct reader r;
	int64_t total = 0;
	size_t asked = 0, count = 0;

	*count_out = 0;
	if (value.len < unit_len || !bicorn_str_ieq(unit, UNIT))
		return RANGE_WHOLE;
	r.at = value.ptr + unit_len;
	r.end = value.ptr + value.len;

	while (r.at < r.end) {
		struct range part;

		/* A list may hold empty members (RFC 9110, 5.6.1.2). */
		skip_space(&r);
		if (r.at < r.end && *r.at == ',') {
			r.at++;
			continue;
		}
		if (r.at == r.end)
			break;
		if (!read_spec(&r, size, &part))
			return RANGE_WHOLE;
		skip_space(&r);
		if (r.at < r.end && *r.at != ',')
			return RANGE_WHOLE;
		asked++;
		if (part.len == 0)
			continue;
		if (count == RANGE_MAX || part.len > size - total)
			return RANGE_WHOLE;
		total += part.len;
		out[count++] = part;
	}

	/* There is no way to name a part of an empty file: it is sent whole. */
	if (asked == 0 || (count == 0 && size == 0))
		return RANGE_WHOLE;
	*count_out = count;
	return count > 0 ? RANGE_PARTS : RANGE_UNSATISFIABLE;
}
