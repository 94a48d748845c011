/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/number.h"

static void
is_time(const char *text, int64_t ms)
{
	int64_t n;

	assert_int_equal(number_parse_time(text, &n), NUMBER_OK);
	assert_int_equal(n, ms);
}

static void
is_size(const char *text, int64_t bytes)
{
	int64_t n;

	assert_int_equal(number_parse_size(text, &n), NUMBER_OK);
	assert_int_equal(n, bytes);
}

static void
is_int(const char *text, int64_t value)
{
	int64_t n;

	assert_int_equal(number_parse_int(text, &n), NUMBER_OK);
	assert_int_equal(n, value);
}

static void
test_int(void **state)
{
	static const char *const bad[] = { "", "-", "+", "x", "1x", " 1", "1 ",
		"1.0", "0x10", "1e3", "--1", "1,000", "1_000", "inf", "nan",
		".5", "4k", "\xd9\xa3" };
	int64_t n;

	(void)state;
	is_int("0", 0);
	is_int("4", 4);
	is_int("+4", 4);
	is_int("-4", -4);
	is_int("007", 7);
	is_int("9223372036854775807", INT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(number_parse_int(bad[i], &n), NUMBER_BAD);
	assert_int_equal(number_parse_int("9223372036854775808", &n),
	    NUMBER_HUGE);
	assert_int_equal(number_parse_int("99999999999999999999999999", &n),
	    NUMBER_HUGE);
}

static void
test_time(void **state)
{
	static const char *const bad[] = { "", "s", "30 s", "30S", "30sec",
		"1d", ".5", "5.", "1.2.3", "1..2", "1e3", "0x1", "inf", "nan",
		"30s ", "m30", "1m30s" };
	int64_t n;

	(void)state;
	is_time("30", 30000);
	is_time("30s", 30000);
	is_time("0.5", 500);
	is_time("500ms", 500);
	is_time("1.5h", 5400000);
	is_time("2m", 120000);
	is_time("0", 0);
	is_time("0.000", 0);
	is_time("0ms", 0);
	is_time("-1", -1000);
	is_time("0.1234567890123456789", 123);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(number_parse_time(bad[i], &n), NUMBER_BAD);
	assert_int_equal(number_parse_time("0.0001", &n), NUMBER_TINY);
	assert_int_equal(number_parse_time("0.5ms", &n), NUMBER_TINY);
	assert_int_equal(number_parse_time("9223372036854775807", &n),
	    NUMBER_HUGE);
	assert_int_equal(number_parse_time("9223372036854775807ms", &n),
	    NUMBER_OK);
}

static void
test_size(void **state)
{
	static const char *const bad[] = { "", "k", "1kB", "1KiB", "1 k", "1P",
		"1e3", "k1", "1kk" };
	int64_t n;

	(void)state;
	is_size("4096", 4096);
	is_size("64k", 65536);
	is_size("64K", 65536);
	is_size("1.5M", 1572864);
	is_size("1G", 1 << 30);
	is_size("1024T", INT64_C(1) << 50);
	is_size("2m", 1 << 21);
	is_size("2M", 1 << 21);
	is_size("1g", 1 << 30);
	is_size("1t", INT64_C(1) << 40);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(number_parse_size(bad[i], &n), NUMBER_BAD);
	assert_int_equal(number_parse_size("9000000T", &n), NUMBER_HUGE);
	assert_int_equal(number_parse_size("0.1", &n), NUMBER_TINY);
}

static void
writes(void (*write)(char *, int64_t), int64_t number, const char *text)
{
	char out[NUMBER_ROOM];

	write(out, number);
	assert_string_equal(out, text);
}

static void
test_write(void **state)
{
	(void)state;
	writes(number_seconds, 30000, "30");
	writes(number_seconds, 100, "0.1");
	writes(number_seconds, 0, "0");
	writes(number_seconds, 1001, "1.001");
	writes(number_seconds, INT64_MAX, "9223372036854775.807");
	writes(number_size, 0, "0");
	writes(number_size, 1000, "1000");
	writes(number_size, 1024, "1k");
	writes(number_size, 1536, "1536");
	writes(number_size, 1 << 20, "1M");
	writes(number_size, INT64_C(1) << 50, "1024T");
	writes(number_plain, -5, "-5");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
