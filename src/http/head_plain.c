/* SPDX-License-Identifier: MIT */
/*
 * The fast lane of the head parser: field lines that are complete and plain,
 * which nearly all are.  Anything else is left to the phases of head.c,
 * which accept and refuse the same, only slower.
 *
 * Where lines end is known from the bits alone, so that a processor works on
 * several lines at once: no line waits for what the one before it says.
 */
#include <stddef.h>
#include <string.h>

#include "http/head_private.h"

/* Goes from line end to line end over the bits of the window. */
struct ends {
	const uint64_t *stop; /* a word */
	const uint64_t *last; /* word */
	size_t at;            /* of the word's first bit */
	uint64_t bits;        /* those of the word that are still to come */
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
	size_t word = at / 64;
	struct ends e = { stop + word, stop + len / 64, word * 64, 0 };

	e.bits = run_starts(*e.stop, word > 0 ? e.stop[-1] : 0) &
		 ~UINT64_C(0) << (at % 64);
	return e;
}

/* The next end; something behind the window when there is none. */
static inline size_t
next_end(struct ends *e)
{
	size_t end;

	while (e->bits == 0) {
		if (e->stop == e->last)
			return SIZE_MAX - 1;
		e->stop++;
		e->at += 64;
		e->bits = run_starts(*e->stop, e->stop[-1]);
	}
	end = e->at + (size_t)__builtin_ctzll(e->bits);
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

/* As two assignments, which compilers make more of than one store. */
static inline void
put_part(struct http_part *part, size_t at, size_t len)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t both = (uint64_t)len << 32 | (uint32_t)at;

	_Static_assert(sizeof(*part) == sizeof(both) &&
		offsetof(struct http_part, at) == 0, "at, then len");
	memcpy(part, &both, sizeof(both));
#else
	part->at = (uint32_t)at;
	part->len = (uint32_t)len;
#endif
}

/* Where the lines stand, and where their fields go to. */
struct lane {
	const unsigned char *base; /* of the window */
	const uint64_t *name;      /* its masks.name */
	size_t len;                /* of the window */
	size_t begin;              /* in the caller's bytes, of the window */
	size_t at;                 /* the next line, in the window */
	struct ends ends;
	struct http_field *f;      /* the next field */
	struct http_field *behind; /* the last there is room for */
};

/*
 * Goes on to a line that is not plain, for which it returns false, or whose
 * field may be one that the server knows, which *l stands at; end_out is then
 * its end.  Not plain is a long name or one with '_', no value, or white
 * space beyond one space behind the colon.
 *
 * Nothing is called in here, so that all of it stays in registers.
 */
static inline bool
next_known(struct lane *lane, size_t *end_out)
{
	struct lane l = *lane;
	bool known = false;

	while (l.f < l.behind) {
		const unsigned char *line = l.base + l.at;
		size_t end = next_end(&l.ends), name_len, value;

		if (end + 1 >= l.len || memcmp(l.base + end, "\r\n", 2) != 0)
			break;
		name_len = clear_bits(l.name, l.at);
		if (name_len == 0 || line[name_len] != ':')
			break;
		value = name_len + 1;
		value += line[value] == ' ';
		if (line[value] <= ' ' || l.base[end - 1] <= ' ')
			break;
		put_part(&l.f->name, l.begin + l.at, name_len);
		put_part(&l.f->value, l.begin + l.at + value,
		    end - l.at - value);
		l.f->id = HTTP_F_OTHER;
		l.f->underscore = false;
		known = http_field_letters[name_len & 63] >> (*line & 31) & 1;
		*end_out = end;
		if (known)
			break;
		l.at = end + 2;
		l.f++;
	}
	*lane = l;
	return known;
}

uint32_t
http_head_plain_fields(struct http_head *h, const struct http_window *w,
    uint32_t begin, const struct http_limits *limits)
{
	uint32_t room =
	    h->field_room < limits->fields ? h->field_room : limits->fields;
	struct lane l = {
		.base = (const unsigned char *)w->data + w->base,
		.name = w->masks.name,
		.len = w->end - w->base,
		.begin = w->base,
		.at = begin - w->base,
	};
	size_t end;

	if (room == 0)
		return begin;
	/* No line of the window can then be too long. */
	if (l.len - l.at > limits->field_size)
		return begin;
	l.f = h->fields + h->field_count;
	l.behind = h->fields + room;
	l.ends = ends_from(w->masks.stop, l.at, l.len);
	while (next_known(&l, &end)) {
		struct http_field *f = l.f;

		f->id = (uint8_t)http_field_id_known(
		    w->data + f->name.at, f->name.len);
		h->field_count = (uint32_t)(f - h->fields);
		if (f->id != HTTP_F_OTHER &&
		    http_head_field_done(h, w->data, f) != HTTP_DONE)
			break;
		l.at = end + 2;
		l.f++;
	}
	h->field_count = (uint32_t)(l.f - h->fields);
	return w->base + (uint32_t)l.at;
}
