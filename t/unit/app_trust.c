/* SPDX-License-Identifier: MIT */
/* Whom to believe, and which fields an application must not see. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include <cmocka.h>

#include "app/trust.h"
#include "base/addr.h"
#include "base/err.h"
#include "conf/conf.h"

static struct settings
defaults(void)
{
	static const char *const ips[] = { "127.0.0.1", "::1" };
	static const char *const schemes[] = { "X-FORWARDED-PROTOCOL=ssl",
		"X-FORWARDED-PROTO=https", "X-FORWARDED-SSL=on" };
	static const char *const names[] = { "SCRIPT_NAME", "PATH_INFO" };

	return (struct settings){
		.forwarded_allow_ips = { ips, 2 },
		.secure_scheme_headers = { schemes, 3 },
		.forwarder_headers = { names, 2 },
		.header_map = "drop",
	};
}

static struct trust *
new_trust(const struct settings *s)
{
	struct trust *t;
	struct err err = { "" };

	if (trust_new(s, &t, &err) != 0)
		fail_msg("%s", err.text);
	return t;
}

/* Fields as the parser leaves them; fields[i] is "Name: value". */
struct request {
	struct http_head head;
	struct http_field fields[16];
	char data[1024];
};

static void
fill(struct request *r, const char *const *lines)
{
	size_t at = 0;

	memset(r, 0, sizeof(*r));
	r->head.fields = r->fields;
	for (; *lines != NULL; lines++) {
		struct http_field *f = &r->fields[r->head.field_count++];
		size_t name = strcspn(*lines, ":"), len = strlen(*lines);

		memcpy(r->data + at, *lines, len);
		f->name = (struct http_part){ (uint32_t)at, (uint32_t)name };
		f->value = (struct http_part){ (uint32_t)(at + name + 2),
			(uint32_t)(len - name - 2) };
		f->underscore = memchr(*lines, '_', name) != NULL;
		at += len;
	}
}

static struct addr
peer(const char *text)
{
	struct addr a;

	memset(&a, 0, sizeof(a));
	if (text == NULL)
		return a;
	a.v4.sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, text, &a.v4.sin_addr), 1);
	return a;
}

#define LOCAL "127.0.0.1"
#define STRANGER "192.0.2.1"
#define FIELDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static enum http_verdict
apply(const struct settings *s, const char *from, const char *const *lines,
    struct trust_result *out)
{
	struct trust *t = new_trust(s);
	struct addr a = peer(from);
	const struct trust_peers peers = { &a, &a };
	struct request r;
	enum http_verdict verdict;

	fill(&r, lines);
	verdict = trust_apply(t, &peers, &r.head, r.data, out);
	if (verdict == HTTP_BAD)
		assert_non_null(out->reason);
	trust_free(&t);
	assert_null(t);
	return verdict;
}

/* What one request came to is nothing to the next one. */
static void
test_again(void **state)
{
	const struct settings s = defaults();
	struct trust_result r;

	(void)state;
	assert_int_equal(apply(&s, LOCAL,
		FIELDS("SCRIPT_NAME: /a", "X-Forwarded-Proto: https"), &r),
	    HTTP_DONE);
	assert_true(r.peer_trusted && r.hides && r.said != 0);
	assert_int_equal(apply(&s, STRANGER, FIELDS("A: b"), &r), HTTP_DONE);
	assert_false(r.peer_trusted || r.hides || r.said != 0);
	assert_int_equal(r.scheme, TRUST_SCHEME_NONE);
}

static void
scheme_is(const char *from, const char *const *lines, enum trust_scheme scheme)
{
	struct settings s = defaults();
	struct trust_result out;

	assert_int_equal(apply(&s, from, lines, &out), HTTP_DONE);
	assert_int_equal(out.scheme, scheme);
	assert_false(out.hides);
}

