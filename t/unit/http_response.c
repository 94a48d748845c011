/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/field.h"
#include "http/response.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define S(literal)                                                             \
	{                                                                      \
		(literal), sizeof(literal) - 1                                 \
	}

static void
reasons(void **state)
{
	(void)state;
	assert_true(span_eq(http_reason(200), SPAN("OK")));
	assert_true(span_eq(http_reason(404), SPAN("Not Found")));
	assert_true(
	    span_eq(http_reason(511), SPAN("Network Authentication Required")));
	assert_true(span_eq(http_reason(299), SPAN("Unknown")));
	assert_true(span_eq(http_reason(0), SPAN("Unknown")));
	assert_true(span_eq(http_reason(1u << 31), SPAN("Unknown")));
	for (unsigned status = 100; status < 600; status++)
		assert_true(http_value_ok(http_reason(status)));
}

static void
names(void **state)
{
	(void)state;
	assert_true(http_name_ok(SPAN("Content-Type")));
	assert_true(http_name_ok(SPAN("!#$%&'*+-.^_`|~09azAZ")));
	assert_false(http_name_ok(SPAN_NONE));
	assert_false(http_name_ok(SPAN("")));
	for (unsigned i = 0; i < 256; i++) {
		char c = (char)i, text[] = { 'a', 'b', c, 'c' };
		bool ok = i != 0 && strchr("!#$%&'*+-.^_`|~0123456789"
					   "abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
					(int)i) != NULL;

		assert_int_equal(http_name_ok((struct span){ &c, 1 }), ok);
		assert_int_equal(http_name_ok((struct span){ text, 4 }), ok);
	}
}

/* Every byte at every place of values of every length up to 40. */
static void
values(void **state)
{
	(void)state;
	assert_true(http_value_ok(SPAN_NONE));
	for (size_t len = 1; len <= 40; len++) {
		char *text = malloc(len);

		assert_non_null(text);
		for (size_t at = 0; at < len; at++) {
			for (unsigned i = 0; i < 256; i++) {
				bool ok = (i >= 32 || i == 9) && i != 127;

				memset(text, i & 1 ? 'a' : 0xff, len);
				text[at] = (char)i;
				assert_int_equal(
				    http_value_ok((struct span){ text, len }),
				    ok);
			}
		}
		free(text);
	}
}

static void
fields(void **state)
{
	static const struct {
		struct span name;
		enum http_response_field what;
	} cases[] = {
		{ S("Connection"), HTTP_R_CONNECTION },
		{ S("connection"), HTTP_R_CONNECTION },
		{ S("Upgrade"), HTTP_R_UPGRADE },
		{ S("CONTENT-LENGTH"), HTTP_R_LENGTH },
		{ S("Keep-Alive"), HTTP_R_DROP },
		{ S("Proxy-Authenticate"), HTTP_R_DROP },
		{ S("Proxy-Authorization"), HTTP_R_DROP },
		{ S("TE"), HTTP_R_DROP },
		{ S("Trailers"), HTTP_R_DROP },
		{ S("Transfer-Encoding"), HTTP_R_DROP },
		{ S("Server"), HTTP_R_DROP },
		{ S("DATE"), HTTP_R_DROP },
		{ S("Trailer"), HTTP_R_PASS },
		{ S("Content-Type"), HTTP_R_PASS },
		{ S("Set-Cookie"), HTTP_R_PASS },
		{ S("Location"), HTTP_R_PASS },
		{ S("Content-Lengti"), HTTP_R_PASS },
		{ S("Connectiox"), HTTP_R_PASS },
		{ S("Content\rLength"), HTTP_R_PASS },
		{ S("Keep\rAlive"), HTTP_R_PASS },
		{ S("Dat%"), HTTP_R_PASS },
		{ S("Transfer-Encodinh"), HTTP_R_PASS },
		{ S("X"), HTTP_R_PASS },
		{ S(""), HTTP_R_PASS },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(
		    http_response_field(cases[i].name), cases[i].what);
}

static void
lists(void **state)
{
	(void)state;
	assert_true(http_list_has(SPAN("close"), SPAN("close")));
	assert_true(http_list_has(SPAN(" a ,\tCLOSE "), SPAN("close")));
	assert_true(http_list_has(SPAN("a,,close,"), SPAN("close")));
	assert_false(http_list_has(SPAN("closed"), SPAN("close")));
	assert_false(http_list_has(SPAN("a close"), SPAN("close")));
	assert_false(http_list_has(SPAN(""), SPAN("close")));
	assert_false(http_list_has(SPAN_NONE, SPAN("close")));
}

static void
splits_lines(void **state)
{
	static const struct {
		struct span line;
		const char *name, *value;
	} cases[] = {
		{ S("A: b"), "A", "b" },
		{ S("A:"), "A", "" },
		{ S("A-B:\t c d \t"), "A-B", "c d" },
		{ S("A::"), "A", ":" },
		{ S(""), NULL, NULL },
		{ S("A"), NULL, NULL },
		{ S(":"), NULL, NULL },
		{ S("A : b"), NULL, NULL },
		{ S("A: b\r"), NULL, NULL },
		{ S("A: b\0"), NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span line = cases[i].line;
		struct http_field f;
		const char *why =
		    http_field_split(line.ptr, 0, (uint32_t)line.len, &f);

		assert_int_equal(why == NULL, cases[i].name != NULL);
		if (why != NULL)
			continue;
		assert_true(span_eq(
		    http_span(line.ptr, f.name), span_of(cases[i].name)));
		assert_true(span_eq(
		    http_span(line.ptr, f.value), span_of(cases[i].value)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons),
		cmocka_unit_test(names),
		cmocka_unit_test(values),
		cmocka_unit_test(fields),
		cmocka_unit_test(lists),
		cmocka_unit_test(splits_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
