/* SPDX-License-Identifier: MIT */
/* uwsgi packets: as nginx and Apache send them, and as nobody should. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/uwsgi.h"

static const struct http_limits usual = { 4094, 100, 8190, 0 };

struct packet {
	char data[HTTP_UWSGI_MAX];
	size_t len;
	struct http_head head;
	struct http_cgi cgi;
};

static void
put16(struct packet *p, size_t at, size_t value)
{
	p->data[at] = (char)(value & 255);
	p->data[at + 1] = (char)(value >> 8);
}

static void
put(struct packet *p, const char *text)
{
	size_t len = strlen(text);

	put16(p, p->len, len);
	memcpy(p->data + p->len + 2, text, len);
	p->len += 2 + len;
}

/* Names and values in turn, up to NULL. */
static void
make(struct packet *p, const char *const *texts)
{
	http_head_fini(&p->head);
	http_cgi_fini(&p->cgi);
	memset(p->data, 0, 4);
	p->len = 4;
	for (; *texts != NULL; texts++)
		put(p, *texts);
	put16(p, 1, p->len - 4);
}

static enum http_verdict
parse(struct packet *p, const struct http_limits *limits)
{
	enum http_verdict v = HTTP_MORE;

	/* A block of its own for each beginning: reading beyond is seen. */
	for (size_t n = 0; n < p->len && v == HTTP_MORE; n++) {
		char *copy = malloc(n + 1);

		memcpy(copy, p->data, n);
		v = http_uwsgi_parse(&p->head, &p->cgi, copy, n, limits);
		free(copy);
	}
	if (v != HTTP_MORE)
		return v;
	return http_uwsgi_parse(&p->head, &p->cgi, p->data, p->len, limits);
}

#define TEXTS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define BASIC "REQUEST_METHOD", "GET", "REQUEST_URI", "/a%20b?c=d",            \
	"PATH_INFO", "/a b", "QUERY_STRING", "c=d"

static void
is(const struct packet *p, struct http_part part, const char *text)
{
	struct span s = http_span(p->data, part);

	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.ptr, text, s.len);
}

