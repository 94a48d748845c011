/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_HEAD_PRIVATE_H
#define BICORN_HTTP_HEAD_PRIVATE_H

/* What the files of the head parser share: head.c finds the parts of a head,
 * head_line.c and head_field.c say what they mean. */

#include "http/head.h"
#include "http/scan.h"

enum http_phase {
	HTTP_PHASE_START, /* perhaps an empty line before the head */
	HTTP_PHASE_START_LF,
	HTTP_PHASE_METHOD,
	HTTP_PHASE_TARGET,
	HTTP_PHASE_VERSION, /* with CR LF */
	HTTP_PHASE_NAME,    /* at the beginning of a line or in a name */
	HTTP_PHASE_NAME_SPACE, /* between name and colon, where permitted */
	HTTP_PHASE_SPACE,   /* between colon and value */
	HTTP_PHASE_VALUE,
	HTTP_PHASE_VALUE_LF,
	HTTP_PHASE_FOLD,    /* behind a line, where folding is permitted */
	HTTP_PHASE_END_LF,
	HTTP_PHASE_DONE,
	HTTP_PHASE_BAD,
};

/*
 * Bits of http_head.wishes.  What is well-formed but cannot be granted waits
 * for the end of the head: a malformed field behind it is the graver fault.
 */
enum http_wish {
	HTTP_WISH_CLOSE = 1,
	HTTP_WISH_KEEP_ALIVE = 2,
	HTTP_WISH_UPGRADE = 4,
	HTTP_WISH_CODING = 8,       /* a transfer coding we do not know */
	HTTP_WISH_EXPECTATION = 16, /* other than 100-continue */
};

#define HTTP_EMPTY_LINES_MAX 2

/* The length of a method, unless any is permitted. */
#define HTTP_METHOD_MIN 3
#define HTTP_METHOD_MAX 20

/* The bytes in hand: data[base..end), and what they are. */
struct http_window {
	const char *data;
	uint32_t base;
	uint32_t end;
	struct http_masks masks;
};

/* As http_head_parse(), with that scanner; for tests and measurements. */
enum http_verdict http_head_parse_with(struct http_head *h, const char *data,
    size_t len, const struct http_limits *limits, http_scan_fn *scan);

/* Leaves status and reason and returns HTTP_BAD. */
enum http_verdict http_head_fail(
    struct http_head *h, uint16_t status, const char *reason);

/*
 * Takes the target apart once the request line is complete.  HTTP_DONE or
 * HTTP_BAD.
 */
enum http_verdict http_head_target(struct http_head *h, const char *data);

/* The phases up to HTTP_PHASE_VERSION, from *at_io on. */
enum http_verdict http_head_line(struct http_head *h,
    const struct http_window *w, uint32_t *at_io,
    const struct http_limits *limits);

/*
 * A byte of the caller's buffer becomes another one: only where a setting
 * permits what that mends.
 */
static inline void
http_rewrite(const struct http_window *w, uint32_t at, char c)
{
	((char *)(uintptr_t)w->data)[at] = c;
}

static inline enum http_verdict
http_next_phase(struct http_head *h, enum http_phase phase, uint32_t part_at)
{
	h->phase = (uint8_t)phase;
	h->part_at = part_at;
	return HTTP_DONE;
}

static inline struct http_part
http_part(uint32_t from, uint32_t to)
{
	return (struct http_part){ from, to - from };
}

/*
 * Takes the complete and plain field lines that stand at `at`, the beginning
 * of a line, until there is one that needs a closer look, and returns where
 * that begins.  h->phase tells whether a field was refused.
 */
uint32_t http_head_plain_fields(struct http_head *h,
    const struct http_window *w, uint32_t at, const struct http_limits *limits);

/* Which field it is, by its name. */
enum http_field_id http_field_id_known(const char *name, size_t len);

/* For each length, the first letters of known names: bit 1 is 'a'. */
extern const uint32_t http_field_letters[64];

static inline enum http_field_id
http_field_id(const char *name, size_t len)
{
	if (len >= 64 ||
	    !(http_field_letters[len] >> ((unsigned char)*name & 31) & 1))
		return HTTP_F_OTHER;
	return http_field_id_known(name, len);
}

/* Obeys a complete field.  HTTP_DONE or HTTP_BAD. */
enum http_verdict http_head_field_done(
    struct http_head *h, const char *data, const struct http_field *f);

/* Obeys the fields as a whole.  HTTP_DONE or HTTP_BAD. */
enum http_verdict http_head_finish(struct http_head *h);

#endif
