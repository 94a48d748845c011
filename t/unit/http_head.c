/* SPDX-License-Identifier: MIT */
/*
 * The head parser.  Every case goes through every scanner of this machine,
 * whole, byte by byte and cut at random places, each time in memory of
 * exactly that size and at another address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/head_private.h"

static const struct http_limits usual = { 4094, 100, 8190, 0 };

struct text {
	const char *ptr;
	size_t len;
};

#define TEXT(literal)                                                          \
	{                                                                      \
		(literal), sizeof(literal) - 1                                 \
	}

/* --- feeding ------------------------------------------------------------- */

/* The same generator everywhere, so that a failure can be repeated. */
static uint32_t
draw(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* One call with a copy of the first len bytes, at the end of a block. */
static enum http_verdict
feed(struct http_head *h, const char *data, size_t len,
    const struct http_limits *limits, http_scan_fn *scan)
{
	char *copy = malloc(len + 1);
	enum http_verdict v;

	assert_non_null(copy);
	memcpy(copy + 1, data, len);
	v = http_head_parse_with(h, copy + 1, len, limits, scan);
	free(copy);
	return v;
}

static void
assert_same(const struct http_head *a, const struct http_head *b)
{
	assert_int_equal(a->status, b->status);
	assert_true((a->reason == NULL) == (b->reason == NULL));
	if (a->reason != NULL)
		assert_string_equal(a->reason, b->reason);
	assert_int_equal(a->phase, b->phase);
	if (a->phase != HTTP_PHASE_DONE)
		return;
	assert_int_equal(a->length, b->length);
	assert_memory_equal(&a->method, &b->method, sizeof(a->method));
	assert_memory_equal(&a->target, &b->target, sizeof(a->target));
	assert_memory_equal(&a->path, &b->path, sizeof(a->path));
	assert_memory_equal(&a->query, &b->query, sizeof(a->query));
	assert_memory_equal(&a->authority, &b->authority, sizeof(a->authority));
	assert_int_equal(a->content_length, b->content_length);
	assert_int_equal(a->host, b->host);
	assert_int_equal(a->minor, b->minor);
	assert_int_equal(a->chunked, b->chunked);
	assert_int_equal(a->keep_alive, b->keep_alive);
	assert_int_equal(a->expect_continue, b->expect_continue);
	assert_int_equal(a->upgrade, b->upgrade);
	assert_int_equal(a->field_count, b->field_count);
	for (uint32_t i = 0; i < a->field_count; i++) {
		const struct http_field *f = &a->fields[i];
		const struct http_field *g = &b->fields[i];

		assert_int_equal(f->name.at, g->name.at);
		assert_int_equal(f->name.len, g->name.len);
		assert_int_equal(f->value.at, g->value.at);
		assert_int_equal(f->value.len, g->value.len);
		assert_int_equal(f->id, g->id);
		assert_int_equal(f->underscore, g->underscore);
	}
}

/* Feeds ever longer prefixes, `step(seed)` bytes more each time. */
static void
feed_pieces(struct http_head *h, struct text t, uint32_t seed, uint32_t most,
    const struct http_limits *limits, http_scan_fn *scan)
{
	enum http_verdict v = HTTP_MORE;
	size_t len = 0;

	while (v == HTTP_MORE && len < t.len) {
		len += most == 1 ? 1 : 1 + draw(&seed) % most;
		len = len < t.len ? len : t.len;
		v = feed(h, t.ptr, len, limits, scan);
	}
}

/*
 * Parses in every way there is, makes sure that all come to the same, and
 * leaves the result in *h.
 */
static enum http_verdict
parse(struct http_head *h, struct text t, const struct http_limits *limits)
{
	enum http_verdict v;
	struct http_head other = { 0 };

	v = feed(h, t.ptr, t.len, limits, http_scan_best());
	for (int level = 0; level < HTTP_SCAN_LEVELS; level++) {
		http_scan_fn *scan = http_scan_at((enum http_scan_level)level);
		static const uint32_t pieces[] = { 100000, 1, 3, 17, 70, 900 };

		for (unsigned i = 0; scan != NULL && i < 6; i++) {
			feed_pieces(&other, t, i + 1, pieces[i], limits, scan);
			assert_same(h, &other);
			http_head_reset(&other);
		}
	}
	http_head_fini(&other);
	return v;
}

static void
complain(struct text t, int got, int status, const char *reason)
{
	fprintf(stderr, "# verdict %d status %d (%s) of: ", got, status,
	    reason != NULL ? reason : "-");
	for (size_t i = 0; i < t.len && i < 300; i++) {
		unsigned char c = (unsigned char)t.ptr[i];

		if (c < ' ' || c > '~')
			fprintf(stderr, "\\x%02x", c);
		else
			fputc(c, stderr);
	}
	fputc('\n', stderr);
}

/* status 0: to be accepted; 1: incomplete. */
static void
expect(struct text t, int status, const struct http_limits *limits)
{
	struct http_head h = { 0 };
	enum http_verdict v = parse(&h, t, limits);
	enum http_verdict want = status == 0   ? HTTP_DONE
				 : status == 1 ? HTTP_MORE
					       : HTTP_BAD;

	if (v != want || h.status != (status > 1 ? status : 0))
		complain(t, (int)v, h.status, h.reason);
	assert_int_equal(v, want);
	assert_int_equal(h.status, status > 1 ? status : 0);
	assert_true((h.reason != NULL) == (v == HTTP_BAD));
	http_head_fini(&h);
}

struct verdict {
	int status;
	struct text text;
};

static void
expect_all(const struct verdict *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect(cases[i].text, cases[i].status, &usual);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- request lines ------------------------------------------------------- */

#define H "Host: a\r\n"
#define LINE(line) TEXT(line "\r\n" H "\r\n")

static void
request_lines(void **state)
{
	static const struct verdict cases[] = {
		{ 0, LINE("GET / HTTP/1.1") },
		{ 0, LINE("GET / HTTP/1.0") },
		{ 0, LINE("GET / HTTP/1.2") },
		{ 0, LINE("GET / HTTP/1.9") },
		{ 0, LINE("PUT / HTTP/1.1") },
		{ 0, LINE("PROPFIND / HTTP/1.1") },
		{ 0, LINE("M-SEARCH / HTTP/1.1") },
		{ 0, LINE("VERSION-CONTROL / HTTP/1.1") },
		{ 0, LINE("A!$%&'*+-.^_`|~09Z / HTTP/1.1") },
		{ 0, LINE("ABCDEFGHIJKLMNOPQRST / HTTP/1.1") },
		{ 400, LINE("ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1") },
		{ 400, LINE("GE / HTTP/1.1") },
		{ 400, LINE("G / HTTP/1.1") },
		{ 400, LINE(" / HTTP/1.1") },
		{ 400, LINE("/ HTTP/1.1") },
		{ 400, LINE("get / HTTP/1.1") },
		{ 400, LINE("Get / HTTP/1.1") },
		{ 400, LINE("GET# / HTTP/1.1") },
		{ 400, LINE("GET: / HTTP/1.1") },
		{ 400, LINE("GET\t/ HTTP/1.1") },
		{ 400, LINE("GE\x80T / HTTP/1.1") },
		{ 400, LINE("GE\0T / HTTP/1.1") },
		{ 400, LINE("GET(x) / HTTP/1.1") },
		{ 400, LINE("\"GET\" / HTTP/1.1") },
		{ 400, LINE(" GET / HTTP/1.1") },
		{ 400, LINE("GET  / HTTP/1.1") },
		{ 400, LINE("GET /  HTTP/1.1") },
		{ 400, LINE("GET / HTTP/1.1 ") },
		{ 400, LINE("GET /\tHTTP/1.1") },
		{ 400, LINE("GET / HTTP/1.1\t") },
		{ 400, LINE("GET / a HTTP/1.1") },
		{ 400, LINE("GET /\x0bHTTP/1.1") },
		{ 400, LINE("GET /\x0cHTTP/1.1") },
		{ 400, LINE("GET\x0b/ HTTP/1.1") },
		{ 400, LINE("GET HTTP/1.1") },
		{ 400, LINE("GET") },
		{ 400, LINE("GET ") },
		{ 400, LINE("GET /") },
		{ 400, LINE("GET / ") },
		{ 400, LINE("GET /\r HTTP/1.1") },
		{ 400, LINE("GET / HTTP/1.1\r") },
		{ 400, TEXT("GET / HTTP/1.1\n" H "\r\n") },
		{ 400, TEXT("GET / HTTP/1.1\r" H "\r\n") },
		{ 400, TEXT("GET / HTTP/1.1\n\r" H "\r\n") },
		{ 400, TEXT("GET / HTTP/1.1\r\r\n" H "\r\n") },
		{ 400, TEXT("GET /\n" H "\r\n") },
		{ 400, TEXT("GET /\r\n\r\n") },
	};

	(void)state;
	expect_all(cases, COUNT(cases));
}

static void
versions(void **state)
{
	static const struct verdict cases[] = {
		{ 505, LINE("GET / HTTP/2.0") },
		{ 505, LINE("GET / HTTP/0.9") },
		{ 505, LINE("GET / HTTP/3.0") },
		{ 505, LINE("GET / HTTP/9.9") },
		{ 505, LINE("GET / HTTP/0.0") },
		{ 505, TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
		{ 400, LINE("GET / HTTP/1") },
		{ 400, LINE("GET / HTTP/1.") },
		{ 400, LINE("GET / HTTP/2") },
		{ 400, LINE("GET / HTTP/1.10") },
		{ 400, LINE("GET / HTTP/1.01") },
		{ 400, LINE("GET / HTTP/01.1") },
		{ 400, LINE("GET / HTTP/11.1") },
		{ 400, LINE("GET / HTTP/1.1.1") },
		{ 400, LINE("GET / HTTP/1,1") },
		{ 400, LINE("GET / HTTP/-1.1") },
		{ 400, LINE("GET / HTTP/+1.1") },
		{ 400, LINE("GET / HTTP/1.+1") },
		{ 400, LINE("GET / HTTP/ 1.1") },
		{ 400, LINE("GET / HTTP/1 .1") },
		{ 400, LINE("GET / HTTP/a.b") },
		{ 400, LINE("GET / HTTP/1.x") },
		{ 400, LINE("GET / HTTP/\xd9\xa1.\xd9\xa1") },
		{ 400, LINE("GET / http/1.1") },
		{ 400, LINE("GET / Http/1.1") },
		{ 400, LINE("GET / HTTP1.1") },
		{ 400, LINE("GET / HTTP 1.1") },
		{ 400, LINE("GET / HTTPS/1.1") },
		{ 400, LINE("GET / HTCPCP/1.0") },
		{ 400, LINE("GET / XHTTP/1.1") },
		{ 400, LINE("GET / HTTP/2.0x") },
		{ 400, LINE("GET / HTTP/1.1x") },
		{ 400, LINE("GET / HTTP/1.1\0") },
	};

	(void)state;
	expect_all(cases, COUNT(cases));
}

static void
targets(void **state)
{
	static const struct verdict cases[] = {
		{ 0, LINE("GET /a/b;c=d,e?f=g&h[]=i HTTP/1.1") },
		{ 0, LINE("GET /a?b?c??d HTTP/1.1") },
		{ 0, LINE("GET /? HTTP/1.1") },
		{ 0, LINE("GET //evil.example/ HTTP/1.1") },
		{ 0, LINE("GET /../.. HTTP/1.1") },
		{ 0, LINE("GET /%zz%00%2e HTTP/1.1") },
		{ 0, LINE("GET /\xc3\xa4\xff HTTP/1.1") },
		{ 0, LINE("GET /\"<>\\^`{|} HTTP/1.1") },
		{ 0, LINE("GET /_a_b_?_c_ HTTP/1.1") },
		{ 0, LINE("OPTIONS * HTTP/1.1") },
		{ 0, LINE("OPTIONS / HTTP/1.1") },
		{ 400, LINE("GET * HTTP/1.1") },
		{ 400, LINE("OPTIONS *x HTTP/1.1") },
		{ 400, LINE("OPTIONS *?x HTTP/1.1") },
		{ 400, LINE("OPTIONS ** HTTP/1.1") },
		{ 0, LINE("GET http://example.org/ HTTP/1.1") },
		{ 0, LINE("GET http://example.org HTTP/1.1") },
		{ 0, LINE("GET http://example.org?x HTTP/1.1") },
		{ 0, LINE("GET HTTP://EXAMPLE.org:80/ HTTP/1.1") },
		{ 0, LINE("GET https://[::1]:443/a?b HTTP/1.1") },
		{ 0, LINE("GET http://127.0.0.1:/ HTTP/1.1") },
		{ 0, LINE("OPTIONS http://example.org HTTP/1.1") },
		{ 400, LINE("GET http:// HTTP/1.1") },
		{ 400, LINE("GET http:/// HTTP/1.1") },
		{ 400, LINE("GET http:///a HTTP/1.1") },
		{ 400, LINE("GET http://?a HTTP/1.1") },
		{ 400, LINE("GET http:/a HTTP/1.1") },
		{ 400, LINE("GET http:a HTTP/1.1") },
		{ 400, LINE("GET http HTTP/1.1") },
		{ 400, LINE("GET http://:80/ HTTP/1.1") },
		{ 400, LINE("GET http://user@example.org/ HTTP/1.1") },
		{ 400, LINE("GET http://user:pw@example.org/ HTTP/1.1") },
		{ 400, LINE("GET http://exa\xc3\xa4mple.org/ HTTP/1.1") },
		{ 400, LINE("GET http://a:b/ HTTP/1.1") },
		{ 400, LINE("GET http://[::1/ HTTP/1.1") },
		{ 400, LINE("GET http://a\\b/ HTTP/1.1") },
		{ 400, LINE("GET ftp://example.org/ HTTP/1.1") },
		{ 400, LINE("GET file:///etc/passwd HTTP/1.1") },
		{ 400, LINE("GET javascript:alert(1) HTTP/1.1") },
		{ 400, LINE("GET example.org HTTP/1.1") },
		{ 400, LINE("GET example.org:80 HTTP/1.1") },
		{ 400, LINE("GET a/b HTTP/1.1") },
		{ 400, LINE("GET ?a HTTP/1.1") },
		{ 400, LINE("GET \\a HTTP/1.1") },
		{ 400, LINE("GET /a#b HTTP/1.1") },
		{ 400, LINE("GET /# HTTP/1.1") },
		{ 400, LINE("GET # HTTP/1.1") },
		{ 400, LINE("GET /a\0b HTTP/1.1") },
		{ 400, LINE("GET /a\x01"
			    "b HTTP/1.1") },
		{ 400, LINE("GET /a\x1f HTTP/1.1") },
		{ 400, LINE("GET /a\x7f HTTP/1.1") },
		{ 400, LINE("GET /a\tb HTTP/1.1") },
		{ 0, LINE("CONNECT example.org:443 HTTP/1.1") },
		{ 0, LINE("CONNECT [2001:db8::1]:443 HTTP/1.1") },
		{ 400, LINE("CONNECT example.org HTTP/1.1") },
		{ 400, LINE("CONNECT example.org: HTTP/1.1") },
		{ 400, LINE("CONNECT example.org:0x50 HTTP/1.1") },
		{ 400, LINE("CONNECT example.org:65536 HTTP/1.1") },
		{ 400, LINE("CONNECT / HTTP/1.1") },
		{ 400, LINE("CONNECT * HTTP/1.1") },
		{ 400, LINE("CONNECT http://example.org:80 HTTP/1.1") },
		{ 400, LINE("CONNECT example.org:443/a HTTP/1.1") },
		{ 400, LINE("CONNECT example.org:443?a HTTP/1.1") },
		{ 400, LINE("CONNECT a@example.org:443 HTTP/1.1") },
	};

	(void)state;
	expect_all(cases, COUNT(cases));
}

static void
before_the_line(void **state)
{
	static const struct verdict cases[] = {
		{ 0, TEXT("\r\nGET / HTTP/1.1\r\n" H "\r\n") },
		{ 0, TEXT("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n") },
		{ 400, TEXT("\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n") },
		{ 400, TEXT("\nGET / HTTP/1.1\r\n" H "\r\n") },
		{ 400, TEXT("\rGET / HTTP/1.1\r\n" H "\r\n") },
		{ 400, TEXT("\r\n\nGET / HTTP/1.1\r\n" H "\r\n") },
		{ 400, TEXT("\r\r\n") },
		{ 1, TEXT("") },
		{ 1, TEXT("\r") },
		{ 1, TEXT("\r\n") },
		{ 1, TEXT("\r\n\r\n") },
		{ 400, TEXT("\r\n\r\n\r") },
		{ 1, TEXT("G") },
		{ 1, TEXT("GET") },
		{ 1, TEXT("GET ") },
		{ 1, TEXT("GET / HTTP/1.1\r") },
		{ 1, TEXT("GET / HTTP/1.1\r\n") },
		{ 1, TEXT("GET / HTTP/1.1\r\nHost: a\r\n") },
		{ 1, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r") },
		/* Other protocols, told by their first bytes. */
		{ 400, TEXT("\x16\x03\x01") },
		{ 400, TEXT("\x16") },
		{ 400, TEXT("\x80\x2e\x01") },
		{ 400, TEXT("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") },
		{ 400, TEXT("\0") },
		{ 400, TEXT("*1\r\n$4\r\nPING\r\n") },
		{ 400, TEXT("g") },
		{ 400, TEXT("{") },
		{ 400, TEXT("<?xml") },
		{ 400, TEXT("\xef\xbb\xbfGET / HTTP/1.1\r\n") },
	};

	(void)state;
	expect_all(cases, COUNT(cases));
}

/* --- fields -------------------------------------------------------------- */

#define FIELDS(text) TEXT("GET / HTTP/1.1\r\n" H text "\r\n")

static void
field_lines(void **state)
{
	static const struct verdict cases[] = {
		{ 0, FIELDS("") },
		{ 0, FIELDS("X:\r\n") },
		{ 0, FIELDS("X: \r\n") },
		{ 0, FIELDS("X: \t \r\n") },
		{ 0, FIELDS("X:y\r\n") },
		{ 0, FIELDS("X:\ty\t\r\n") },
		{ 0, FIELDS("X:   y z   \r\n") },
		{ 0, FIELDS("X: a\tb\r\n") },
		{ 0, FIELDS("X: ::\r\n") },
		{ 0, FIELDS("X: \x80\xff\xc3\xa4\r\n") },
		{ 0, FIELDS("!#$%&'*+-.^_`|~09azAZ: x\r\n") },
		{ 0, FIELDS("X_Y: x\r\n") },
		{ 0, FIELDS("0: x\r\n") },
		{ 0, FIELDS("X-A-Name-Of-More-Than-Sixty-Three-Bytes-Which-Is-"
			    "Unusual-But-Allowed: x\r\n") },
		{ 400, FIELDS("X : y\r\n") },
		{ 400, FIELDS("X\t: y\r\n") },
		{ 400, FIELDS(" X: y\r\n") },
		{ 400, FIELDS("\tX: y\r\n") },
		{ 400, FIELDS("X: y\r\n z\r\n") },
		{ 400, FIELDS("X: y\r\n\tz\r\n") },
		{ 400, FIELDS("X:\r\n y\r\n") },
		{ 400, FIELDS("X: y\r\n \r\n") },
		{ 400, FIELDS(": y\r\n") },
		{ 400, FIELDS("X\r\n") },
		{ 400, FIELDS("X y: z\r\n") },
		{ 400, FIELDS("X(y): z\r\n") },
		{ 400, FIELDS("X,y: z\r\n") },
		{ 400, FIELDS("X/y: z\r\n") },
		{ 400, FIELDS("X;y: z\r\n") },
		{ 400, FIELDS("X=y: z\r\n") },
		{ 400, FIELDS("X@y: z\r\n") },
		{ 400, FIELDS("X[y]: z\r\n") },
		{ 400, FIELDS("X\\y: z\r\n") },
		{ 400, FIELDS("X\"y: z\r\n") },
		{ 400, FIELDS("X{y}: z\r\n") },
		{ 400, FIELDS("X\0y: z\r\n") },
		{ 400, FIELDS("X\x7fy: z\r\n") },
		{ 400, FIELDS("X\x80y: z\r\n") },
		{ 400, FIELDS("X\xc3\xa4y: z\r\n") },
		{ 400, FIELDS("X\x01y: z\r\n") },
		{ 400, FIELDS("X\ry: z\r\n") },
		{ 400, FIELDS("X\ny: z\r\n") },
		{ 400, FIELDS("X: a\0b\r\n") },
		{ 400, FIELDS("X: a\x01"
			      "b\r\n") },
		{ 400, FIELDS("X: a\x08"
			      "b\r\n") },
		{ 400, FIELDS("X: a\x0b"
			      "b\r\n") },
		{ 400, FIELDS("X: a\x0c"
			      "b\r\n") },
		{ 400, FIELDS("X: a\x1f"
			      "b\r\n") },
		{ 400, FIELDS("X: a\x7f"
			      "b\r\n") },
		{ 400, FIELDS("X: a\rb\r\n") },
		{ 400, FIELDS("X: a\nb\r\n") },
		{ 400, FIELDS("X: a\n") },
		{ 400, FIELDS("X: a\r") },
		{ 400, FIELDS("X: a\r\r\n") },
		{ 400, FIELDS("X: a\n\r\n") },
		{ 400, FIELDS("X: a\n\r") },
		{ 400, FIELDS("X:\n") },
		{ 400, FIELDS("\n") },
		{ 400, FIELDS("\r") },
		{ 400, TEXT("GET / HTTP/1.1\r\n" H "\n") },
		{ 400, TEXT("GET / HTTP/1.1\r\n" H "\rX") },
		{ 400, TEXT("GET / HTTP/1.1\n\n") },
		{ 400, TEXT("GET / HTTP/1.1\r\n Host: a\r\n\r\n") },
		{ 400, TEXT("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n") },
		{ 400, TEXT("GET / HTTP/1.1\r\n\r\n") },
		{ 0, TEXT("GET / HTTP/1.0\r\n\r\n") },
		/* What is behind a head is nobody's business. */
		{ 0, FIELDS("\r\n\0\n\r\x01 garbage") },
	};

	(void)state;
	expect_all(cases, COUNT(cases));
}

/* No other byte makes of LF the end of a line. */
static void
ends_of_lines(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char data[] = "GET / HTTP/1.1\r\nHost: a\r\nX: y?\n\r\n";
		struct text t = { data, sizeof(data) - 1 };

		*strchr(data, '?') = (char)c;
		expect(t, c == '\r' ? 0 : 400, &usual);
	}
}

static void
hosts(void **state)
{
#define HOST(value) TEXT("GET / HTTP/1.1\r\nHost: " value "\r\n\r\n")
	static const struct verdict cases[] = {
		{ 0, HOST("example.org") },
		{ 0, HOST("example.org:8000") },
		{ 0, HOST("example.org:") },
		{ 0, HOST("example.org.") },
		{ 0, HOST("my_host-1") },
		{ 0, HOST("127.0.0.1:1") },
		{ 0, HOST("[::1]") },
		{ 0, HOST("[::1]:65535") },
		{ 0, HOST("[2001:db8::1:2]:80") },
		{ 0, HOST("[::ffff:192.0.2.1]") },
		{ 0, HOST("[v1.fe80::a+en1]") },
		{ 0, HOST("a%41b") },
		{ 0, HOST("") },
		{ 0, HOST("xn--bcher-kva.example") },
		{ 400, HOST(":80") },
		{ 400, HOST("a b") },
		{ 400, HOST("a\tb") },
		{ 400, HOST("a, b") },
		{ 400, HOST("a/b") },
		{ 400, HOST("a/") },
		{ 400, HOST("a?b") },
		{ 400, HOST("a#b") },
		{ 400, HOST("a@b") },
		{ 400, HOST("user:pw@b") },
		{ 400, HOST("http://a") },
		{ 400, HOST("a:b") },
		{ 400, HOST("a:80:80") },
		{ 400, HOST("a:-1") },
		{ 400, HOST("a:+80") },
		{ 400, HOST("a:65536") },
		{ 400, HOST("a:99999999999999999999") },
		{ 400, HOST("a: 80") },
		{ 400, HOST("a :80") },
		{ 400, HOST("::1") },
		{ 400, HOST("[::1") },
		{ 400, HOST("[::1]a") },
		{ 400, HOST("[::1]]") },
		{ 400, HOST("[]") },
		{ 400, HOST("[:]") },
		{ 400, HOST("[a]") },
		{ 400, HOST("[127.0.0.1]") },
		{ 400, HOST("[::1%25eth0]") },
		{ 400, HOST("[v1]") },
		{ 400, HOST("[v.a]") },
		{ 400, HOST("[v1.]") },
		{ 400, HOST("[vg.a]") },
		{ 400, HOST("a%4") },
		{ 400, HOST("a%") },
		{ 400, HOST("a%zz") },
		{ 400, HOST("\"a\"") },
		{ 400, HOST("<a>") },
		{ 400, HOST("a\\b") },
		{ 400, HOST("b\xc3\xbc"
			    "cher.example") },
		{ 400, HOST("a\0b") },
		{ 400, TEXT("GET / HTTP/1.1\r\n" H H "\r\n") },
		{ 400, TEXT("GET / HTTP/1.1\r\n" H "host: b\r\n\r\n") },
		{ 400, TEXT("GET / HTTP/1.0\r\n" H "hOsT: a\r\n\r\n") },
		{ 400, TEXT("GET / HTTP/1.0\r\nHost: a b\r\n\r\n") },
		{ 400, TEXT("GET http://a/ HTTP/1.1\r\n\r\n") },
		{ 400, TEXT("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n") },
		{ 0, TEXT("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n") },
	};
#undef HOST

	(void)state;
	expect_all(cases, COUNT(cases));
}

/* --- framing: what smuggles requests ------------------------------------- */

#define CL "Content-Length: "
#define TE "Transfer-Encoding: "

static void
framing(void **state)
{
	static const struct verdict cases[] = {
		{ 0, FIELDS(CL "0\r\n") },
		{ 0, FIELDS(CL "5\r\n") },
		{ 0, FIELDS(CL " \t5 \t\r\n") },
		{ 0, FIELDS(CL "0005\r\n") },
		{ 0, FIELDS(CL "9223372036854775807\r\n") },
		{ 400, FIELDS(CL "9223372036854775808\r\n") },
		{ 400, FIELDS(CL "18446744073709551616\r\n") },
		{ 400, FIELDS(CL "18446744073709551621\r\n") },
		{ 400, FIELDS(CL "99999999999999999999999999999999\r\n") },
		{ 400, FIELDS(CL "\r\n") },
		{ 400, FIELDS(CL "+5\r\n") },
		{ 400, FIELDS(CL "-5\r\n") },
		{ 400, FIELDS(CL "-0\r\n") },
		{ 400, FIELDS(CL "0x5\r\n") },
		{ 400, FIELDS(CL "5_0\r\n") },
		{ 400, FIELDS(CL "5.0\r\n") },
		{ 400, FIELDS(CL "5e1\r\n") },
		{ 400, FIELDS(CL "5 0\r\n") },
		{ 400, FIELDS(CL "5,\r\n") },
		{ 400, FIELDS(CL ",5\r\n") },
		{ 400, FIELDS(CL "5,5\r\n") },
		{ 400, FIELDS(CL "5, 5\r\n") },
		{ 400, FIELDS(CL "5;5\r\n") },
		{ 400, FIELDS(CL "\"5\"\r\n") },
		{ 400, FIELDS(CL "five\r\n") },
		{ 400, FIELDS(CL "\xd9\xa5\r\n") },
		{ 400, FIELDS(CL "\xef\xbc\x95\r\n") },
		{ 400, FIELDS(CL "\xb2\r\n") },
		{ 400, FIELDS(CL "5\x0b\r\n") },
		{ 400, FIELDS(CL "\x0c"
				 "5\r\n") },
		{ 400, FIELDS(CL "5\0\r\n") },
		{ 400, FIELDS(CL "5\r\n" CL "5\r\n") },
		{ 400, FIELDS(CL "5\r\n" CL "6\r\n") },
		{ 400, FIELDS(CL "5\r\ncontent-length: 5\r\n") },
		{ 400, FIELDS("Content-Length : 5\r\n") },
		{ 400, FIELDS("Content-Length\t: 5\r\n") },
		{ 400, FIELDS(" " CL "5\r\n") },
		{ 400, FIELDS("X: y\n" CL "5\r\n") },
		{ 400, FIELDS("X: y\r" CL "5\r\n") },
		{ 0, FIELDS("Content_Length: 5\r\n") },
		{ 0, FIELDS("Content-Length-: x\r\n") },

		{ 0, FIELDS(TE "chunked\r\n") },
		{ 0, FIELDS(TE "Chunked\r\n") },
		{ 0, FIELDS(TE "CHUNKED \t\r\n") },
		{ 0, FIELDS("TRANSFER-ENCODING:chunked\r\n") },
		{ 400, FIELDS(TE "\r\n") },
		{ 400, FIELDS(TE ",\r\n") },
		{ 400, FIELDS(TE "chunked,\r\n") },
		{ 400, FIELDS(TE ",chunked\r\n") },
		{ 400, FIELDS(TE "chunked, chunked\r\n") },
		{ 400, FIELDS(TE "chunked\r\n" TE "chunked\r\n") },
		{ 400, FIELDS(TE "chunked\r\n" TE "identity\r\n") },
		{ 400, FIELDS(TE "chunked\r\n" TE "x\r\n") },
		{ 400, FIELDS(TE "chunked\r\n" TE "\r\n") },
		{ 400, FIELDS(TE "chunked, identity\r\n") },
		{ 400, FIELDS(TE "chunked, gzip\r\n") },
		{ 400, FIELDS(TE "chunked; q=1\r\n") },
		{ 400, FIELDS(TE "chunked;\r\n") },
		{ 400, FIELDS(TE "\"chunked\"\r\n") },
		{ 400, FIELDS(TE "'chunked\0'\r\n") },
		{ 400, FIELDS(TE "chun ked\r\n") },
		{ 400, FIELDS(TE "chunked foo\r\n") },
		{ 400, FIELDS(TE "\x0b"
				 "chunked\r\n") },
		{ 400, FIELDS(TE "chunked\x0c\r\n") },
		{ 400, FIELDS(TE "chunked\0\r\n") },
		{ 400, FIELDS(TE "\xc2\xa0"
				 "chunked\r\n") },
		{ 400, FIELDS(TE "\xff"
				 "chunked\r\n") },
		{ 400, FIELDS(TE "\x85"
				 "chunked\r\n") },
		{ 400, FIELDS(TE "chunk\r\n ed\r\n") },
		{ 400, FIELDS(TE "\r\n chunked\r\n") },
		{ 400, FIELDS(TE "gzip;q=1, chunked\r\n") },
		{ 501, FIELDS(TE "gzip\r\n") },
		{ 501, FIELDS(TE "gzip, chunked\r\n") },
		{ 501, FIELDS(TE "gzip\r\n" TE "chunked\r\n") },
		{ 501, FIELDS(TE "identity\r\n") },
		{ 501, FIELDS(TE "identity, chunked\r\n") },
		{ 501, FIELDS(TE "xchunked\r\n") },
		{ 501, FIELDS(TE "chunkedx\r\n") },
		{ 501, FIELDS(TE "'chunked'\r\n") },
		{ 501, FIELDS(TE "cow\r\n") },
		{ 400, FIELDS("Transfer-Encoding : chunked\r\n") },
		{ 400, FIELDS("Transfer-Encoding\x0b: chunked\r\n") },
		{ 400, FIELDS(" " TE "chunked\r\n") },
		{ 400, FIELDS("X: y\n" TE "chunked\r\n") },
		{ 400, FIELDS("\n" TE "chunked\r\n") },
		{ 0, FIELDS("Transfer_Encoding: chunked\r\n") },
		{ 0, FIELDS("Transfer-Encodin: chunked\r\n") },

		{ 400, FIELDS(CL "5\r\n" TE "chunked\r\n") },
		{ 400, FIELDS(CL "5\r\n" TE "identity\r\n") },
		{ 400, FIELDS(TE "xchunked\r\n" CL "5\r\n") },
		{ 400, FIELDS(TE "gzip\r\n"
				 "X y: z\r\n") },
		{ 400, FIELDS(TE "chunked\r\n" CL "5\r\n") },
		{ 400, FIELDS(CL "0\r\n" TE "chunked\r\n") },
		{ 400, FIELDS(TE "chunked\r\n" CL "x\r\n") },
		{ 400, FIELDS(CL "5\r\nX: y\r\n" TE "chunked\r\n") },
		{ 400, TEXT("POST / HTTP/1.0\r\n" TE "chunked\r\n\r\n") },
		{ 400, TEXT("POST / HTTP/1.0\r\n" TE "gzip\r\n\r\n") },
		{ 400, TEXT("POST / HTTP/1.0\r\n" CL "3\r\n" TE
			    "chunked\r\n\r\n") },
	};

	(void)state;
	expect_all(cases, COUNT(cases));
}

static void
other_fields(void **state)
{
	static const struct verdict cases[] = {
		{ 0, FIELDS("Content-Type: text/plain\r\n") },
		{ 400, FIELDS("Content-Type: a\r\nContent-Type: a\r\n") },
		{ 400, FIELDS("Content-Type: a\r\nCONTENT-TYPE: b\r\n") },
		{ 0, FIELDS("Cookie: a\r\nCookie: b\r\n") },
		{ 0, FIELDS("Expect: 100-continue\r\n") },
		{ 0, FIELDS("Expect: 100-Continue\r\n") },
		{ 0, FIELDS("Expect: 100-continue ,100-continue\r\n") },
		{ 417, FIELDS("Expect: 200-ok\r\n") },
		{ 417, FIELDS("Expect: x, 100-continue\r\n") },
		{ 400, FIELDS("Expect: 200-ok\r\n" CL "x\r\n") },
		{ 417, FIELDS("Expect: \r\n") },
		{ 417, FIELDS("Expect: 100-continue, x\r\n") },
		{ 417, FIELDS("Expect: 100\r\n") },
		{ 417, TEXT("GET / HTTP/1.0\r\nExpect: x\r\n\r\n") },
	};

	(void)state;
	expect_all(cases, COUNT(cases));
}

/* --- results ------------------------------------------------------------- */

static void
assert_part(const char *data, struct http_part part, const char *want)
{
	assert_int_equal(part.len, strlen(want));
	assert_memory_equal(data + part.at, want, part.len);
}

static void
takes_apart(void **state)
{
	static const char data[] = "\r\nPOST /a%20b/c?d=e?f HTTP/1.1\r\n"
				   "Host: example.org:80\r\n"
				   "x-Empty:\r\n"
				   "X_Y: \t a  b \t\r\n"
				   "X#Y: z\r\n"
				   "Content-Length: 42\r\n"
				   "Expect: 100-continue\r\n"
				   "\r\nbody";
	struct text t = { data, sizeof(data) - 1 };
	struct http_head h = { 0 };

	(void)state;
	assert_int_equal(parse(&h, t, &usual), HTTP_DONE);
	assert_true(h.line_done);
	assert_int_equal(h.length, sizeof(data) - 5);
	assert_part(data, h.method, "POST");
	assert_part(data, h.target, "/a%20b/c?d=e?f");
	assert_part(data, h.path, "/a%20b/c");
	assert_part(data, h.query, "d=e?f");
	assert_int_equal(h.authority.len, 0);
	assert_int_equal(h.minor, 1);
	assert_int_equal(h.field_count, 6);
	assert_int_equal(h.host, 0);
	assert_int_equal(h.content_length, 42);
	assert_true(h.keep_alive);
	assert_true(h.expect_continue);
	assert_false(h.chunked);
	assert_false(h.upgrade);
	assert_part(data, h.fields[0].name, "Host");
	assert_part(data, h.fields[0].value, "example.org:80");
	assert_int_equal(h.fields[0].id, HTTP_F_HOST);
	assert_part(data, h.fields[1].value, "");
	assert_part(data, h.fields[2].name, "X_Y");
	assert_part(data, h.fields[2].value, "a  b");
	assert_true(h.fields[2].underscore);
	assert_false(h.fields[1].underscore);
	assert_false(h.fields[3].underscore);
	assert_int_equal(h.fields[4].id, HTTP_F_CONTENT_LENGTH);
	assert_int_equal(h.fields[5].id, HTTP_F_EXPECT);
	assert_ptr_equal(
	    http_head_field(&h, data, SPAN("X-EMPTY")), &h.fields[1]);
	assert_null(http_head_field(&h, data, SPAN("X-Emptz")));
	http_head_fini(&h);
}

static void
target_forms(void **state)
{
	static const struct {
		const char *line, *path, *query, *authority;
	} cases[] = {
		{ "GET / HTTP/1.1", "/", "", "" },
		{ "GET /? HTTP/1.1", "/", "", "" },
		{ "OPTIONS * HTTP/1.1", "*", "", "" },
		{ "GET http://a:1/b?c HTTP/1.1", "/b", "c", "a:1" },
		{ "GET https://a?c/d HTTP/1.1", "", "c/d", "a" },
		{ "OPTIONS HTTP://a HTTP/1.1", "", "", "a" },
		{ "CONNECT a:443 HTTP/1.1", "", "", "a:443" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_head h = { 0 };
		char data[200];
		int len = snprintf(
		    data, sizeof(data), "%s\r\n" H "\r\n", cases[i].line);
		struct text t = { data, (size_t)len };

		assert_int_equal(parse(&h, t, &usual), HTTP_DONE);
		assert_part(data, h.path, cases[i].path);
		assert_part(data, h.query, cases[i].query);
		assert_part(data, h.authority, cases[i].authority);
		http_head_fini(&h);
	}
}

static void
persistence(void **state)
{
	static const struct {
		const char *text;
		bool keep, upgrade;
	} cases[] = {
		{ "1.1\r\n", true, false },
		{ "1.0\r\n", false, false },
		{ "1.1\r\nConnection: close\r\n", false, false },
		{ "1.1\r\nConnection: CLOSE\r\n", false, false },
		{ "1.1\r\nConnection: keep-alive\r\n", true, false },
		{ "1.1\r\nConnection: x-close\r\n", true, false },
		{ "1.1\r\nConnection: \r\n", true, false },
		{ "1.1\r\nConnection: te, close\r\n", false, false },
		{ "1.1\r\nConnection: te,,\tclose ,\r\n", false, false },
		{ "1.1\r\nConnection: te\r\nConnection: close\r\n", false,
		    false },
		{ "1.1\r\nConnection: close\r\nConnection: keep-alive\r\n",
		    false, false },
		{ "1.0\r\nConnection: keep-alive\r\n", true, false },
		{ "1.0\r\nConnection: Keep-Alive\r\n", true, false },
		{ "1.0\r\nConnection: te, keep-alive\r\n", true, false },
		{ "1.0\r\nConnection: keep-alive, close\r\n", false, false },
		{ "1.0\r\nConnection: keep-alivex\r\n", false, false },
		{ "1.0\r\nKeep-Alive: 300\r\n", false, false },
		{ "1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", true,
		    true },
		{ "1.1\r\nUpgrade: h2c\r\nConnection: keep-alive, upgrade\r\n",
		    true, true },
		{ "1.1\r\nConnection: upgrade\r\n", true, false },
		{ "1.1\r\nUpgrade: websocket\r\n", true, false },
		{ "1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", false,
		    false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_head h = { 0 };
		char data[200];
		int len = snprintf(data, sizeof(data), "GET / HTTP/%s" H "\r\n",
		    cases[i].text);
		struct text t = { data, (size_t)len };

		assert_int_equal(parse(&h, t, &usual), HTTP_DONE);
		assert_int_equal(h.keep_alive, cases[i].keep);
		assert_int_equal(h.upgrade, cases[i].upgrade);
		http_head_fini(&h);
	}
}

static void
continues_only_1_1(void **state)
{
	struct text t = TEXT("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
	struct http_head h = { 0 };

	(void)state;
	assert_int_equal(parse(&h, t, &usual), HTTP_DONE);
	assert_false(h.expect_continue);
	http_head_fini(&h);
}

/* --- what may be permitted ----------------------------------------------- */

/* In one buffer, which may be changed, in steps of that many bytes. */
static enum http_verdict
permitted(struct http_head *h, char *data, size_t step, uint32_t permit)
{
	const struct http_limits limits = { 4094, 100, 60, permit };
	enum http_verdict v = HTTP_MORE;
	size_t len = strlen(data);

	for (size_t n = 0; v == HTTP_MORE && n < len;) {
		n = len - n < step ? len : n + step;
		v = http_head_parse(h, data, n, &limits);
	}
	return v;
}

static void
permits(const char *text, uint32_t permit, unsigned status,
    const char *name, const char *value)
{
	for (size_t step = 1; step < 9; step++) {
		char data[300];
		struct http_head h = { 0 };
		const struct http_field *f;
		enum http_verdict v;

		strcpy(data, text);
		v = permitted(&h, data, step == 8 ? sizeof(data) : step,
		    permit);
		assert_int_equal(v, status == 0 ? HTTP_DONE : HTTP_BAD);
		assert_int_equal(h.status, status);
		if (name != NULL) {
			f = http_head_field(&h, data, span_of(name));
			assert_non_null(f);
			assert_true(span_eq(http_span(data, f->value),
			    span_of(value)));
		}
		http_head_fini(&h);
	}
}

#define HEAD(fields) "GET / HTTP/1.1\r\nHost: x\r\n" fields "\r\n"

static void
permits_folding(void **state)
{
	const uint32_t fold = HTTP_PERMIT_FOLDING;

	(void)state;
	permits(HEAD("A: b\r\n c\r\n"), fold, 0, "A", "b   c");
	permits(HEAD("A: b\r\n\tc\r\nD: e\r\n"), fold, 0, "A", "b  \tc");
	permits(HEAD("A: b\r\n c\r\nD: e\r\n"), fold, 0, "D", "e");
	permits(HEAD("A:\r\n c\r\n"), fold, 0, "A", "c");
	permits(HEAD("A: b\r\n \r\n"), fold, 0, "A", "b");
	permits(HEAD("A: b\r\n \r\n c\r\n"), fold, 0, "A", "b      c");
	permits(HEAD("Content-Length:\r\n 5\r\n"), fold, 0, NULL, NULL);
	permits(HEAD("Content-Length: 5\r\n 5\r\n"), fold, 400, NULL, NULL);
	permits(HEAD("Transfer-Encoding: x,\r\n chunked\r\n"), fold, 501,
	    NULL, NULL);
	permits("GET / HTTP/1.1\r\n A: b\r\nHost: x\r\n\r\n", fold, 400,
	    NULL, NULL);
	permits(HEAD("A: b\n c\r\n"), fold, 400, NULL, NULL);
	permits(HEAD("A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n "
	    "cccccccccccccccccccccccccccccccc\r\n"), fold, 431, NULL, NULL);
	permits(HEAD("A: b\r\n c\r\n"), HTTP_PERMIT_SPACES, 400, NULL, NULL);
}

static void
permits_spaces(void **state)
{
	const uint32_t spaces = HTTP_PERMIT_SPACES;

	(void)state;
	permits(HEAD("A : b\r\n"), spaces, 0, "A", "b");
	permits(HEAD("Aaaa \t: b\r\n"), spaces, 0, "Aaaa", "b");
	permits(HEAD("Content-Length : 5\r\n"), spaces, 0, "Content-Length",
	    "5");
	permits(HEAD("A b: c\r\n"), spaces, 400, NULL, NULL);
	permits(HEAD(" A: c\r\n"), spaces, 400, NULL, NULL);
	permits(HEAD("A \r\n"), spaces, 400, NULL, NULL);
	permits(HEAD("A : b\r\n"), HTTP_PERMIT_FOLDING, 400, NULL, NULL);
}

static void
permits_lines(void **state)
{
	(void)state;
	permits("a / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_PERMIT_METHOD, 0, NULL,
	    NULL);
	permits("get#aaaaaaaaaaaaaaaaaaaaaaaaaaaa / HTTP/1.1\r\nHost: x\r\n"
		"\r\n", HTTP_PERMIT_METHOD | HTTP_CASEFOLD_METHOD, 0, NULL,
	    NULL);
	permits("g(t / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_PERMIT_METHOD, 400,
	    NULL, NULL);
	permits(" / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_PERMIT_METHOD, 400,
	    NULL, NULL);
	permits("get / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_PERMIT_VERSION, 400,
	    NULL, NULL);
	permits("GET / HTTP/3.7\r\nHost: x\r\n\r\n", HTTP_PERMIT_VERSION, 0,
	    NULL, NULL);
	permits("GET / HTTP/0.9\r\n\r\n", HTTP_PERMIT_VERSION, 0, NULL, NULL);
	permits("GET / HTTP/x.9\r\n\r\n", HTTP_PERMIT_VERSION, 400, NULL,
	    NULL);
	permits("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 0, 505, NULL, NULL);
}

/* --- limits -------------------------------------------------------------- */

static struct text
repeat(char *out, const char *before, char c, size_t count, const char *after)
{
	size_t len = strlen(before);

	memcpy(out, before, len);
	memset(out + len, c, count);
	len += count;
	memcpy(out + len, after, strlen(after));
	return (struct text){ out, len + strlen(after) };
}

static void
long_lines(void **state)
{
	static const struct http_limits limits = { 50, 3, 40, 0 };
	static const struct http_limits any_method = { 50, 3, 40,
		HTTP_PERMIT_METHOD };
	char out[400];

	(void)state;
	/* "GET /" + n + " HTTP/1.1" is n + 14 bytes. */
	for (size_t n = 0; n < 200; n++) {
		expect(repeat(out, "GET /", 'a', n, " HTTP/1.1\r\n" H "\r\n"),
		    n + 14 > 50 ? 414 : 0, &limits);
		expect(repeat(out, "GET /", '_', n, ""), n + 5 > 50 ? 414 : 1,
		    &limits);
		expect(repeat(out, "GET /", 'a', n, " HTTP/1.1\r"),
		    n + 14 > 50 ? 414 : 1, &limits);
		expect(repeat(out, "GET /", 'a', n, " HTTP/1"),
		    n + 12 > 50 ? 414 : 1, &limits);
		expect(repeat(out, "", 'A', n, ""), n > 50 ? 414 : 1,
		    &any_method);
		/* Beyond the limit nothing else matters. */
		expect(repeat(out, "GET /", 'a', n, "\x01"),
		    n + 5 > 50 ? 414 : 400, &limits);
		expect(repeat(out, "\r\n\r\nGET /", 'a', n, " HTTP/2.0\r\n"),
		    n + 14 > 50 ? 414 : 505, &limits);
	}
	/* "X:" + n is n + 2 bytes. */
	for (size_t n = 0; n < 100; n++) {
		const char *begin = "GET / HTTP/1.0\r\nX:";

		expect(repeat(out, begin, 'a', n, "\r\n\r\n"),
		    n + 2 > 40 ? 431 : 0, &limits);
		expect(repeat(out, begin, ' ', n, "\r\n\r\n"),
		    n + 2 > 40 ? 431 : 0, &limits);
		expect(repeat(out, begin, 'a', n, ""), n + 2 > 40 ? 431 : 1,
		    &limits);
		expect(repeat(out, begin, 'a', n, "\n"), n + 2 > 40 ? 431 : 400,
		    &limits);
		expect(repeat(out, "GET / HTTP/1.0\r\n", 'a', n, ":\r\n\r\n"),
		    n + 1 > 40 ? 431
		    : n == 0   ? 400
			       : 0,
		    &limits);
		expect(repeat(out, "GET / HTTP/1.0\r\n", 'a', n, ""),
		    n > 40 ? 431 : 1, &limits);
	}
}

static void
many_fields(void **state)
{
	static const struct http_limits limits = { 50, 3, 40, 0 };
	static const struct verdict cases[] = {
		{ 0, TEXT("GET / HTTP/1.0\r\nA:\r\nA:\r\nA:\r\n\r\n") },
		{ 431, TEXT("GET / HTTP/1.0\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n") },
		{ 431, TEXT("GET / HTTP/1.0\r\nA:\r\nA:\r\nA:\r\nA") },
		{ 1, TEXT("GET / HTTP/1.0\r\nA:\r\nA:\r\nA:\r\n\r") },
	};
	struct http_limits more = { 50, 1000, 40, 0 };
	char out[10000] = "GET / HTTP/1.0\r\n";
	size_t len = strlen(out);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		expect(cases[i].text, cases[i].status, &limits);
	for (unsigned i = 0; i < 500; i++)
		len += (size_t)sprintf(out + len, "X-%u: %u\r\n", i, i);
	len += (size_t)sprintf(out + len, "\r\n");
	expect((struct text){ out, len }, 0, &more);
	more.fields = 499;
	expect((struct text){ out, len }, 431, &more);
	more.fields = 500;
	expect((struct text){ out, len }, 0, &more);
}

/* Whoever holds http_head_max() bytes has a verdict. */
static void
bounds_the_whole(void **state)
{
	static const struct http_limits limits = { 50, 3, 40, 0 };
	const size_t max = http_head_max(&limits);
	char out[400] = "\r\n\r\nGET /";
	struct http_head h = { 0 };
	size_t len = strlen(out);

	(void)state;
	memset(out + len, 'a', 50 - 14);
	len += 50 - 14;
	len += (size_t)sprintf(out + len, " HTTP/1.0\r\n");
	for (unsigned i = 0; i < 3; i++)
		len += (size_t)sprintf(out + len, "X: %037u\r\n", i);
	assert_int_equal(len + 2, max);
	assert_int_equal(http_head_parse(&h, out, len, &limits), HTTP_MORE);
	len += (size_t)sprintf(out + len, "\r\n");
	assert_int_equal(http_head_parse(&h, out, len, &limits), HTTP_DONE);
	assert_int_equal(h.length, max);
	http_head_fini(&h);
}

/* --- known names ---------------------------------------------------------- */

static void
known_names(void **state)
{
	static const struct {
		const char *name;
		enum http_field_id id;
	} cases[] = {
		{ "host", HTTP_F_HOST },
		{ "connection", HTTP_F_CONNECTION },
		{ "content-length", HTTP_F_CONTENT_LENGTH },
		{ "content-type", HTTP_F_CONTENT_TYPE },
		{ "transfer-encoding", HTTP_F_TRANSFER_ENCODING },
		{ "expect", HTTP_F_EXPECT },
		{ "upgrade", HTTP_F_UPGRADE },
		{ "te", HTTP_F_TE },
		{ "trailer", HTTP_F_TRAILER },
		{ "keep-alive", HTTP_F_KEEP_ALIVE },
		{ "cookie", HTTP_F_OTHER },
		{ "x", HTTP_F_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].name);

		/* Each byte of the name becomes each byte there is. */
		for (size_t at = 0; at < len; at++) {
			for (unsigned c = 0; c < 256; c++) {
				bool same, letter = c >= 'A' && c <= 'Z';
				char name[20];

				memcpy(name, cases[i].name, len);
				same = (letter ? c | 0x20 : c) ==
				       (unsigned char)name[at];
				name[at] = (char)c;
				assert_int_equal(http_field_id(name, len),
				    same ? cases[i].id : HTTP_F_OTHER);
			}
		}
	}
	for (size_t len = 1; len < 100; len++) {
		char name[100];

		memset(name, 't', sizeof(name));
		assert_int_equal(http_field_id(name, len), HTTP_F_OTHER);
	}
}

/* --- the memory of fields ------------------------------------------------ */

static void
keeps_memory(void **state)
{
	struct text one = FIELDS("A: b\r\nC: d\r\n");
	struct text two = TEXT("GET / HTTP/1.0\r\n\r\n");
	struct http_head h = { 0 };
	const struct http_field *fields;

	(void)state;
	assert_int_equal(
	    http_head_parse(&h, one.ptr, one.len, &usual), HTTP_DONE);
	/* Once complete it stays so, whatever is asked. */
	assert_int_equal(
	    http_head_parse(&h, one.ptr, one.len, &usual), HTTP_DONE);
	fields = h.fields;
	http_head_reset(&h);
	assert_ptr_equal(h.fields, fields);
	assert_int_equal(
	    http_head_parse(&h, two.ptr, two.len, &usual), HTTP_DONE);
	assert_int_equal(h.field_count, 0);
	assert_int_equal(h.content_length, -1);
	assert_int_equal(h.host, -1);
	http_head_reset(&h);
	assert_int_equal(http_head_parse(&h, "x", 1, &usual), HTTP_BAD);
	assert_int_equal(
	    http_head_parse(&h, one.ptr, one.len, &usual), HTTP_BAD);
	assert_int_equal(h.status, 400);
	http_head_fini(&h);
	assert_null(h.fields);
}

/* --- random heads -------------------------------------------------------- */

/* Heads of pieces that are mostly right, changed here and there. */
static void
random_heads(void **state)
{
	static const char *const pieces[] = { "GET", "POST", " ", "/", "/a_b?c",
		"HTTP/1.1", "HTTP/1.0", "\r\n", "\r\n", "\r\n", "\r", "\n",
		"\r\n\r\n", "Host", "Host: a\r\n", ":", ": ", "x",
		"Cookie: ", "Content-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\n", "Connection: close\r\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\t", "_", "#", "\x80",
		"\x7f", "\x01", "X-Y: z\r\n" };
	static const struct http_limits limits = { 100, 6, 80, 0 };
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		char out[2000] = "";
		struct http_head h = { 0 };
		size_t len;

		if (draw(&seed) % 4 > 0)
			strcat(out, "GET / HTTP/1.1\r\nHost: a\r\n");
		for (unsigned i = draw(&seed) % 20; i > 0; i--)
			strcat(out, pieces[draw(&seed) % COUNT(pieces)]);
		len = strlen(out);
		if (len > 0 && draw(&seed) % 4 == 0)
			out[draw(&seed) % len] = (char)draw(&seed);
		parse(&h, (struct text){ out, len }, &limits);
		http_head_fini(&h);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_lines),
		cmocka_unit_test(versions),
		cmocka_unit_test(targets),
		cmocka_unit_test(before_the_line),
		cmocka_unit_test(field_lines),
		cmocka_unit_test(ends_of_lines),
		cmocka_unit_test(hosts),
		cmocka_unit_test(framing),
		cmocka_unit_test(other_fields),
		cmocka_unit_test(takes_apart),
		cmocka_unit_test(target_forms),
		cmocka_unit_test(persistence),
		cmocka_unit_test(continues_only_1_1),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(many_fields),
		cmocka_unit_test(bounds_the_whole),
		cmocka_unit_test(permits_folding),
		cmocka_unit_test(permits_spaces),
		cmocka_unit_test(permits_lines),
		cmocka_unit_test(known_names),
		cmocka_unit_test(keeps_memory),
		cmocka_unit_test(random_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
