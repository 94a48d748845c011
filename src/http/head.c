/* SPDX-License-Identifier: MIT */
#include "http/head.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "http/bytes.h"
#include "http/head_private.h"

/*
 * The second pass, over the bits of http/scan.h.  Each take_ function does
 * one phase: it returns HTTP_DONE when the phase is over and *at stands
 * behind it, HTTP_MORE when the bytes end before.  Verdicts depend on the
 * bytes alone and not on how they are divided: a line is too long as soon
 * as anything happens, or the bytes end, beyond the limit.
 */

/* A head beyond this cannot be described by 32-bit offsets with ease. */
#define HEAD_CAP (UINT32_C(1) << 30)

#define METHOD_MIN 3
#define METHOD_MAX 20
#define EMPTY_LINES_MAX 2
#define FIELDS_FIRST 32
#define VERSION_LEN 10 /* "HTTP/1.1" CR LF */
#define VERSION_CR 8

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

static inline enum http_verdict
next_phase(struct http_head *h, enum http_phase phase, uint32_t part_at)
{
	h->phase = (uint8_t)phase;
	h->part_at = part_at;
	return HTTP_DONE;
}

static inline struct http_part
part(uint32_t from, uint32_t to)
{
	return (struct http_part){ from, to - from };
}

/* --- the request line ---------------------------------------------------- */

static enum http_verdict
take_start(struct http_head *h, const struct http_window *w, uint32_t *at)
{
	h->content_length = -1;
	h->host = -1;
	if (*at == w->end)
		return HTTP_MORE;
	if (w->data[*at] != '\r') {
		h->line_at = *at;
		return next_phase(h, HTTP_PHASE_METHOD, *at);
	}
	if (h->empty_lines++ == EMPTY_LINES_MAX)
		return http_head_fail(h, 400, "empty lines before the request");
	*at += 1;
	return next_phase(h, HTTP_PHASE_START_LF, *at);
}

static enum http_verdict
take_start_lf(struct http_head *h, const struct http_window *w, uint32_t *at)
{
	if (*at == w->end)
		return HTTP_MORE;
	if (w->data[*at] != '\n')
		return http_head_fail(h, 400, "CR without LF");
	*at += 1;
	return next_phase(h, HTTP_PHASE_START, *at);
}

static enum http_verdict
line_too_long(struct http_head *h)
{
	return http_head_fail(h, 414, "request line too long");
}

static enum http_verdict
take_method(struct http_head *h, const struct http_window *w, uint32_t *at,
    uint32_t limit)
{
	uint32_t i = *at, end = h->line_at + METHOD_MAX;

	if (end > w->end)
		end = w->end;
	while (
	    i < end && (http_bytes[(unsigned char)w->data[i]] & HTTP_B_METHOD))
		i++;
	*at = i;
	if (i - h->line_at > limit)
		return line_too_long(h);
	if (i == w->end)
		return HTTP_MORE;
	if (w->data[i] != ' ')
		return http_head_fail(h, 400, "invalid method");
	h->method = part(h->line_at, i);
	if (h->method.len < METHOD_MIN)
		return http_head_fail(h, 400, "invalid method");
	*at = i + 1;
	return next_phase(h, HTTP_PHASE_TARGET, i + 1);
}

/* Every x86-64 has SSE2: no choice at run time is needed here. */
#if defined(__SSE2__)
#define MARK_STEP 16
#define MARK_BITS 1

/* Bits for the bytes of one step: those of a byte that is HTTP_IS_MARK. */
static inline uint64_t
marks(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(' ')), v);
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
	__m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));
	__m128i query = _mm_cmpeq_epi8(v, _mm_set1_epi8('?'));

	return (uint32_t)_mm_movemask_epi8(
	    _mm_or_si128(_mm_or_si128(low, del), _mm_or_si128(hash, query)));
}
#else
#define MARK_STEP 8
#define MARK_BITS 8

static inline uint64_t
marks(const char *p)
{
	uint64_t x = http_load8(p);

	return http_below(x, ' ' + 1) | http_equal(x, '#') |
	       http_equal(x, '?') | http_equal(x, 0x7f);
}
#endif

/* The first byte from i on that is HTTP_IS_MARK; end if none. */
static inline uint32_t
next_mark(const char *data, uint32_t i, uint32_t end)
{
	for (; end - i >= MARK_STEP; i += MARK_STEP) {
		uint64_t hit = marks(data + i);

		if (hit != 0)
			return i + (uint32_t)__builtin_ctzll(hit) / MARK_BITS;
	}
	while (i < end && !(http_bytes[(unsigned char)data[i]] & HTTP_B_MARK))
		i++;
	return i;
}

static enum http_verdict
take_target(struct http_head *h, const struct http_window *w, uint32_t *at,
    uint32_t limit)
{
	uint32_t i = *at;

	for (;; i++) {
		i = next_mark(w->data, i, w->end);
		if (i - h->line_at > limit)
			return line_too_long(h);
		if (i == w->end) {
			*at = i;
			return HTTP_MORE;
		}
		if (w->data[i] != '?')
			break;
		if (h->query.at == 0)
			h->query.at = i + 1;
	}
	if (w->data[i] == '#')
		return http_head_fail(h, 400, "fragment in the target");
	if (w->data[i] != ' ' || i == h->part_at)
		return http_head_fail(h, 400, "invalid target");
	h->target = part(h->part_at, i);
	*at = i + 1;
	return next_phase(h, HTTP_PHASE_VERSION, i + 1);
}

