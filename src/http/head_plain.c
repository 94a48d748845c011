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

/* Goes from line end to line end over the bits of the window. */
struct ends {
	const uint64_t *stop;
	size_t word;
	size_t last;   /* word */
	uint64_t bits; /* those of the word that are still to come */
};

/*
 * Bits of a word at which a run of stop bytes begins: one for each CR LF.
 * before is the word in front of it.
 */
static inline uint64_t
run_starts(uint64_t stop, uint64_t before)
{
	return stop & ~(stop << 1 | before >> 63);
}

static inline struct ends
ends_from(const uint64_t *stop, size_t at, size_t len)
{
	struct ends e = { stop, at / 64, len / 64, 0 };

	e.bits = run_starts(stop[e.word], e.word > 0 ? stop[e.word - 1] : 0) &
		 ~UINT64_C(0) << (at % 64);
	return e;
}

/* The next end; something behind the window when there is none. */
static inline size_t
next_end(struct ends *e)
{
	size_t end;

	while (e->bits == 0) {
		if (e->word == e->last)
			return SIZE_MAX - 1;
		e->word++;
		e->bits = run_starts(e->stop[e->word], e->stop[e->word - 1]);
	}
	end = e->word * 64 + (size_t)__builtin_ctzll(e->bits);
	e->bits &= e->bits - 1;
	return end;
}

/*
 * How many bytes from `at` on have no bit set; 0 also when they are more than
 * one look at the bits covers, at least 56.
 */
static inline size_t
clear_bits(const uint64_t *mask, size_t at)
{
	uint64_t bits;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&bits, (const char *)mask + at / 8, 8);
	bits >>= at % 8;
#else
	bits = mask[at / 64] >> (at % 64) | mask[at / 64 + 1] << 1
							      << (63 - at % 64);
#endif
	return bits != 0 ? (size_t)__builtin_ctzll(bits) : 0;
}

/*
 * The line of len bytes, of which name_len may be the name, becomes *f.
 * False when it is not plain: a long name or one with '_', no value, or
 * white space beyond one space behind the colon.
 */
static inline bool
split(const unsigned char *line, uint32_t at, size_t len, size_t name_len,
    struct http_field *f)
{
	size_t value = name_len + 1;

	if (name_len == 0 || line[name_len] != ':')
		return false;
	value += line[value] == ' ';
	if (line[value] <= ' ' || line[len - 1] <= ' ')
		return false;
	f->name.at = at;
	f->name.len = (uint32_t)name_len;
	f->value.at = at + (uint32_t)value;
	f->value.len = (uint32_t)(len - value);
	f->id = (uint8_t)http_field_id((const char *)line, name_len);
	f->underscore = false;
	return true;
}

uint32_t
http_head_plain_fields(struct http_head *h, const struct http_window *w,
    uint32_t begin, const struct http_limits *limits)
{
	const unsigned char *base = (const unsigned char *)w->data + w->base;
	uint32_t room =
	    h->field_room < limits->fields ? h->field_room : limits->fields;
	size_t at = begin - w->base, len = w->end - w->base, end;
	struct ends ends = ends_from(w->masks.stop, at, len);
	uint32_t count = h->field_count;

	/* No line of the window can then be too long. */
	if (len - at > limits->field_size)
		return begin;
	for (; count < room; at = end + 2) {
		struct http_field *f = &h->fields[count];

		end = next_end(&ends);
		if (end + 1 >= len || memcmp(base + end, "\r\n", 2) != 0 ||
		    !split(base + at, w->base + (uint32_t)at, end - at,
			clear_bits(w->masks.name, at), f))
			break;
		if (f->id != HTTP_F_OTHER) {
			h->field_count = count;
			if (http_head_field_done(h, w->data, f) != HTTP_DONE)
				break;
		}
		count++;
	}
	h->field_count = count;
	return w->base + (uint32_t)at;
}
