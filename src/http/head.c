/* SPDX-License-Identifier: MIT */
#include "http/head.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "http/bytes.h"
#include "http/head_private.h"

/*
 * The second pass, over the bits of http/scan.h: fields, and the whole.
 * Each take_ function does one phase: it returns HTTP_DONE when the phase is
 * over and *at stands behind it, HTTP_MORE when the bytes end before.
 * Verdicts depend on the bytes alone and not on how they are divided: a line
 * is too long as soon as anything happens, or the bytes end, beyond the
 * limit.
 */

/* A head beyond this cannot be described by 32-bit offsets with ease. */
#define HEAD_CAP (UINT32_C(1) << 30)

#define FIELDS_FIRST 32

enum http_verdict
http_head_fail(struct http_head *h, uint16_t status, const char *reason)
{
	h->status = status;
	h->reason = reason;
	h->phase = HTTP_PHASE_BAD;
	return HTTP_BAD;
}

/* The first byte from `at` on whose bit is set; the window's end if none. */
static inline uint32_t
next(const uint64_t *mask, const struct http_window *w, uint32_t at)
{
	uint32_t word = (at - w->base) / 64, bit = (at - w->base) % 64;
	uint64_t bits = mask[word] >> bit;

	if (bits != 0)
		return at + (uint32_t)__builtin_ctzll(bits);
	do
		word++;
	while (mask[word] == 0);
	return w->base + word * 64 + (uint32_t)__builtin_ctzll(mask[word]);
}

/* --- fields -------------------------------------------------------------- */

static enum http_verdict
field_too_long(struct http_head *h)
{
	return http_head_fail(h, 431, "header field too long");
}

/* Room for one more in h->fields. */
static enum http_verdict
reserve_field(struct http_head *h, uint32_t limit)
{
	uint32_t room = h->field_room;
	struct http_field *fields;

	if (h->field_count >= limit)
		return http_head_fail(h, 431, "too many header fields");
	if (h->field_count < room)
		return HTTP_DONE;
	room = room == 0 ? FIELDS_FIRST : room * 2;
	fields = realloc(h->fields, room * sizeof(*fields));
	if (fields == NULL)
		return http_head_fail(h, 503, "no memory");
	h->fields = fields;
	h->field_room = room;
	return HTTP_DONE;
}

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Why a byte cannot end a name. */
static enum http_verdict
bad_name(struct http_head *h, char c, bool first)
{
	bool space = is_blank(c);

	if (first && space)
		return http_head_fail(h, 400, "folded header field");
	if (space)
		return http_head_fail(h, 400, "space in a header name");
	return http_head_fail(h, 400, "invalid header name");
}

static inline enum http_verdict
take_name(struct http_head *h, const struct http_window *w, uint32_t *at,
    const struct http_limits *limits)
{
	uint32_t begin = h->line_at, i = *at;
	struct http_field *f;

	if (i == w->end)
		return HTTP_MORE;
	if (i == begin) {
		/* Where a line may go on, its end says little. */
		if (!(limits->permit & HTTP_PERMIT_FOLDING))
			begin = i = http_head_plain_fields(h, w, i, limits);
		h->line_at = begin;
		if (h->phase == HTTP_PHASE_BAD)
			return HTTP_BAD;
		if (i == w->end) {
			*at = i;
			return HTTP_MORE;
		}
		if (w->data[i] == '\r') {
			*at = i + 1;
			return http_next_phase(h, HTTP_PHASE_END_LF, i + 1);
		}
		if (reserve_field(h, limits->fields) != HTTP_DONE)
			return HTTP_BAD;
		h->fields[h->field_count].underscore = false;
	}
	f = &h->fields[h->field_count];
	for (;; i++) {
		i = next(w->masks.name, w, i);
		if (i == w->end || w->data[i] != '_')
			break;
		f->underscore = true;
	}
	if (i - begin > limits->field_size)
		return field_too_long(h);
	*at = i;
	if (i == w->end)
		return HTTP_MORE;
	if (i == begin)
		return bad_name(h, w->data[i], true);
	f->name = http_part(begin, i);
	if (is_blank(w->data[i]) && (limits->permit & HTTP_PERMIT_SPACES))
		return http_next_phase(h, HTTP_PHASE_NAME_SPACE, i);
	if (w->data[i] != ':')
		return bad_name(h, w->data[i], false);
	*at = i + 1;
	return http_next_phase(h, HTTP_PHASE_SPACE, i + 1);
}

