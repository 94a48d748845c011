/* SPDX-License-Identifier: MIT */
/* Borrowed runs of bytes. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"

static void
test_equal(void **state)
{
	(void)state;
	assert_true(span_eq(SPAN("abc"), span_of("abc")));
	assert_true(span_eq(SPAN_NONE, SPAN("")));
	assert_false(span_eq(SPAN("abc"), SPAN("abd")));
	assert_false(span_eq(SPAN("abc"), SPAN("ab")));
	assert_true(span_ieq(SPAN("Content-LENGTH"), SPAN("content-length")));
	assert_false(span_ieq(SPAN("a"), SPAN("ab")));
	/* Only letters have a case: these differ by the same bit. */
	assert_false(span_ieq(SPAN("["), SPAN("{")));
	assert_false(span_ieq(SPAN("@"), SPAN("`")));
	assert_false(span_ieq(SPAN("\xc0"), SPAN("\xe0")));
	assert_false(span_ieq(SPAN("-"), SPAN("\r")));
}

static void
test_trim(void **state)
{
	(void)state;
	assert_true(span_eq(span_trim(SPAN(" \ta b\t ")), SPAN("a b")));
	assert_true(span_eq(span_trim(SPAN(" \t ")), SPAN("")));
	assert_true(span_eq(span_trim(SPAN("")), SPAN("")));
	assert_true(span_eq(span_trim(SPAN_NONE), SPAN("")));
	assert_true(span_eq(span_trim(SPAN("\r\n")), SPAN("\r\n")));
}

static void
test_next(void **state)
{
	struct span rest = SPAN("a,,b,"), part;

	(void)state;
	assert_true(span_next(&rest, ',', &part));
	assert_true(span_eq(part, SPAN("a")));
	assert_true(span_next(&rest, ',', &part));
	assert_true(span_eq(part, SPAN("")));
	assert_true(span_next(&rest, ',', &part));
	assert_true(span_eq(part, SPAN("b")));
	assert_true(span_next(&rest, ',', &part));
	assert_true(span_eq(part, SPAN("")));
	assert_false(span_next(&rest, ',', &part));
	assert_false(span_next(&rest, ',', &part));

	rest = SPAN("");
	assert_true(span_next(&rest, ',', &part));
	assert_int_equal(part.len, 0);
	assert_false(span_next(&rest, ',', &part));
}

static void
test_uint(void **state)
{
	unsigned long long v;

	(void)state;
	assert_true(span_uint(SPAN("0"), &v));
	assert_true(v == 0);
	assert_true(span_uint(SPAN("00042"), &v));
	assert_true(v == 42);
	assert_true(span_uint(SPAN("9223372036854775807"), &v));
	assert_true(v == INT64_MAX);
	assert_false(span_uint(SPAN("9223372036854775808"), &v));
	assert_false(span_uint(SPAN("18446744073709551616"), &v));
	assert_false(span_uint(SPAN("99999999999999999999999999"), &v));
	assert_false(span_uint(SPAN(""), &v));
	assert_false(span_uint(SPAN_NONE, &v));
	assert_false(span_uint(SPAN("-1"), &v));
	assert_false(span_uint(SPAN("+1"), &v));
	assert_false(span_uint(SPAN(" 1"), &v));
	assert_false(span_uint(SPAN("1 "), &v));
	assert_false(span_uint(SPAN("0x1"), &v));
	assert_false(span_uint(SPAN("1_0"), &v));
	assert_false(span_uint(SPAN("1\0"), &v));
}

static void
test_dup(void **state)
{
	char *copy = span_dup(SPAN("a\0b"));

	(void)state;
	assert_memory_equal(copy, "a\0b", 4);
	free(copy);
	copy = span_dup(SPAN_NONE);
	assert_string_equal(copy, "");
	free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_uint),
		cmocka_unit_test(test_dup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
