/* SPDX-License-Identifier: MIT */
/* A head as the application sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/request.h"
#include "app/trust.h"
#include "base/addr.h"
#include "base/err.h"
#include "conf/conf.h"
#include "http/head.h"

static const struct http_limits limits = { .line = 4094, .fields = 100,
	.field_size = 8190 };

static struct trust *
new_trust(const char *header_map)
{
	static const char *const ips[] = { "127.0.0.1" };
	const struct settings s = { .forwarded_allow_ips = { ips, 1 },
		.header_map = header_map };
	struct trust *t;
	struct err err;

	if (trust_new(&s, &t, &err) != 0)
		fail_msg("%s", err.text);
	return t;
}

/* Parses text and fills r from it. */
static void
fill(struct request *r, struct http_head *h, const char *text,
    struct trust *t)
{
	const struct addr nobody = { 0 };
	const struct trust_peers peers = { &nobody, &nobody };
	struct trust_result found;

	http_head_reset(h);
	assert_int_equal(http_head_parse(h, text, strlen(text), &limits),
	    HTTP_DONE);
	assert_int_equal(trust_apply(t, &peers, h, text, &found), HTTP_DONE);
	assert_true(request_fill(r, h, text, t, &found));
	/* For the id of a request that brings none. */
	assert_true(r->room > r->view.header_count);
}

static void
str_is(struct bicorn_str s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.ptr, text, s.len);
}

static void
header_is(const struct request *r, size_t i, const char *name,
    const char *value)
{
	assert_true(i < r->view.header_count);
	str_is(r->view.headers[i].name, name);
	str_is(r->view.headers[i].value, value);
}

static void
test_parts(void **state)
{
	struct trust *t = new_trust("drop");
	struct request r = { 0 };
	struct http_head h = { 0 };

	(void)state;
	fill(&r, &h, "GET /a/b?c=d&e HTTP/1.1\r\nHost: example.org:80\r\n"
		     "X-Empty:\r\nX-Spaces: \t a b \t\r\n\r\n", t);
	assert_int_equal(r.view.size, sizeof(r.view));
	str_is(r.view.method, "GET");
	str_is(r.view.target, "/a/b?c=d&e");
	str_is(r.view.raw_path, "/a/b");
	str_is(r.view.path, "/a/b");
	str_is(r.view.query, "c=d&e");
	str_is(r.view.protocol, "HTTP/1.1");
	str_is(r.view.host, "example.org:80");
	assert_int_equal(r.view.header_count, 3);
	header_is(&r, 0, "Host", "example.org:80");
	header_is(&r, 1, "X-Empty", "");
	header_is(&r, 2, "X-Spaces", "a b");

	/* One after another with the same struct: nothing is left over. */
	fill(&r, &h, "POST / HTTP/1.0\r\n\r\n", t);
	str_is(r.view.method, "POST");
	str_is(r.view.query, "");
	str_is(r.view.protocol, "HTTP/1.0");
	str_is(r.view.host, "");
	assert_int_equal(r.view.header_count, 0);
	request_fini(&r);
	http_head_fini(&h);
	trust_free(&t);
}

static void
path_is(const char *target, const char *raw, const char *path, size_t len)
{
	struct trust *t = new_trust("drop");
	struct request r = { 0 };
	struct http_head h = { 0 };
	char text[512] = "GET ";

	strcat(text, target);
	strcat(text, " HTTP/1.1\r\nHost: x\r\n\r\n");
	fill(&r, &h, text, t);
	str_is(r.view.target, target);
	str_is(r.view.raw_path, raw);
	assert_int_equal(r.view.path.len, len);
	assert_memory_equal(r.view.path.ptr, path, len);
	request_fini(&r);
	http_head_fini(&h);
	trust_free(&t);
}

