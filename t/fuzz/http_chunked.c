/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a chunked body: the whole at once and in pieces come to the
 * same, and what was written as chunks is read as it was.  The first byte of
 * the input chooses limits and pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "http/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits usual = { 4094, 100, 8190, 0 };
static const struct http_limits tight = { 40, 4, 30, 0 };

struct outcome {
	struct http_chunked c;
	struct buf content;
	struct buf trailer;
	size_t used;
	enum http_verdict verdict;
};

static void
feed(struct outcome *o, const char *data, size_t len,
    const struct http_limits *limits)
{
	char *copy = malloc(len + 1);
	size_t used, kept;

	must(copy != NULL);
	memcpy(copy + 1, data, len);
	o->verdict = http_chunked_decode(
	    &o->c, copy + 1, len, &used, &kept, limits, &o->trailer);
	must(used <= len && kept <= used);
	must(o->verdict != HTTP_MORE || used == len);
	o->used += used;
	must(buf_add(&o->content, copy + 1, kept));
	must(o->content.len == o->c.total);
	free(copy);
}

static void
decode(struct outcome *o, const char *data, size_t len, size_t step,
    const struct http_limits *limits)
{
	*o = (struct outcome){ .verdict = HTTP_MORE };
	while (len > 0 && o->verdict == HTTP_MORE) {
		size_t n = step < len ? step : len;

		feed(o, data, n, limits);
		data += n;
		len -= n;
	}
}

static void
outcome_fini(struct outcome *o)
{
	buf_fini(&o->content);
	buf_fini(&o->trailer);
}

static bool
same_bytes(const struct buf *a, const struct buf *b)
{
	return a->len == b->len &&
	       (a->len == 0 || !memcmp(a->data, b->data, a->len));
}

/* A complete trailer section can be parsed, whatever is in it. */
static void
check_trailer(const struct outcome *o, const struct http_limits *limits)
{
	struct http_field *fields = calloc(limits->fields, sizeof(*fields));
	const char *why;
	size_t count;

	must(fields != NULL);
	must(http_trailer_parse(o->trailer.data, o->trailer.len, fields,
		 limits->fields, &count, &why) == HTTP_DONE);
	must(count == o->c.trailers);
	free(fields);
}

static void
round_trip(const char *data, size_t len, size_t step)
{
	struct buf b = { 0 };
	struct outcome o;

	for (size_t at = 0; at < len;) {
		size_t n = step < len - at ? step : len - at;
		char head[HTTP_CHUNK_HEAD_MAX];

		must(buf_add(&b, head, http_chunk_begin(head, n)));
		must(buf_add(&b, data + at, n) && buf_str(&b, "\r\n"));
		at += n;
	}
	must(buf_str(&b, "0\r\n\r\n"));
	decode(&o, b.data, b.len, 1000, &usual);
	must(o.verdict == HTTP_DONE && o.used == b.len);
	must(o.content.len == len);
	must(len == 0 || !memcmp(o.content.data, data, len));
	outcome_fini(&o);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	const struct http_limits *limits;
	struct outcome whole;
	size_t len = size - 1, steps[2] = { 1 };
	struct http_field fields[4];
	const char *why;
	size_t count;

	if (size == 0)
		return 0;
	limits = data[0] & 1 ? &tight : &usual;
	steps[1] = 2 + data[0] / 2;
	decode(&whole, text, len, len, limits);
	if (whole.verdict == HTTP_DONE)
		check_trailer(&whole, limits);
	for (unsigned i = 0; i < 2; i++) {
		struct outcome other;

		decode(&other, text, len, steps[i], limits);
		must(whole.verdict == other.verdict);
		must(whole.c.status == other.c.status);
		must(whole.c.reason == other.c.reason);
		must(whole.verdict == HTTP_BAD || whole.used == other.used);
		must(same_bytes(&whole.content, &other.content));
		must(whole.verdict == HTTP_BAD ||
		     same_bytes(&whole.trailer, &other.trailer));
		outcome_fini(&other);
	}
	outcome_fini(&whole);
	round_trip(text, len, steps[1]);
	(void)http_trailer_parse(text, len, fields, 4, &count, &why);
	return 0;
}
