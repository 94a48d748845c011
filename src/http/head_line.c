/* SPDX-License-Identifier: MIT */
/*
 * The request line: method, target in one of its forms (RFC 9112, 3.2),
 * version.  Each take_ function does one phase, as those of head.c do.
 */
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "http/bytes.h"
#include "http/head_private.h"
#include "http/uri.h"

#define VERSION_LEN 10 /* "HTTP/1.1" CR LF */
#define VERSION_CR 8

/* --- the forms of a target ------------------------------------------------ */
/* Here there is no white space, control byte or '#' in it any more. */

static enum http_verdict
invalid(struct http_head *h)
{
	return http_head_fail(h, 400, "invalid target");
}

/* Splits what stands from `at` to the end of the target. */
static void
set_path(struct http_head *h, uint32_t at)
{
	uint32_t end = h->target.at + h->target.len;

	if (h->query.at != 0) {
		h->query.len = end - h->query.at;
		end = h->query.at - 1;
	}
	h->path = (struct http_part){ at, end - at };
}

/* The bytes of "http://" or "https://" at the beginning, 0 if neither. */
static uint32_t
scheme_len(struct span target)
{
	struct span plain = SPAN("http://"), secure = SPAN("https://");

	if (target.len >= plain.len &&
	    span_ieq((struct span){ target.ptr, plain.len }, plain))
		return (uint32_t)plain.len;
	if (target.len >= secure.len &&
	    span_ieq((struct span){ target.ptr, secure.len }, secure))
		return (uint32_t)secure.len;
	return 0;
}

/* absolute-form: there must be a host, and no user (RFC 9110, 4.2). */
static enum http_verdict
absolute_form(struct http_head *h, const char *data)
{
	uint32_t at = scheme_len(http_span(data, h->target)), end;
	struct span host, port;

	if (at == 0)
		return invalid(h);
	at += h->target.at;
	end = h->target.at + h->target.len;
	if (h->query.at != 0)
		end = h->query.at - 1;
	h->authority.at = at;
	while (at < end && data[at] != '/')
		at++;
	h->authority.len = at - h->authority.at;
	if (!http_uri_authority(http_span(data, h->authority), &host, &port))
		return invalid(h);
	set_path(h, at);
	return HTTP_DONE;
}

/* authority-form, of CONNECT only: the port is required. */
static enum http_verdict
authority_form(struct http_head *h, const char *data)
{
	struct span host, port;

	if (!http_uri_authority(http_span(data, h->target), &host, &port) ||
	    port.len == 0)
		return invalid(h);
	h->authority = h->target;
	h->path = (struct http_part){ h->target.at, 0 };
	/* What follows may be meant for the tunnel: it is no request. */
	h->wishes |= HTTP_WISH_CLOSE;
	return HTTP_DONE;
}

enum http_verdict
http_head_target(struct http_head *h, const char *data)
{
	struct span method = http_span(data, h->method);

	if (data[h->target.at] == '/' && !span_eq(method, SPAN("CONNECT"))) {
		set_path(h, h->target.at);
		return HTTP_DONE;
	}
	if (span_eq(method, SPAN("CONNECT")))
		return authority_form(h, data);
	if (data[h->target.at] != '*')
		return absolute_form(h, data);
	if (h->target.len != 1 || !span_eq(method, SPAN("OPTIONS")))
		return invalid(h);
	h->path = h->target;
	return HTTP_DONE;
}

/* --- the parts of the line ------------------------------------------------ */

static enum http_verdict
take_start(struct http_head *h, const struct http_window *w, uint32_t *at)
{
	h->content_length = -1;
	h->host = -1;
	if (*at == w->end)
		return HTTP_MORE;
	if (w->data[*at] != '\r') {
		h->line_at = *at;
		return http_next_phase(h, HTTP_PHASE_METHOD, *at);
	}
	if (h->empty_lines++ == HTTP_EMPTY_LINES_MAX)
		return http_head_fail(h, 400, "empty lines before the request");
	*at += 1;
	return http_next_phase(h, HTTP_PHASE_START_LF, *at);
}

static enum http_verdict
take_start_lf(struct http_head *h, const struct http_window *w, uint32_t *at)
{
	if (*at == w->end)
		return HTTP_MORE;
	if (w->data[*at] != '\n')
		return http_head_fail(h, 400, "CR without LF");
	*at += 1;
	return http_next_phase(h, HTTP_PHASE_START, *at);
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
	uint32_t i = *at, end = h->line_at + HTTP_METHOD_MAX;

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
	h->method = http_part(h->line_at, i);
	if (h->method.len < HTTP_METHOD_MIN)
		return http_head_fail(h, 400, "invalid method");
	*at = i + 1;
	return http_next_phase(h, HTTP_PHASE_TARGET, i + 1);
}