static void
test_path(void **state)
{
	(void)state;
	path_is("/", "/", "/", 1);
	path_is("/a%20b", "/a%20b", "/a b", 4);
	path_is("/%2e%2E/%2f?%20", "/%2e%2E/%2f", "/..//", 5);
	path_is("/%00x", "/%00x", "/\0x", 3);
	path_is("/%", "/%", "/%", 2);
	path_is("/%4", "/%4", "/%4", 3);
	path_is("/%zz%41", "/%zz%41", "/%zzA", 5);
	path_is("/%25%32%35", "/%25%32%35", "/%25", 4);
	path_is("//double", "//double", "//double", 8);
	path_is("http://x/a%20b?c", "/a%20b", "/a b", 4);
	path_is("http://x", "/", "/", 1);
	path_is("http://x?q", "/", "/", 1);
}

/* A decoded path after a longer and a shorter one. */
static void
test_path_again(void **state)
{
	struct trust *t = new_trust("drop");
	struct request r = { 0 };
	struct http_head h = { 0 };

	(void)state;
	fill(&r, &h, "GET /%61%62%63%64 HTTP/1.0\r\n\r\n", t);
	str_is(r.view.path, "/abcd");
	fill(&r, &h, "GET /%61 HTTP/1.0\r\n\r\n", t);
	str_is(r.view.path, "/a");
	fill(&r, &h, "GET /plain HTTP/1.0\r\n\r\n", t);
	str_is(r.view.path, "/plain");
	request_fini(&r);
	http_head_fini(&h);
	trust_free(&t);
}

/* RFC 9112, 3.2.2: the authority of the target replaces Host. */
static void
test_authority(void **state)
{
	struct trust *t = new_trust("drop");
	struct request r = { 0 };
	struct http_head h = { 0 };

	(void)state;
	fill(&r, &h, "GET http://a.example:81/ HTTP/1.1\r\nAccept: x\r\n"
		     "Host: b.example\r\n\r\n", t);
	str_is(r.view.host, "a.example:81");
	header_is(&r, 0, "Accept", "x");
	header_is(&r, 1, "Host", "a.example:81");
	request_fini(&r);
	http_head_fini(&h);
	trust_free(&t);
}

static void
test_asterisk(void **state)
{
	struct trust *t = new_trust("drop");
	struct request r = { 0 };
	struct http_head h = { 0 };

	(void)state;
	fill(&r, &h, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", t);
	str_is(r.view.method, "OPTIONS");
	str_is(r.view.target, "*");
	str_is(r.view.path, "*");
	request_fini(&r);
	http_head_fini(&h);
	trust_free(&t);
}

/* Fields that an environ could not tell apart are hidden. */
static void
test_hidden(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n"
				   "X_Real_Ip: 1\r\nX-Real-Ip: 2\r\n"
				   "A_B: 3\r\nA: 4\r\n\r\n";
	struct trust *drop = new_trust("drop"), *pass = new_trust("dangerous");
	struct request r = { 0 };
	struct http_head h = { 0 };

	(void)state;
	fill(&r, &h, text, drop);
	assert_int_equal(r.view.header_count, 3);
	header_is(&r, 0, "Host", "x");
	header_is(&r, 1, "X-Real-Ip", "2");
	header_is(&r, 2, "A", "4");
	fill(&r, &h, text, pass);
	assert_int_equal(r.view.header_count, 5);
	request_fini(&r);
	http_head_fini(&h);
	trust_free(&drop);
	trust_free(&pass);
}

/* As many fields as are allowed, then few. */
static void
test_many_fields(void **state)
{
	struct trust *t = new_trust("drop");
	struct request r = { 0 };
	struct http_head h = { 0 };
	char *text = calloc(1, 100 * 16 + 64);

	(void)state;
	strcpy(text, "GET / HTTP/1.0\r\n");
	for (int i = 0; i < 100; i++)
		strcat(text, "A: b\r\n");
	strcat(text, "\r\n");
	fill(&r, &h, text, t);
	assert_int_equal(r.view.header_count, 100);
	header_is(&r, 99, "A", "b");
	fill(&r, &h, "GET / HTTP/1.0\r\nB: c\r\n\r\n", t);
	assert_int_equal(r.view.header_count, 1);
	header_is(&r, 0, "B", "c");
	request_fini(&r);
	http_head_fini(&h);
	trust_free(&t);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_path_again),
		cmocka_unit_test(test_authority),
		cmocka_unit_test(test_asterisk),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_many_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