static void
test_scheme(void **state)
{
	(void)state;
	scheme_is(LOCAL, FIELDS("Host: x", "Accept-Encoding: https"),
	    TRUST_SCHEME_NONE);
	scheme_is(LOCAL, FIELDS("X-Forwarded-Proto: https"),
	    TRUST_SCHEME_HTTPS);
	scheme_is(LOCAL, FIELDS("x-forwarded-proto: http"), TRUST_SCHEME_HTTP);
	scheme_is(LOCAL, FIELDS("X-Forwarded-Protocol: ssl"),
	    TRUST_SCHEME_HTTPS);
	scheme_is(LOCAL, FIELDS("X-Forwarded-Ssl: on"), TRUST_SCHEME_HTTPS);
	scheme_is(LOCAL, FIELDS("X-Forwarded-Proto: HTTPS"), TRUST_SCHEME_HTTP);
	scheme_is(LOCAL, FIELDS("X-Forwarded-Proto: "), TRUST_SCHEME_HTTP);
	scheme_is(LOCAL, FIELDS("X-Forwarded-Proto: https",
		"X-Forwarded-Ssl: on"), TRUST_SCHEME_HTTPS);
	/* Unix peers are trusted, strangers are not. */
	scheme_is(NULL, FIELDS("X-Forwarded-Proto: https"),
	    TRUST_SCHEME_HTTPS);
	scheme_is(STRANGER, FIELDS("X-Forwarded-Proto: https"),
	    TRUST_SCHEME_NONE);
	/* A chain: the client's side counts. */
	scheme_is(LOCAL, FIELDS("X-Forwarded-Proto: https, http"),
	    TRUST_SCHEME_HTTPS);
	scheme_is(LOCAL, FIELDS("X-Forwarded-Proto: http,https"),
	    TRUST_SCHEME_HTTP);
}

static void
test_scheme_clash(void **state)
{
	struct settings s = defaults();
	struct trust_result out;

	(void)state;
	assert_int_equal(apply(&s, LOCAL, FIELDS("X-Forwarded-Proto: https",
		"X-Forwarded-Ssl: off"), &out), HTTP_BAD);
	assert_int_equal(apply(&s, LOCAL, FIELDS("X-Forwarded-Proto: http",
		"X-Forwarded-Proto: https"), &out), HTTP_BAD);
	assert_int_equal(apply(&s, STRANGER, FIELDS("X-Forwarded-Proto: https",
		"X-Forwarded-Ssl: off"), &out), HTTP_DONE);
}

/* Which of the fields are hidden, as a string of 0 and 1. */
static void
hides(const struct settings *s, const char *from, const char *const *lines,
    const char *expected)
{
	struct trust *t = new_trust(s);
	struct addr a = peer(from);
	const struct trust_peers peers = { &a, &a };
	struct trust_result out;
	struct request r;

	fill(&r, lines);
	assert_int_equal(trust_apply(t, &peers, &r.head, r.data, &out),
	    HTTP_DONE);
	assert_true(out.hides || strchr(expected, '1') == NULL);
	for (uint32_t i = 0; out.hides && i < r.head.field_count; i++)
		assert_int_equal(
		    trust_hides(t, &out, &r.fields[i], r.data),
		    expected[i] == '1');
	trust_free(&t);
}

static void
test_underscores(void **state)
{
	struct settings s = defaults();
	static const char *const names[] = { "remote_user" };
	static const char *const all[] = { "*" };
	const char *const *lines = FIELDS("X-Real-IP: 1", "X_Real_IP: 2",
	    "Script_Name: /a", "REMOTE_USER: me");

	(void)state;
	hides(&s, STRANGER, lines, "0111");
	hides(&s, LOCAL, lines, "0101");
	hides(&s, NULL, lines, "0101");
	hides(&s, LOCAL, FIELDS("Host: x"), "0");

	s.forwarder_headers = (struct strlist){ names, 1 };
	hides(&s, LOCAL, lines, "0110");
	lines = FIELDS("Remote-User: a client", "REMOTE_USER: me",
	    "remote-USER: again", "Remote-Users: 2");
	hides(&s, LOCAL, lines, "1010");
	hides(&s, STRANGER, lines, "0100");
	hides(&s, LOCAL, FIELDS("Remote-User: me", "X_A: 1"), "01");
	lines = FIELDS("X-Real-IP: 1", "X_Real_IP: 2", "Script_Name: /a",
	    "REMOTE_USER: me");
	s.forwarder_headers = (struct strlist){ all, 1 };
	hides(&s, LOCAL, lines, "0000");
	hides(&s, STRANGER, lines, "0111");

	/* Dangerous, but no stranger moves the application. */
	s = defaults();
	s.header_map = "dangerous";
	hides(&s, STRANGER, lines, "0010");
	hides(&s, LOCAL, lines, "0000");
}

