/* SPDX-License-Identifier: MIT */
/*
 * Chunked bodies: each case whole, cut in two at every place, and byte by
 * byte, always to the same content, trailer and verdict.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/chunked.h"

static const struct http_limits usual = { 4094, 100, 8190, 0 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct outcome {
	struct http_chunked c;
	struct buf content;
	struct buf trailer;
	size_t used;
	enum http_verdict verdict;
};

/* Decodes in memory of just that size, so that no byte beyond is touched. */
static void
feed(struct outcome *o, struct span in, const struct http_limits *limits)
{
	char *copy = malloc(in.len + 1);
	size_t used, len;

	assert_non_null(copy);
	memcpy(copy + 1, in.ptr, in.len);
	o->verdict = http_chunked_decode(
	    &o->c, copy + 1, in.len, &used, &len, limits, &o->trailer);
	assert_true(used <= in.len);
	assert_true(len <= used);
	if (o->verdict == HTTP_MORE)
		assert_int_equal(used, in.len);
	o->used += used;
	assert_true(buf_add(&o->content, copy + 1, len));
	free(copy);
}

static void
feed_cut(struct outcome *o, struct span in, size_t step,
    const struct http_limits *limits)
{
	*o = (struct outcome){ .verdict = HTTP_MORE };
	while (in.len > 0 && o->verdict == HTTP_MORE) {
		size_t len = step < in.len ? step : in.len;

		feed(o, (struct span){ in.ptr, len }, limits);
		in.ptr += len;
		in.len -= len;
	}
}

static void
outcome_fini(struct outcome *o)
{
	buf_fini(&o->content);
	buf_fini(&o->trailer);
}

static void
assert_same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->verdict, b->verdict);
	assert_int_equal(a->c.status, b->c.status);
	assert_int_equal(a->c.total, b->c.total);
	assert_int_equal(a->content.len, b->content.len);
	if (a->content.len > 0)
		assert_memory_equal(
		    a->content.data, b->content.data, a->content.len);
	if (a->verdict == HTTP_BAD)
		return;
	assert_int_equal(a->used, b->used);
	assert_int_equal(a->trailer.len, b->trailer.len);
	if (a->trailer.len > 0)
		assert_memory_equal(
		    a->trailer.data, b->trailer.data, a->trailer.len);
}

/* Leaves the outcome of the whole in *o, after all ways came to the same. */
static void
decode(struct outcome *o, struct span in, const struct http_limits *limits)
{
	feed_cut(o, in, in.len > 0 ? in.len : 1, limits);
	for (size_t step = 1; step < in.len && step < 200; step++) {
		struct outcome other;

		feed_cut(&other, in, step, limits);
		assert_same(o, &other);
		outcome_fini(&other);
	}
}

struct body {
	int status; /* 0: complete, 1: incomplete */
	struct span in;
	const char *content;
	const char *rest;
	const char *trailer;
};

#define S(literal)                                                             \
	{                                                                      \
		(literal), sizeof(literal) - 1                                 \
	}

