/* SPDX-License-Identifier: MIT */
/* Pages made here: which type a client gets, and what is in them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "worker/pages.h"

static void
gives(const char *accept, const char *type)
{
	struct page p;

	pages_make(NULL, 404, "", span_of(accept), SPAN_NONE, &p);
	if (p.type.len < strlen(type) ||
	    memcmp(p.type.ptr, type, strlen(type)) != 0)
		fail_msg("%s gives %.*s", accept, (int)p.type.len, p.type.ptr);
	assert_true(p.body.len > 0 && p.body.len < PAGE_MAX);
}

static void
test_accept(void **state)
{
	(void)state;
	gives(NULL, "text/html");
	gives("", "text/html");
	gives("*/*", "text/html");
	gives("*/*;q=0.1, text/plain;q=0.2", "text/plain");
	gives("application/json;q=1.000, */*;q=0.999", "application/json");
	gives("text/html;q=0.001, application/json;q=0", "text/html");
	gives("application/*;q=0.5, application/problem+json",
	    "application/problem+json");
	gives("text/plain;format=flowed;q=0.9, text/html;q=0.8",
	    "text/plain");
	gives(",;q=1;,/,*,text,text/", "text/html");
	gives("text/plain;q=-1", "text/html");
	gives("text/plain;Q=.5", "text/plain");
}

static void
body_is(unsigned status, const char *why, const char *accept, const char *id,
    const char *expected)
{
	struct page p;

	pages_make(NULL, status, why, span_of(accept), span_of(id), &p);
	assert_int_equal(p.body.len, strlen(expected));
	assert_memory_equal(p.body.ptr, expected, p.body.len);
}

static void
test_bodies(void **state)
{
	(void)state;
	body_is(404, "", "text/plain", NULL, "404 Not Found\n");
	body_is(400, "no Host", "text/plain", "7",
	    "400 Bad Request\nno Host\nRequest 7\n");
	body_is(404, "", "application/json", NULL,
	    "{\"status\":404,\"title\":\"Not Found\"}\n");
	body_is(400, "no Host", "application/json", "7",
	    "{\"status\":400,\"title\":\"Bad Request\","
	    "\"detail\":\"no Host\",\"request_id\":\"7\"}\n");
}

static void
test_no_directory(void **state)
{
	struct pages *p;
	struct err err;

	(void)state;
	assert_int_equal(pages_load(NULL, &p, &err), 0);
	assert_null(p);
	pages_free(&p);
	assert_int_equal(pages_load("/nonexistent", &p, &err), -1);
	assert_non_null(strstr(err.text, "/nonexistent"));
	assert_null(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