static void
test_refuse(void **state)
{
	struct settings s = defaults();
	struct trust_result out;

	(void)state;
	s.header_map = "refuse";
	assert_int_equal(apply(&s, LOCAL, FIELDS("X_Y: 1"), &out), HTTP_BAD);
	assert_int_equal(apply(&s, STRANGER, FIELDS("SCRIPT_NAME: /"), &out),
	    HTTP_BAD);
	assert_int_equal(apply(&s, LOCAL, FIELDS("SCRIPT_NAME: /"), &out),
	    HTTP_DONE);
	assert_int_equal(apply(&s, STRANGER, FIELDS("X-Y: 1"), &out),
	    HTTP_DONE);
}

static void
refuses(const struct settings *s, const char *part)
{
	struct trust *t = (struct trust *)&t;
	struct err err = { "" };

	assert_int_equal(trust_new(s, &t, &err), -1);
	assert_null(t);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void
test_settings(void **state)
{
	static const char *const bad_ip[] = { "127.0.0.1", "proxy" };
	static const char *const bad_scheme[] = { "X-FORWARDED-PROTO" };
	struct settings s = defaults();
	struct trust *t;

	(void)state;
	s.forwarded_allow_ips = (struct strlist){ bad_ip, 2 };
	refuses(&s, "forwarded_allow_ips: 'proxy'");
	s = defaults();
	s.secure_scheme_headers = (struct strlist){ bad_scheme, 1 };
	refuses(&s, "secure_scheme_headers = X-FORWARDED-PROTO: must be");
	s = defaults();
	s.header_map = "pass";
	refuses(&s, "header_map = pass: must be drop, refuse or dangerous");
	/* Nothing at all is possible, too. */
	s = (struct settings){ 0 };
	t = new_trust(&s);
	trust_free(&t);
	trust_free(&t);
}

static void
remote(const char *header, const char *from, const char *const *lines,
    const char *expected, unsigned port)
{
	static const char *const ips[] = { "127.0.0.1", "10.0.0.0/8" };
	struct settings s = defaults();
	struct trust_result out;

	s.forwarded_allow_ips = (struct strlist){ ips, 2 };
	s.remote_addr_header = header;
	assert_int_equal(apply(&s, from, lines, &out), HTTP_DONE);
	assert_int_equal(out.remote_len, strlen(expected));
	if (out.remote_len == 0)
		return;
	assert_string_equal(out.remote, expected);
	assert_int_equal(out.remote_port, port);
}

static void
test_remote(void **state)
{
	const char *xff = "x-forwarded-for";

	(void)state;
	remote(xff, LOCAL, FIELDS("X-Forwarded-For: 1.1.1.1, 2.2.2.2:5"),
	    "2.2.2.2", 5);
	remote(xff, LOCAL, FIELDS("X-Forwarded-For: 1.1.1.1, 2.2.2.2",
	    "A: b", "X-Forwarded-For: 10.0.0.1"), "2.2.2.2", 0);
	remote(xff, LOCAL, FIELDS("X-Forwarded-For: 1.1.1.1, x, 10.0.0.1",
	    "X-Forwarded-For: 10.0.0.2,"), "10.0.0.1", 0);
	remote(xff, LOCAL, FIELDS("X-Forwarded-For: x"), "", 0);
	remote(xff, NULL, FIELDS("X-Forwarded-For: ::1"), "::1", 0);
	remote(xff, STRANGER, FIELDS("X-Forwarded-For: 1.1.1.1"), "", 0);
	remote(NULL, LOCAL, FIELDS("X-Forwarded-For: 1.1.1.1"), "", 0);
	remote("Forwarded", LOCAL, FIELDS("X-Forwarded-For: 1.1.1.1",
	    "Forwarded: for=2.2.2.2"), "2.2.2.2", 0);
	remote("X-Real-Ip", LOCAL, FIELDS("X-Real-IP: 3.3.3.3"), "3.3.3.3", 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_scheme),
		cmocka_unit_test(test_scheme_clash),
		cmocka_unit_test(test_underscores),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_remote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
