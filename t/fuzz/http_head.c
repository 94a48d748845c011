/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a request head: every scanner, the whole at once and in
 * pieces, come to the same, and what is accepted makes sense.  The first
 * byte of the input chooses limits and pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "http/head_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits usual = { 4094, 100, 8190, 0 };
static const struct http_limits tight = { 40, 4, 30, 0 };

/* Bytes at the end of a block of their own: reading beyond is noticed. */
static enum http_verdict
feed(struct http_head *h, const char *data, size_t len,
    const struct http_limits *limits, http_scan_fn *scan)
{
	char *copy = malloc(len + 1);
	enum http_verdict v;

	must(copy != NULL);
	memcpy(copy + 1, data, len);
	v = http_head_parse_with(h, copy + 1, len, limits, scan);
	free(copy);
	return v;
}

static enum http_verdict
feed_pieces(struct http_head *h, const char *data, size_t len, size_t step,
    const struct http_limits *limits, http_scan_fn *scan)
{
	enum http_verdict v = HTTP_MORE;

	for (size_t n = 0; v == HTTP_MORE && n < len;) {
		n = len - n < step ? len : n + step;
		v = feed(h, data, n, limits, scan);
	}
	return v;
}

static void
must_be_same(const struct http_head *a, const struct http_head *b)
{
	must(a->status == b->status && a->reason == b->reason);
	must(a->line_done == b->line_done);
	if (a->phase != HTTP_PHASE_DONE)
		return;
	must(!memcmp(&a->method, &b->method, sizeof(a->method)));
	must(!memcmp(&a->target, &b->target, sizeof(a->target)));
	must(!memcmp(&a->path, &b->path, sizeof(a->path)));
	must(!memcmp(&a->query, &b->query, sizeof(a->query)));
	must(!memcmp(&a->authority, &b->authority, sizeof(a->authority)));
	must(a->length == b->length && a->field_count == b->field_count);
	must(a->content_length == b->content_length && a->host == b->host);
	must(a->minor == b->minor && a->chunked == b->chunked);
	must(a->keep_alive == b->keep_alive && a->upgrade == b->upgrade);
	must(a->expect_continue == b->expect_continue);
	for (uint32_t i = 0; i < a->field_count; i++) {
		const struct http_field *f = &a->fields[i];
		const struct http_field *g = &b->fields[i];

		must(f->name.at == g->name.at && f->name.len == g->name.len);
		must(f->value.at == g->value.at);
		must(f->value.len == g->value.len && f->id == g->id);
		must(f->underscore == g->underscore);
	}
}

static void
must_be_inside(const struct http_head *h, struct http_part part)
{
	must(part.at <= h->length && part.len <= h->length - part.at);
}

static void
must_make_sense(const struct http_head *h, const char *data, size_t len,
    const struct http_limits *limits)
{
	must(h->length >= 4 && h->length <= len);
	must(h->length <= http_head_max(limits));
	must(!memcmp(data + h->length - 4, "\r\n\r\n", 4));
	must(h->line_done && h->method.len >= 3 && h->target.len > 0);
	must(h->field_count <= limits->fields);
	must(!h->chunked || h->content_length == -1);
	must(h->minor == 0 || h->host >= 0);
	must_be_inside(h, h->method);
	must_be_inside(h, h->target);
	must_be_inside(h, h->path);
	must_be_inside(h, h->query);
	must_be_inside(h, h->authority);
	for (uint32_t i = 0; i < h->field_count; i++) {
		struct span value = http_span(data, h->fields[i].value);

		must_be_inside(h, h->fields[i].name);
		must_be_inside(h, h->fields[i].value);
		must(h->fields[i].name.len > 0);
		for (size_t k = 0; k < value.len; k++)
			must((unsigned char)value.ptr[k] >= ' ' ||
			     value.ptr[k] == '\t');
	}
}

/*
 * Where all is permitted the bytes may be changed, so they are kept in one
 * place: whole and in steps it comes to the same.
 */
static void
feed_lax(struct http_head *h, const char *data, size_t len, size_t step)
{
	static const struct http_limits lax = { 400, 10, 300, 31 };
	char *copy = malloc(len + 1);
	enum http_verdict v = HTTP_MORE;

	must(copy != NULL);
	memcpy(copy, data, len);
	for (size_t n = 0; v == HTTP_MORE && n < len;) {
		n = len - n < step ? len : n + step;
		v = http_head_parse(h, copy, n, &lax);
	}
	for (uint32_t i = 0; v == HTTP_DONE && i < h->field_count; i++) {
		struct span value = http_span(copy, h->fields[i].value);

		must(h->fields[i].name.len > 0);
		for (size_t k = 0; k < value.len; k++)
			must((unsigned char)value.ptr[k] >= ' ' ||
			     value.ptr[k] == '\t');
	}
	must(v != HTTP_BAD || (h->status >= 400 && h->reason != NULL));
	free(copy);
}

static void
try_lax(const char *data, size_t len, size_t step)
{
	struct http_head whole = { 0 }, other = { 0 };

	feed_lax(&whole, data, len, len);
	feed_lax(&other, data, len, step);
	must_be_same(&whole, &other);
	http_head_fini(&whole);
	http_head_fini(&other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	const struct http_limits *limits;
	struct http_head whole = { 0 }, other = { 0 };
	enum http_verdict v;
	size_t len = size - 1, steps[3] = { len, 1 };

	if (size == 0)
		return 0;
	limits = data[0] & 1 ? &tight : &usual;
	steps[2] = 1 + data[0] / 2;
	try_lax(text, len, steps[2]);
	v = feed(&whole, text, len, limits, http_scan_best());
	if (v == HTTP_DONE)
		must_make_sense(&whole, text, len, limits);
	must(v != HTTP_BAD || (whole.status >= 400 && whole.reason != NULL));
	must(v != HTTP_MORE || len < http_head_max(limits));
	for (int level = 0; level < HTTP_SCAN_LEVELS; level++) {
		http_scan_fn *scan = http_scan_at((enum http_scan_level)level);

		for (unsigned i = 0; scan != NULL && i < 3; i++) {
			must(feed_pieces(&other, text, len, steps[i], limits,
				 scan) == v);
			must_be_same(&whole, &other);
			http_head_reset(&other);
		}
	}
	http_head_fini(&whole);
	http_head_fini(&other);
	return 0;
}