static void
test_nginx(void **state)
{
	static struct packet p;

	(void)state;
	make(&p, TEXTS(BASIC, "CONTENT_TYPE", "", "CONTENT_LENGTH", "",
	    "DOCUMENT_URI", "/a b", "DOCUMENT_ROOT", "/srv",
	    "SERVER_PROTOCOL", "HTTP/2.0", "REQUEST_SCHEME", "https",
	    "HTTPS", "on", "REMOTE_ADDR", "192.0.2.1", "REMOTE_PORT", "1234",
	    "SERVER_PORT", "443", "SERVER_NAME", "x.org",
	    "HTTP_HOST", "x.org", "HTTP_USER_AGENT", "t",
	    "HTTP_TRANSFER_ENCODING", "chunked", "HTTP_CONTENT_LENGTH", "9",
	    "HTTP_X_A", " b "));
	assert_int_equal(parse(&p, &usual), HTTP_DONE);
	assert_int_equal(p.head.length, p.len);
	is(&p, p.head.method, "GET");
	is(&p, p.head.target, "/a%20b?c=d");
	is(&p, p.head.path, "/a b");
	is(&p, p.head.query, "c=d");
	is(&p, p.cgi.raw_path, "/a%20b");
	assert_int_equal(p.head.content_length, -1);
	assert_false(p.head.keep_alive || p.head.chunked);
	assert_int_equal(p.head.field_count, 3);
	is(&p, p.head.fields[0].name, "HOST");
	assert_int_equal(p.head.host, 0);
	is(&p, p.head.fields[1].name, "USER-AGENT");
	is(&p, p.head.fields[2].name, "X-A");
	is(&p, p.head.fields[2].value, "b");
	is(&p, p.cgi.protocol, "HTTP/2.0");
	is(&p, p.cgi.remote_addr, "192.0.2.1");
	assert_int_equal(p.cgi.remote_port, 1234);
	assert_int_equal(p.cgi.server_port, 443);
	is(&p, p.cgi.server_name, "x.org");
	assert_true(p.cgi.https);
	assert_int_equal(p.cgi.variable_count, 4);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

/* One variable more; parsed by then. */
static void
with(struct packet *p, const char *name, const char *value)
{
	make(p, TEXTS(BASIC, name, value));
	assert_int_equal(parse(p, &usual), HTTP_DONE);
}

static void
test_values(void **state)
{
	static struct packet p;

	(void)state;
	with(&p, "REMOTE_PORT", "65535");
	assert_int_equal(p.cgi.remote_port, 65535);
	with(&p, "REMOTE_PORT", "65537");
	assert_int_equal(p.cgi.remote_port, 0);
	with(&p, "SERVER_PROTOCOL", "HTTP/12345678901");
	is(&p, p.cgi.protocol, "HTTP/12345678901");
	with(&p, "SERVER_PROTOCOL", "HTTP/123456789012");
	is(&p, p.cgi.protocol, "");
	with(&p, "SERVER_PROTOCOL", "HTTP/");
	is(&p, p.cgi.protocol, "");
	with(&p, "HTTPS", "1");
	assert_true(p.cgi.https);
	with(&p, "HTTPS", "off");
	assert_false(p.cgi.https);
	with(&p, "REQUEST_SCHEME", "HTTPS");
	assert_true(p.cgi.https);
	with(&p, "REQUEST_SCHEME", "on");
	assert_false(p.cgi.https);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

static void
paths(const char *script, const char *path, const char *uri,
    const char *expected_script, const char *expected)
{
	static struct packet p;

	make(&p, TEXTS("REQUEST_METHOD", "GET", "SCRIPT_NAME", script,
	    "PATH_INFO", path, "REQUEST_URI", uri));
	assert_int_equal(parse(&p, &usual), HTTP_DONE);
	is(&p, p.cgi.script_name, expected_script);
	is(&p, p.head.path, expected);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

static void
test_script_name(void **state)
{
	(void)state;
	paths("", "/a", "/a", "", "/a");
	paths("/app", "/a", "/app/a", "/app", "/a");      /* split */
	paths("/app", "/app/a", "/app/a?q", "/app", "/a"); /* not yet */
	paths("/app", "/app", "/app", "/app", "");
	paths("/app", "", "/app", "/app", "");
	paths("/app", "/app/a", "/app/app/a", "/app", "/app/a");
	paths("/app", "/app/a b", "/app/a%20b", "/app", "/a b");
	paths("/app", "/apple", "/apple", "/app", "/apple");
	paths("/", "/a", "/a", "", "/a");
	paths("/app/", "/app/a", "/app/a", "/app", "/a");
}

static void
refused(const char *const *texts, unsigned status)
{
	static struct packet p;

	make(&p, texts);
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	assert_int_equal(p.head.status, status);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

static void
test_refused(void **state)
{
	static char longer[9000];

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[0] = '/';
	refused(TEXTS("PATH_INFO", "/"), 400);
	refused(TEXTS("REQUEST_METHOD", "GET"), 400);
	refused(TEXTS(BASIC, "REQUEST_METHOD", "GET"), 400);
	refused(TEXTS(BASIC, "CONTENT_LENGTH", "1", "CONTENT_LENGTH", "1"),
	    400);
	refused(TEXTS(BASIC, "CONTENT_LENGTH", "-1"), 400);
	refused(TEXTS(BASIC, "CONTENT_LENGTH", "1x"), 400);
	refused(TEXTS(BASIC, "CONTENT_LENGTH", "99999999999999999999"), 400);
	refused(TEXTS(BASIC, "HTTP_HOST", "a", "HTTP_HOST", "b"), 400);
	refused(TEXTS(BASIC, "HTTP_HOST", "a b"), 400);
	refused(TEXTS(BASIC, "HTTP_A", "a\r\nb"), 400);
	refused(TEXTS(BASIC, "REMOTE_ADDR", "a\nb"), 400);
	refused(TEXTS("REQUEST_METHOD", "GET", "PATH_INFO", "/",
		"QUERY_STRING", "a\r\nb"), 400);
	refused(TEXTS(BASIC, "HTTP_A:", "a"), 400);
	refused(TEXTS(BASIC, "", "a"), 400);
	refused(TEXTS(BASIC, "A B", "a"), 400);
	refused(TEXTS("REQUEST_METHOD", "get", "PATH_INFO", "/"), 400);
	refused(TEXTS("REQUEST_METHOD", "G T", "PATH_INFO", "/"), 400);
	refused(TEXTS("REQUEST_METHOD", "GET", "REQUEST_URI", "a"), 400);
	refused(TEXTS("REQUEST_METHOD", "GET", "PATH_INFO", "/", "REQUEST_URI",
		""), 400);
	refused(TEXTS("REQUEST_METHOD", "GET", "REQUEST_URI", "/a b"), 400);
	refused(TEXTS("REQUEST_METHOD", "GET", "REQUEST_URI", "*"), 400);
	refused(TEXTS("REQUEST_METHOD", "GET", "REQUEST_URI", longer), 414);
	refused(TEXTS(BASIC, "HTTP_LONG", longer), 431);
}

static void
test_sizes(void **state)
{
	static struct packet p;

	(void)state;
	make(&p, TEXTS(BASIC));
	p.data[0] = 'G';
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	make(&p, TEXTS(BASIC));
	p.data[3] = 1;
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	make(&p, TEXTS(BASIC));
	p.data[4]++; /* the name is longer than it is */
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	make(&p, TEXTS(BASIC));
	put16(&p, 1, p.len - 5);
	p.len--;
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	make(&p, TEXTS(BASIC, "A"));
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
	memset(p.data, 0, 4);
	p.len = 4;
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

/* What is just short enough, and a byte more. */
static void
test_lengths(void **state)
{
	const struct http_limits limits = { 20, 3, 8, 0 };
	static struct packet p;

	(void)state;
	make(&p, TEXTS("REQUEST_METHOD", "GET", "REQUEST_URI", "/234567",
	    "HTTP_ABC", "12345"));
	assert_int_equal(parse(&p, &limits), HTTP_DONE);
	make(&p, TEXTS("REQUEST_METHOD", "GET", "REQUEST_URI", "/2345678"));
	assert_int_equal(parse(&p, &limits), HTTP_BAD);
	assert_int_equal(p.head.status, 414);
	make(&p, TEXTS("REQUEST_METHOD", "GET", "REQUEST_URI", "/",
	    "HTTP_ABC", "123456"));
	assert_int_equal(parse(&p, &limits), HTTP_BAD);
	assert_int_equal(p.head.status, 431);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

/* Modifier 30: the proxy left SCRIPT_NAME in the path. */
static void
test_split(void **state)
{
	const char *const *texts = TEXTS("REQUEST_METHOD", "GET",
	    "SCRIPT_NAME", "/app", "PATH_INFO", "/app/a");
	static struct packet p;

	(void)state;
	make(&p, texts);
	assert_int_equal(parse(&p, &usual), HTTP_DONE);
	is(&p, p.head.path, "/app/a");
	make(&p, texts);
	p.data[0] = 30;
	assert_int_equal(parse(&p, &usual), HTTP_DONE);
	is(&p, p.head.path, "/a");
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

static void
test_many(void **state)
{
	static struct packet p;
	static const char *texts[2100] = { BASIC };
	const struct http_limits few = { 4094, 3, 8190, 0 };

	(void)state;
	for (size_t i = 8; i < 2098; i += 2) {
		texts[i] = "A";
		texts[i + 1] = "b";
	}
	make(&p, texts);
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	assert_int_equal(p.head.status, 431);
	texts[2 * HTTP_UWSGI_VARIABLES_MAX] = NULL;
	make(&p, texts);
	assert_int_equal(parse(&p, &usual), HTTP_DONE);
	assert_int_equal(p.cgi.variable_count, HTTP_UWSGI_VARIABLES_MAX - 4);
	texts[2 * HTTP_UWSGI_VARIABLES_MAX] = "A";
	texts[2 * HTTP_UWSGI_VARIABLES_MAX + 2] = NULL;
	make(&p, texts);
	assert_int_equal(parse(&p, &usual), HTTP_BAD);
	assert_int_equal(p.head.status, 431);
	make(&p, TEXTS(BASIC, "HTTP_A", "", "HTTP_B", "", "HTTP_C", "",
	    "HTTP_D", ""));
	assert_int_equal(parse(&p, &few), HTTP_BAD);
	assert_int_equal(p.head.status, 431);
	http_head_fini(&p.head);
	http_cgi_fini(&p.cgi);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nginx),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_script_name),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