/* White space between name and colon, which is permitted here. */
static enum http_verdict
take_name_space(struct http_head *h, const struct http_window *w,
    uint32_t *at, uint32_t limit)
{
	uint32_t i = *at;

	while (i < w->end && is_blank(w->data[i]))
		i++;
	*at = i;
	if (i - h->line_at > limit)
		return field_too_long(h);
	if (i == w->end)
		return HTTP_MORE;
	if (w->data[i] != ':')
		return bad_name(h, w->data[i], false);
	*at = i + 1;
	return http_next_phase(h, HTTP_PHASE_SPACE, i + 1);
}

static inline enum http_verdict
take_space(struct http_head *h, const struct http_window *w, uint32_t *at,
    uint32_t limit)
{
	uint32_t i = *at;

	while (i < w->end && (w->data[i] == ' ' || w->data[i] == '\t'))
		i++;
	*at = i;
	if (i - h->line_at > limit)
		return field_too_long(h);
	if (i == w->end)
		return HTTP_MORE;
	return http_next_phase(h, HTTP_PHASE_VALUE, i);
}

static inline enum http_verdict
take_value(struct http_head *h, const struct http_window *w, uint32_t *at,
    uint32_t limit)
{
	uint32_t i = next(w->masks.stop, w, *at), end = i;

	*at = i;
	if (i - h->line_at > limit)
		return field_too_long(h);
	if (i == w->end)
		return HTTP_MORE;
	if (w->data[i] == '\n')
		return http_head_fail(h, 400, "LF without CR");
	if (w->data[i] != '\r')
		return http_head_fail(h, 400, "control byte in a field");
	while (end > h->part_at &&
	       (w->data[end - 1] == ' ' || w->data[end - 1] == '\t'))
		end--;
	h->fields[h->field_count].value = http_part(h->part_at, end);
	*at = i + 1;
	return http_next_phase(h, HTTP_PHASE_VALUE_LF, i + 1);
}

/* The field that was read is complete, and *at behind its line. */
static inline enum http_verdict
finish_field(struct http_head *h, const struct http_window *w, uint32_t at)
{
	struct http_field *f = &h->fields[h->field_count];
	struct span name = http_span(w->data, f->name);

	f->id = (uint8_t)http_field_id(name.ptr, name.len);
	if (f->id != HTTP_F_OTHER &&
	    http_head_field_done(h, w->data, f) != HTTP_DONE)
		return HTTP_BAD;
	h->field_count++;
	h->line_at = at;
	return http_next_phase(h, HTTP_PHASE_NAME, at);
}

static inline enum http_verdict
take_value_lf(struct http_head *h, const struct http_window *w, uint32_t *at,
    const struct http_limits *limits)
{
	if (*at == w->end)
		return HTTP_MORE;
	if (w->data[*at] != '\n')
		return http_head_fail(h, 400, "CR without LF");
	*at += 1;
	if (limits->permit & HTTP_PERMIT_FOLDING) {
		/* The value may go on: where it began is still needed. */
		h->phase = HTTP_PHASE_FOLD;
		return HTTP_DONE;
	}
	return finish_field(h, w, *at);
}

/* The line that begins here is a field of its own, or more of the last. */
static enum http_verdict
take_fold(struct http_head *h, const struct http_window *w, const uint32_t *at)
{
	struct http_field *f = &h->fields[h->field_count];

	if (*at == w->end)
		return HTTP_MORE;
	if (is_blank(w->data[*at])) {
		http_rewrite(w, *at - 2, ' ');
		http_rewrite(w, *at - 1, ' ');
		return http_next_phase(h, HTTP_PHASE_VALUE, f->value.at);
	}
	/* The first line may have been empty. */
	while (f->value.len > 0 && is_blank(w->data[f->value.at])) {
		f->value.at++;
		f->value.len--;
	}
	return finish_field(h, w, *at);
}

static enum http_verdict
take_end(struct http_head *h, const struct http_window *w, uint32_t *at)
{
	if (*at == w->end)
		return HTTP_MORE;
	if (w->data[*at] != '\n')
		return http_head_fail(h, 400, "CR without LF");
	if (http_head_finish(h) != HTTP_DONE)
		return HTTP_BAD;
	*at += 1;
	h->length = *at;
	return http_next_phase(h, HTTP_PHASE_DONE, *at);
}

