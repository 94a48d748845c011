/* SPDX-License-Identifier: MIT */
/* Byte ranges: what is served in part, whole, or not at all. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hosts/static/range.h"

static struct range parts[RANGE_MAX];
static size_t count;

static enum range_verdict
parse(const char *value, int64_t size)
{
	return range_parse(bicorn_str(value), size, parts, &count);
}

static void
one(const char *value, int64_t size, int64_t first, int64_t len)
{
	assert_int_equal(parse(value, size), RANGE_PARTS);
	assert_int_equal(count, 1);
	assert_int_equal(parts[0].first, first);
	assert_int_equal(parts[0].len, len);
}

static void
test_one(void **state)
{
	(void)state;
	one("bytes=0-0", 100, 0, 1);
	one("bytes=0-99", 100, 0, 100);
	one("bytes=0-", 100, 0, 100);
	one("bytes=10-19", 100, 10, 10);
	one("bytes=99-", 100, 99, 1);
	one("bytes=90-1000", 100, 90, 10);
	one("bytes=-1", 100, 99, 1);
	one("bytes=-100", 100, 0, 100);
	one("bytes=-1000", 100, 0, 100);
	one("BYTES=5-6", 100, 5, 2);
	one("bytes= 5-6 ", 100, 5, 2);
	one("bytes=,5-6,,", 100, 5, 2);
	one("bytes=0-99999999999999999999999999", 100, 0, 100);
	one("bytes=-99999999999999999999999999", 100, 0, 100);
	one("bytes=0-9223372036854775807", 100, 0, 100);
	one("bytes=0-9223372036854775808", 100, 0, 100);
	one("bytes=-9223372036854775809", 100, 0, 100);
	one("bytes=4294967296-4294967297", INT64_C(5000000000), 4294967296, 2);
	/* Parts that hold nothing fall away. */
	one("bytes=200-300,5-6", 100, 5, 2);
	one("bytes=5-6,-0", 100, 5, 2);
}

static void
test_several(void **state)
{
	(void)state;
	assert_int_equal(parse("bytes=0-1, 10-11 ,\t-2", 100), RANGE_PARTS);
	assert_int_equal(count, 3);
	assert_int_equal(parts[1].first, 10);
	assert_int_equal(parts[2].first, 98);
	/* In the order asked for. */
	assert_int_equal(parse("bytes=50-59,0-9", 100), RANGE_PARTS);
	assert_int_equal(parts[0].first, 50);
	/* A little overlap does no harm. */
	assert_int_equal(parse("bytes=0-9,5-14", 100), RANGE_PARTS);
	assert_int_equal(count, 2);
}

static void
test_unsatisfiable(void **state)
{
	(void)state;
	assert_int_equal(parse("bytes=100-", 100), RANGE_UNSATISFIABLE);
	assert_int_equal(parse("bytes=100-200", 100), RANGE_UNSATISFIABLE);
	assert_int_equal(parse("bytes=-0", 100), RANGE_UNSATISFIABLE);
	assert_int_equal(parse("bytes=100-,200-,-0", 100),
	    RANGE_UNSATISFIABLE);
	assert_int_equal(parse("bytes=99999999999999999999-", 100),
	    RANGE_UNSATISFIABLE);
	assert_int_equal(count, 0);
}

static void
test_ignored(void **state)
{
	static const char *const bad[] = {
		"",
		"bytes",
		"bytes=",
		"bytes=,",
		"bytes= , ",
		"bytes=-",
		"bytes=--1",
		"bytes=a-b",
		"bytes=1",
		"bytes=1,2-3",
		"bytes=2-1",
		"bytes=2-1,3-4",
		"bytes=1-2-3",
		"bytes=1-2 3-4",
		"bytes=1 -2",
		"bytes=1- 2",
		"bytes=+1-2",
		"bytes=0x1-2",
		"bytes=1-2x",
		"bytes =1-2",
		"byte=1-2",
		"items=1-2",
		"bytes=0-0;1-1",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], 100), RANGE_WHOLE);
	assert_int_equal(parse("bytes=0-", 0), RANGE_WHOLE);
	assert_int_equal(parse("bytes=-1", 0), RANGE_WHOLE);
}

/* Requests that cost more than the file. */
static void
test_abuse(void **state)
{
	char value[4096] = "bytes=0-0";
	size_t i;

	(void)state;
	assert_int_equal(parse("bytes=0-,0-", 100), RANGE_WHOLE);
	assert_int_equal(parse("bytes=0-99,-1", 100), RANGE_WHOLE);
	for (i = 1; i < RANGE_MAX; i++)
		snprintf(value + strlen(value), sizeof(value) - strlen(value),
		    ",%zu-%zu", 2 * i, 2 * i);
	assert_int_equal(parse(value, 1000), RANGE_PARTS);
	assert_int_equal(count, RANGE_MAX);
	strcat(value, ",900-900");
	assert_int_equal(parse(value, 1000), RANGE_WHOLE);
	assert_int_equal(count, 0);
	/* Sums that do not fit a number. */
	assert_int_equal(parse("bytes=0-,0-,0-", INT64_MAX), RANGE_WHOLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_unsatisfiable),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_abuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