/* As take_method(), where any token is permitted. */
static enum http_verdict
take_any_method(struct http_head *h, const struct http_window *w,
    uint32_t *at, const struct http_limits *limits)
{
	uint32_t i = *at;

	while (i < w->end &&
	       !(http_bytes[(unsigned char)w->data[i]] & HTTP_B_NOT_TOKEN)) {
		if ((limits->permit & HTTP_CASEFOLD_METHOD) &&
		    HTTP_IS_LOWER(w->data[i]))
			http_rewrite(w, i, (char)(w->data[i] & ~0x20));
		i++;
	}
	*at = i;
	if (i - h->line_at > limits->line)
		return line_too_long(h);
	if (i == w->end)
		return HTTP_MORE;
	if (w->data[i] != ' ' || i == h->line_at)
		return http_head_fail(h, 400, "invalid method");
	h->method = http_part(h->line_at, i);
	*at = i + 1;
	return http_next_phase(h, HTTP_PHASE_TARGET, i + 1);
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
	h->target = http_part(h->part_at, i);
	*at = i + 1;
	return http_next_phase(h, HTTP_PHASE_VERSION, i + 1);
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
    uint32_t *at, const struct http_limits *limits)
{
	uint32_t i = *at, limit = limits->line;

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
		if (place == VERSION_CR && w->data[h->part_at + 5] != '1' &&
		    !(limits->permit & HTTP_PERMIT_VERSION))
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
    const struct http_limits *limits)
{
	enum http_verdict v = take_version_bytes(h, w, at, limits);
	const char *digits = w->data + h->part_at + 5;

	if (v != HTTP_DONE)
		return v;
	h->minor = digits[2] != '0';
	if (digits[0] != '1') {
		h->version[0] = (uint8_t)digits[0];
		h->version[1] = (uint8_t)digits[2];
		h->minor = digits[0] != '0';
	}
	v = http_head_target(h, w->data);
	if (v != HTTP_DONE)
		return v;
	h->line_done = true;
	h->line_at = *at;
	return http_next_phase(h, HTTP_PHASE_NAME, *at);
}

/* --- the fast lane -------------------------------------------------------- */

/* The bytes of the method with the space behind it; 0: another one. */
static inline uint32_t
usual_method(const char *p)
{
	if (memcmp(p, "GET ", 4) == 0)
		return 4;
	return memcmp(p, "POST ", 5) == 0 || memcmp(p, "HEAD ", 5) == 0 ? 5 : 0;
}

/*
 * A line that is complete and plain, as nearly all are: a usual method, a
 * path, HTTP/1.1.  Returns where the next one begins.  Anything else, for
 * which it returns 0, is left to the phases, which accept and refuse the
 * same, only slower.
 */
static inline uint32_t
take_plain(struct http_head *h, const struct http_window *w, uint32_t begin,
    uint32_t limit)
{
	static const char version[] = " HTTP/1.1\r\n";
	const uint32_t len = sizeof(version) - 1;
	uint32_t at, i, query = 0;

	/* The shortest one is as long as "GET /" and the version. */
	if (w->end - begin < 5 + len)
		return 0;
	at = usual_method(w->data + begin);
	if (at == 0 || w->data[begin + at] != '/')
		return 0;
	at += begin;
	i = next_mark(w->data, at, w->end);
	if (i < w->end && w->data[i] == '?') {
		query = i + 1;
		do
			i = next_mark(w->data, i + 1, w->end);
		while (i < w->end && w->data[i] == '?');
	}
	if (w->end - i < len || i + len - 2 - begin > limit ||
	    memcmp(w->data + i, version, len) != 0)
		return 0;
	h->content_length = -1;
	h->host = -1;
	h->method = http_part(begin, at - 1);
	h->target = http_part(at, i);
	h->path = h->target;
	if (query != 0) {
		h->path = http_part(at, query - 1);
		h->query = http_part(query, i);
	}
	h->minor = 1;
	h->line_done = true;
	h->line_at = i + len;
	http_next_phase(h, HTTP_PHASE_NAME, i + len);
	return i + len;
}

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
		if (limits->permit & HTTP_PERMIT_METHOD)
			return take_any_method(h, w, at, limits);
		return take_method(h, w, at, limits->line);
	case HTTP_PHASE_TARGET:
		return take_target(h, w, at, limits->line);
	default:
		return take_version(h, w, at, limits);
	}
}

enum http_verdict
http_head_line(struct http_head *h, const struct http_window *w,
    uint32_t *at_io, const struct http_limits *limits)
{
	uint32_t at = *at_io;
	enum http_verdict v;

	if (h->phase == HTTP_PHASE_START) {
		uint32_t behind = take_plain(h, w, at, limits->line);

		if (behind != 0) {
			*at_io = behind;
			return HTTP_DONE;
		}
	}
	do
		v = take_phase(h, w, &at, limits);
	while (v == HTTP_DONE && h->phase <= HTTP_PHASE_VERSION);
	*at_io = at;
	return v;
}
