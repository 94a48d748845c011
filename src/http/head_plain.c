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

/* The longest name of the fast lane: what one look at the bits covers. */
#define NAME_BITS 63

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

/*
 * The line of data[at..end), CR LF behind it, becomes *f.  False when it is
 * not plain: a long name or one with '_', no value, or white space beyond
 * one space behind the colon.
 */
static inline bool
split(const struct http_window *w, uint32_t at, uint32_t end,
    struct http_field *f)
{
	const unsigned char *line = (const unsigned char *)w->data + at;
	uint64_t name = bits_from(w->masks.name, at - w->base);
	uint32_t len, value;

	/* The end of the line is no part of a name: there is a bit. */
	len = (uint32_t)__builtin_ctzll(name | UINT64_C(1) << NAME_BITS);
	if (len == 0 || line[len] != ':')
		return false;
	value = len + 1 + (line[len + 1] == ' ');
	if (line[value] <= ' ' || line[end - at - 1] <= ' ')
		return false;
	f->name = (struct http_part){ at, len };
	f->value = (struct http_part){ at + value, end - at - value };
	f->id = (uint8_t)http_field_id((const char *)line, len);
	f->underscore = false;
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

	/* Within the window no line can then be too long. */
	if (w->end - at > limits->field_size)
		return at;
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
		if (w->end - end < 2 || memcmp(w->data + end, "\r\n", 2) != 0 ||
		    !split(w, at, end, f))
			return at;
		if (f->id != HTTP_F_OTHER &&
		    http_head_field_done(h, w->data, f) != HTTP_DONE)
			return at;
		h->field_count++;
		at = end + 2;
	}
	return at;
}
