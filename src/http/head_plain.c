/* SPDX-License-Identifier: MIT */
/*
 * The fast lane of the head parser: field lines that are complete and plain,
 * which nearly all are.  Anything else is left to the phases of head.c,
 * which accept and refuse the same, only slower.
 *
 * Where lines end is known from the bits alone, so that a processor works on
 * several lines at once: no line waits for what the one before it says.
 */
#include <string.h>

#include "http/head_private.h"

/* Bits of a word at which a run of stop bytes begins: one for each CR LF. */
static inline uint64_t
run_starts(const uint64_t *stop, uint32_t word)
{
	uint64_t carry = word > 0 ? stop[word - 1] >> 63 : 0;

	return stop[word] & ~(stop[word] << 1 | carry);
}

/* 64 bits from bit i on. */
static inline uint64_t
bits_from(const uint64_t *mask, uint32_t i)
{
	uint32_t word = i / 64, bit = i % 64;

	return mask[word] >> bit | mask[word + 1] << 1 << (63 - bit);
}

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * The line of data[at..end), CR LF behind it, becomes *f.  False when it is
 * not plain: no name of at most 63 bytes, or white space beyond one space
 * behind the colon.
 */
static inline bool
split(const struct http_window *w, uint32_t at, uint32_t end,
    struct http_field *f)
{
	uint64_t name = bits_from(w->masks.name, at - w->base);
	uint64_t mark = bits_from(w->masks.mark, at - w->base);
	uint32_t len, value;

	if (name == 0)
		return false;
	len = (uint32_t)__builtin_ctzll(name);
	if (len == 0 || w->data[at + len] != ':')
		return false;
	value = at + len + 1;
	value += w->data[value] == ' ';
	if (is_space(w->data[value]) || is_space(w->data[end - 1]))
		return false;
	/* Of the marks only '_' and '#' are bytes of a name. */
	mark &= (UINT64_C(1) << len) - 1;
	f->name = (struct http_part){ at, len };
	f->value = (struct http_part){ value, end - value };
	f->id = (uint8_t)http_field_id(w->data + at, len);
	f->underscore = mark != 0 && memchr(w->data + at, '_', len) != NULL;
	return true;
}

uint32_t
http_head_plain_fields(struct http_head *h, const struct http_window *w,
    uint32_t at, const struct http_limits *limits)
{
	const uint64_t *stop = w->masks.stop;
	uint32_t word = (at - w->base) / 64, last = (w->end - w->base) / 64;
	uint64_t ends = run_starts(stop, word) &
	    ~UINT64_C(0) << ((at - w->base) % 64);
	uint32_t room = h->field_room < limits->fields ? h->field_room :
							 limits->fields;

	while (h->field_count < room) {
		struct http_field *f = &h->fields[h->field_count];
		uint32_t end;

		while (ends == 0) {
			if (word == last)
				return at;
			ends = run_starts(stop, ++word);
		}
		end = w->base + word * 64 + (uint32_t)__builtin_ctzll(ends);
		ends &= ends - 1;
		if (w->end - end < 2 || memcmp(w->data + end, "\r\n", 2) != 0)
			return at;
		if (end - at > limits->field_size || !split(w, at, end, f))
			return at;
		if (f->id != HTTP_F_OTHER &&
		    http_head_field_done(h, w->data, f) != HTTP_DONE)
			return at;
		h->field_count++;
		at = end + 2;
	}
	return at;
}