static void
good_bodies(void **state)
{
	static const struct body cases[] = {
		{ 0, S("0\r\n\r\n"), "", "", "" },
		{ 0, S("0\r\n\r\nGET /"), "", "GET /", "" },
		{ 0, S("5\r\nhello\r\n0\r\n\r\n"), "hello", "", "" },
		{ 0, S("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nX"),
		    "hello world", "X", "" },
		{ 0, S("a\r\n0123456789\r\n0\r\n\r\n"), "0123456789", "", "" },
		{ 0, S("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789", "", "" },
		{ 0, S("0000000000000005\r\nhello\r\n0000\r\n\r\n"), "hello",
		    "", "" },
		{ 0, S("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n", "", "" },
		{ 0, S("5;a\r\nhello\r\n0;b=c;d=\"e \x80\"\r\n\r\n"), "hello",
		    "", "" },
		{ 0, S("5;a=\"b\\\"c\\\\\";d\r\nhello\r\n0\r\n\r\n"), "hello",
		    "", "" },
		{ 0, S("5;\r\nhello\r\n0\r\n\r\n"), "hello", "", "" },
		{ 0, S("5 ;a\r\nhello\r\n0 \t ; b\r\n\r\n"), "hello", "",
		    "" },
		{ 0, S("5;a\t= b\r\nhello\r\n0\r\n\r\n"), "hello", "", "" },
		{ 0, S("0\r\nX-A: b\r\n\r\nrest"), "", "rest", "X-A: b\r\n" },
		{ 0, S("1\r\na\r\n0\r\nX-A: b\r\nX-B:\r\n\r\n"), "a", "",
		    "X-A: b\r\nX-B:\r\n" },
		{ 1, S(""), "", "", "" },
		{ 1, S("5"), "", "", "" },
		{ 1, S("5\r"), "", "", "" },
		{ 1, S("5\r\nhel"), "hel", "", "" },
		{ 1, S("5\r\nhello"), "hello", "", "" },
		{ 1, S("5\r\nhello\r\n"), "hello", "", "" },
		{ 1, S("0\r\n"), "", "", "" },
		{ 1, S("0\r\n\r"), "", "", "" },
		{ 1, S("0\r\nX"), "", "", "X" },
		{ 1, S("0\r\nX: y\r\n"), "", "", "X: y\r\n" },
		{ 1, S("1000000000000000\r\nabc"), "abc", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct body *b = &cases[i];
		struct outcome o;

		decode(&o, b->in, &usual);
		assert_int_equal(
		    o.verdict, b->status == 0 ? HTTP_DONE : HTTP_MORE);
		assert_int_equal(o.content.len, strlen(b->content));
		if (o.content.len > 0)
			assert_memory_equal(
			    o.content.data, b->content, o.content.len);
		assert_int_equal(o.c.total, strlen(b->content));
		assert_int_equal(b->in.len - o.used, strlen(b->rest));
		assert_int_equal(o.trailer.len, strlen(b->trailer));
		if (o.trailer.len > 0)
			assert_memory_equal(
			    o.trailer.data, b->trailer, o.trailer.len);
		outcome_fini(&o);
	}
}

static void
bad_bodies(void **state)
{
	static const struct span cases[] = {
		/* sizes */
		S("\r\n"),
		S("\n"),
		S(";\r\n"),
		S("x"),
		S("g\r\n"),
		S(" 5\r\n"),
		S("\t5\r\n"),
		S("5 \r\n"),
		S("5\t\r\n"),
		S("5 5;a\r\n"),
		S("5 \0;a\r\n"),
		S("5 \n;a\r\n"),
		S("+5\r\n"),
		S("-5\r\n"),
		S("-1\r\n"),
		S("0x5\r\n"),
		S("0X5\r\n"),
		S("5_0\r\n"),
		S("5.\r\n"),
		S("5,\r\n"),
		S("\"5\"\r\n"),
		S("5\0\r\n"),
		S("\xd9\xa5\r\n"),
		S("\xef\xbc\x95\r\n"),
		S("00000000000000005\r\n"),
		S("10000000000000000\r\n"),
		S("1000000000000001\r\n"),
		S("2000000000000000\r\n"),
		S("ffffffffffffffff\r\n"),
		S("fffffffffffffffff\r\n"),
		S("8000000000000000\r\n"),
		/* line ends */
		S("5\nhello\r\n0\r\n\r\n"),
		S("5\rhello\r\n0\r\n\r\n"),
		S("5\r\r\nhello\r\n"),
		S("5\n\r"),
		S("5\r\nhello\n0\r\n\r\n"),
		S("5\r\nhello\r0\r\n\r\n"),
		S("5\r\nhello0\r\n\r\n"),
		S("5\r\nhelloX\r\n0\r\n\r\n"),
		S("5\r\nhelloXX0\r\n\r\n"),
		S("5\r\nhello\r\n\r\n"),
		S("5\r\nhello\r\n\n0\r\n\r\n"),
		S("0\n\r\n"),
		S("0\r\n\n"),
		S("0\r\n\rX"),
		S("0\r\r\n\r\n"),
		/* extensions */
		S("5;a\nhello\r\n"),
		S("5;\n"),
		S("5;a\rb\r\n"),
		S("5;a\0\r\n"),
		S("5;a=\"\n\"\r\n"),
		S("5;a=\"\r\n\"\r\n"),
		S("5;a=\"b\\\"\r\n"),
		S("5;a=\"\\\r\n"),
		S("5;\x7f\r\n"),
		S("5;\x0b\r\n"),
		/* trailers */
		S("0\r\nX\r\n"),
		S("0\r\n: y\r\n"),
		S("0\r\n X: y\r\n"),
		S("0\r\n\tX: y\r\n"),
		S("0\r\nX : y\r\n"),
		S("0\r\nX: y\r\n z\r\n\r\n"),
		S("0\r\nX y: z\r\n"),
		S("0\r\nX: y\n"),
		S("0\r\nX: y\rZ"),
		S("0\r\nX: \0\r\n"),
		S("0\r\nX: \x7f\r\n"),
		S("0\r\nX\x80: a\r\n"),
		S("0\r\nContent-Length: 5\r\n\r\n"),
		S("0\r\ncontent-length: 5\r\n\r\n"),
		S("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
		S("0\r\nHost: a\r\n\r\n"),
		S("0\r\nTrailer: a\r\n\r\n"),
		S("0\r\nAuthorization: a\r\n\r\n"),
		S("0\r\nCookie: a\r\n\r\n"),
		S("0\r\nContent-Type: a\r\n\r\n"),
		S("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct outcome o;

		decode(&o, cases[i], &usual);
		if (o.verdict != HTTP_BAD)
			fprintf(stderr, "# not refused: %s\n", cases[i].ptr);
		assert_int_equal(o.verdict, HTTP_BAD);
		assert_int_equal(o.c.status, 400);
		assert_non_null(o.c.reason);
		/* And it stays refused. */
		feed(&o, SPAN("0\r\n\r\n"), &usual);
		assert_int_equal(o.verdict, HTTP_BAD);
		outcome_fini(&o);
	}
}

/* before, n times c, after: status as in struct body, or 400 and so on. */
static void
expect(const char *before, size_t n, char c, const char *after, int status,
    const struct http_limits *limits)
{
	struct buf b = { 0 };
	struct outcome o;

	assert_true(buf_str(&b, before));
	for (size_t i = 0; i < n; i++)
		assert_true(buf_add(&b, &c, 1));
	assert_true(buf_str(&b, after));
	decode(&o, (struct span){ b.data, b.len }, limits);
	assert_int_equal(o.verdict, status == 0   ? HTTP_DONE
				    : status == 1 ? HTTP_MORE
						  : HTTP_BAD);
	if (status > 1)
		assert_int_equal(o.c.status, status);
	outcome_fini(&o);
	buf_fini(&b);
}

static void
bounded(void **state)
{
	static const struct http_limits limits = { 100, 3, 20, 0 };

	(void)state;
	/* 1024 bytes of a line with the size. */
	expect("5;", 1022, 'a', "\r\nhello\r\n0\r\n\r\n", 0, &limits);
	expect("5;", 1023, 'a', "\r\nhello\r\n0\r\n\r\n", 400, &limits);
	expect("5;", 1023, 'a', "", 400, &limits);
	expect("5", 1022, ' ', ";\r\nhello\r\n0\r\n\r\n", 0, &limits);
	expect("5", 1024, ' ', "", 400, &limits);
	expect("0\r\nX:", 18, 'a', "\r\n\r\n", 0, &limits);
	expect("0\r\nX:", 19, 'a', "\r\n\r\n", 431, &limits);
	expect("0\r\nX:", 18, 'a', "", 1, &limits);
	expect("0\r\nX:", 19, 'a', "", 431, &limits);
	expect("0\r\nA:\r\nA:\r\nA:\r\n", 0, 'a', "\r\n", 0, &limits);
	expect("0\r\nA:\r\nA:\r\nA:\r\nA", 0, 'a', "", 431, &limits);
}

/* One byte a chunk is fine; with a long extension each time it is not. */
static void
overhead(void **state)
{
	struct buf b = { 0 };
	struct outcome o;

	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		assert_true(buf_str(&b, "1\r\nx\r\n"));
	feed_cut(&o, (struct span){ b.data, b.len }, 1000, &usual);
	assert_int_equal(o.verdict, HTTP_MORE);
	assert_int_equal(o.c.total, 3000);
	outcome_fini(&o);
	b.len = 0;
	for (unsigned i = 0; i < 300; i++)
		assert_true(buf_fmt(&b, "1;%0200u\r\nx\r\n", i));
	feed_cut(&o, (struct span){ b.data, b.len }, 1000, &usual);
	assert_int_equal(o.verdict, HTTP_BAD);
	assert_int_equal(o.c.status, 400);
	outcome_fini(&o);
	buf_fini(&b);
}

/* So many chunks, with lines of that length in front of them. */
static enum http_verdict
wordy(unsigned count, unsigned size, int line)
{
	struct buf b = { 0 };
	struct outcome o;
	enum http_verdict v;

	for (unsigned i = 0; i < count; i++) {
		size_t at = b.len;

		assert_true(buf_fmt(&b, "%x;", size));
		assert_true(buf_fmt(&b, "%0*d\r\n%0*d\r\n",
		    line - (int)(b.len - at), 0, (int)size, 0));
	}
	feed_cut(&o, (struct span){ b.data, b.len }, 1000, &usual);
	v = o.verdict;
	outcome_fini(&o);
	buf_fini(&b);
	return v;
}

/* 16 KiB beyond 16 bytes and twice the content of each. */
static void
overhead_exactly(void **state)
{
	(void)state;
	assert_int_equal(wordy(32, 1, 16 + 2 + 512), HTTP_MORE);
	assert_int_equal(wordy(33, 1, 16 + 2 + 512), HTTP_BAD);
	assert_int_equal(wordy(33, 256, 16 + 512 + 496), HTTP_MORE);
	assert_int_equal(wordy(34, 256, 16 + 512 + 496), HTTP_BAD);
}

static void
random_bodies(void **state)
{
	static const char *const pieces[] = { "5\r\nhello\r\n", "1;a\r\nx\r\n",
		"0\r\n", "\r\n", "\r", "\n", "3\r\n", "abc", ";", "a", "0",
		"X: y\r\n", ":", " ", "\x80", "\x01", "ff\r\n" };
	uint32_t seed = 3;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		char text[400] = "";
		struct outcome o;

		for (unsigned i = 0; i < 12; i++) {
			seed = seed * 1664525u + 1013904223u;
			strcat(text, pieces[(seed >> 8) % COUNT(pieces)]);
		}
		decode(&o, span_of(text), &usual);
		outcome_fini(&o);
	}
}

static void
trailers(void **state)
{
	const char data[] = "X-A: b \r\nx_b:\r\nTE-X: \xff\r\n";
	struct http_field f[4];
	const char *why;
	size_t count;

	(void)state;
	assert_int_equal(
	    http_trailer_parse(data, sizeof(data) - 1, f, 4, &count, &why),
	    HTTP_DONE);
	assert_int_equal(count, 3);
	assert_true(span_eq(http_span(data, f[0].name), SPAN("X-A")));
	assert_true(span_eq(http_span(data, f[0].value), SPAN("b")));
	assert_true(f[1].underscore);
	assert_int_equal(f[1].value.len, 0);
	assert_true(span_eq(http_span(data, f[2].value), SPAN("\xff")));
	assert_int_equal(
	    http_trailer_parse("", 0, f, 4, &count, &why), HTTP_DONE);
	assert_int_equal(count, 0);
	assert_int_equal(
	    http_trailer_parse(data, sizeof(data) - 1, f, 2, &count, &why),
	    HTTP_BAD);
	assert_non_null(why);
}

static void
bad_trailers(void **state)
{
	static const struct span cases[] = {
		S("X: y"),
		S("X: y\n"),
		S("\n"),
		S("\r\n"),
		S("X: y\r\n\r\n"),
		S("X\r\n"),
		S("X : y\r\n"),
		S("X: y\r\n z\r\n"),
		S("X: y\rz\r\n"),
		S("X: \0\r\n"),
		S("Host: a\r\n"),
		S("HOST: a\r\n"),
		S("TE: a\r\n"),
		S("X: y\r\nTransfer-Encoding: chunked\r\n"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_field f[4];
		const char *why = NULL;
		size_t count;

		assert_int_equal(http_trailer_parse(cases[i].ptr, cases[i].len,
				     f, 4, &count, &why),
		    HTTP_BAD);
		assert_non_null(why);
		assert_int_equal(count, 0);
	}
}

static void
chunk_heads(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 64; shift++) {
		uint64_t sizes[] = { UINT64_C(1) << shift,
			(UINT64_C(1) << shift) + 1, (UINT64_C(1) << shift) - 1,
			UINT64_MAX >> shift };

		for (unsigned i = 0; i < 4; i++) {
			char out[HTTP_CHUNK_HEAD_MAX], want[40];
			int len = snprintf(want, sizeof(want), "%llx\r\n",
			    (unsigned long long)sizes[i]);

			assert_int_equal(http_chunk_begin(out, sizes[i]), len);
			assert_memory_equal(out, want, (size_t)len);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_bodies),
		cmocka_unit_test(bad_bodies),
		cmocka_unit_test(bounded),
		cmocka_unit_test(overhead),
		cmocka_unit_test(overhead_exactly),
		cmocka_unit_test(random_bodies),
		cmocka_unit_test(trailers),
		cmocka_unit_test(bad_trailers),
		cmocka_unit_test(chunk_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