/* --- the whole ----------------------------------------------------------- */

static inline enum http_verdict
take_phase(struct http_head *h, const struct http_window *w, uint32_t *at,
    const struct http_limits *limits)
{
	switch ((enum http_phase)h->phase) {
	case HTTP_PHASE_START:
	case HTTP_PHASE_START_LF:
	case HTTP_PHASE_METHOD:
	case HTTP_PHASE_TARGET:
	case HTTP_PHASE_VERSION:
		return http_head_line(h, w, at, limits);
	case HTTP_PHASE_NAME:
		return take_name(h, w, at, limits);
	case HTTP_PHASE_NAME_SPACE:
		return take_name_space(h, w, at, limits->field_size);
	case HTTP_PHASE_SPACE:
		return take_space(h, w, at, limits->field_size);
	case HTTP_PHASE_VALUE:
		return take_value(h, w, at, limits->field_size);
	case HTTP_PHASE_VALUE_LF:
		return take_value_lf(h, w, at, limits);
	case HTTP_PHASE_FOLD:
		return take_fold(h, w, at);
	case HTTP_PHASE_END_LF:
		return take_end(h, w, at);
	case HTTP_PHASE_DONE:
	case HTTP_PHASE_BAD:
		break;
	}
	return HTTP_BAD;
}

/* Goes through one window, from h->searched on. */
static enum http_verdict
take_window(struct http_head *h, const struct http_window *w,
    const struct http_limits *limits)
{
	uint32_t at = w->base;
	enum http_verdict v;

	do
		v = take_phase(h, w, &at, limits);
	while (v == HTTP_DONE && h->phase != HTTP_PHASE_DONE);
	h->searched = at;
	return v;
}

enum http_verdict
http_head_parse_with(struct http_head *h, const char *data, size_t len,
    const struct http_limits *limits, http_scan_fn *scan)
{
	uint32_t end = len < HEAD_CAP ? (uint32_t)len : HEAD_CAP;
	enum http_verdict v = HTTP_MORE;
	struct http_window w;

	if (h->phase == HTTP_PHASE_DONE)
		return HTTP_DONE;
	if (h->phase == HTTP_PHASE_BAD)
		return HTTP_BAD;
	w.data = data;
	while (v == HTTP_MORE && h->searched < end) {
		w.base = h->searched;
		w.end =
		    end - w.base < HTTP_SCAN_MAX ? end : w.base + HTTP_SCAN_MAX;
		scan(data + w.base, w.end - w.base, w.base, &w.masks);
		v = take_window(h, &w, limits);
	}
	if (v == HTTP_MORE && end == HEAD_CAP)
		return http_head_fail(h, 431, "head too large");
	return v;
}

enum http_verdict
http_head_parse(struct http_head *h, const char *data, size_t len,
    const struct http_limits *limits)
{
	return http_head_parse_with(h, data, len, limits, http_scan_best());
}

size_t
http_head_max(const struct http_limits *limits)
{
	uint64_t max = HTTP_EMPTY_LINES_MAX * 2 + (uint64_t)limits->line + 2 +
		       limits->fields * ((uint64_t)limits->field_size + 2) + 2;

	return max < HEAD_CAP ? (size_t)max : HEAD_CAP;
}

void
http_head_reset(struct http_head *h)
{
	char *begin = (char *)h;
	uint32_t room = h->field_room;
	size_t at = offsetof(struct http_head, field_count);

	/*
	 * What lies before and behind the pointer: two short runs of plain
	 * stores, where a whole struct would cost a slow string instruction.
	 */
	memset(begin, 0, offsetof(struct http_head, fields));
	memset(begin + at, 0, sizeof(*h) - at);
	h->field_room = room;
}

void
http_head_fini(struct http_head *h)
{
	free(h->fields);
	*h = (struct http_head){ 0 };
}

const struct http_field *
http_head_field(const struct http_head *h, const char *data, struct span name)
{
	for (uint32_t i = 0; i < h->field_count; i++)
		if (h->fields[i].name.len == name.len &&
		    span_ieq(http_span(data, h->fields[i].name), name))
			return &h->fields[i];
	return NULL;
}