/* Whether the byte at that place of "HTTP/1.1 CR LF" may stand there. */
static bool
version_byte_ok(uint32_t place, char c)
{
	if (place == 5 || place == 7)
		return HTTP_IS_DIGIT(c);
	return c == "HTTP/1.1\r\n"[place];
}

/* Reads as far as it can; the line is what stands before CR LF. */
static enum http_verdict
take_version_bytes(struct http_head *h, const struct http_window *w,
    uint32_t *at, uint32_t limit)
{
	uint32_t i = *at;

	if (i == h->part_at && w->end - i >= VERSION_LEN &&
	    i + VERSION_CR - h->line_at <= limit &&
	    !memcmp(w->data + i, "HTTP/1.1\r\n", VERSION_LEN)) {
		*at = i + VERSION_LEN;
		return HTTP_DONE;
	}
	for (; i < w->end && i - h->part_at < VERSION_LEN; i++) {
		uint32_t place = i - h->part_at;

		if (place <= VERSION_CR && i - h->line_at > limit)
			return line_too_long(h);
		if (!version_byte_ok(place, w->data[i]))
			return http_head_fail(h, 400, "invalid version");
		if (place == VERSION_CR && w->data[h->part_at + 5] != '1')
			return http_head_fail(h, 505, "unknown version");
	}
	*at = i;
	if (i - h->part_at == VERSION_LEN)
		return HTTP_DONE;
	if (i - h->part_at <= VERSION_CR && i - h->line_at > limit)
		return line_too_long(h);
	return HTTP_MORE;
}

static enum http_verdict
take_version(struct http_head *h, const struct http_window *w, uint32_t *at,
    uint32_t limit)
{
	enum http_verdict v = take_version_bytes(h, w, at, limit);

	if (v != HTTP_DONE)
		return v;
	h->minor = w->data[h->part_at + 7] != '0';
	v = http_head_target(h, w->data);
	if (v != HTTP_DONE)
		return v;
	h->line_done = true;
	h->line_at = *at;
	return next_phase(h, HTTP_PHASE_NAME, *at);
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
	if (room > limit)
		room = limit;
	fields = realloc(h->fields, room * sizeof(*fields));
	if (fields == NULL)
		return http_head_fail(h, 503, "no memory");
	h->fields = fields;
	h->field_room = room;
	return HTTP_DONE;
}

/* Why a byte cannot end a name. */
static enum http_verdict
bad_name(struct http_head *h, char c, bool first)
{
	bool space = c == ' ' || c == '\t';

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
			return next_phase(h, HTTP_PHASE_END_LF, i + 1);
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
	if (w->data[i] != ':' || i == begin)
		return bad_name(h, w->data[i], i == begin);
	f->name = part(begin, i);
	*at = i + 1;
	return next_phase(h, HTTP_PHASE_SPACE, i + 1);
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
	return next_phase(h, HTTP_PHASE_VALUE, i);
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
	h->fields[h->field_count].value = part(h->part_at, end);
	*at = i + 1;
	return next_phase(h, HTTP_PHASE_VALUE_LF, i + 1);
}

static inline enum http_verdict
take_value_lf(struct http_head *h, const struct http_window *w, uint32_t *at)
{
	struct http_field *f = &h->fields[h->field_count];
	struct span name;

	if (*at == w->end)
		return HTTP_MORE;
	if (w->data[*at] != '\n')
		return http_head_fail(h, 400, "CR without LF");
	name = http_span(w->data, f->name);
	f->id = (uint8_t)http_field_id(name.ptr, name.len);
	if (f->id != HTTP_F_OTHER &&
	    http_head_field_done(h, w->data, f) != HTTP_DONE)
		return HTTP_BAD;
	h->field_count++;
	*at += 1;
	h->line_at = *at;
	return next_phase(h, HTTP_PHASE_NAME, *at);
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
	return next_phase(h, HTTP_PHASE_DONE, *at);
}

/* --- the whole ----------------------------------------------------------- */

static inline enum http_verdict
take_phase(struct http_head *h, const struct http_window *w, uint32_t *at,
    const struct http_limits *limits)
{
	switch ((enum http_phase)h->phase) {
	case HTTP_PHASE_START:
		return take_start(h, w, at);
	case HTTP_PHASE_START_LF:
		return take_start_lf(h, w, at);
	case HTTP_PHASE_METHOD:
		return take_method(h, w, at, limits->line);
	case HTTP_PHASE_TARGET:
		return take_target(h, w, at, limits->line);
	case HTTP_PHASE_VERSION:
		return take_version(h, w, at, limits->line);
	case HTTP_PHASE_NAME:
		return take_name(h, w, at, limits);
	case HTTP_PHASE_SPACE:
		return take_space(h, w, at, limits->field_size);
	case HTTP_PHASE_VALUE:
		return take_value(h, w, at, limits->field_size);
	case HTTP_PHASE_VALUE_LF:
		return take_value_lf(h, w, at);
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
	uint64_t max = EMPTY_LINES_MAX * 2 + (uint64_t)limits->line + 2 +
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
