/* SPDX-License-Identifier: MIT */
/* Dates of HTTP fields: written, read in three forms, refused. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hosts/static/date.h"

#define NOW INT64_C(1795255200) /* November 2026 */

static int64_t
parsed(const char *text)
{
	return date_parse(bicorn_str(text), NOW);
}

static void
formats(int64_t seconds, const char *expected)
{
	char out[DATE_LEN + 1] = "";

	date_format(seconds, out);
	assert_string_equal(out, expected);
}

static void
test_format(void **state)
{
	(void)state;
	formats(0, "Thu, 01 Jan 1970 00:00:00 GMT");
	formats(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
	formats(951827696, "Tue, 29 Feb 2000 12:34:56 GMT");
	formats(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT");
	formats(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
	formats(-5, "Thu, 01 Jan 1970 00:00:00 GMT");
	formats(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
	formats(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Against libc, over 400 years in steps that meet every day of the year. */
static void
test_against_libc(void **state)
{
	int64_t at;

	(void)state;
	for (at = 0; at < INT64_C(400) * 366 * 86400; at += 40007 * 7) {
		char ours[DATE_LEN + 1] = "", theirs[64];
		time_t t = (time_t)at;
		struct tm tm;

		date_format(at, ours);
		gmtime_r(&t, &tm);
		strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S GMT",
		    &tm);
		assert_string_equal(ours, theirs);
		assert_int_equal(parsed(ours), at);
	}
}

static void
test_forms(void **state)
{
	(void)state;
	assert_int_equal(parsed("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
	assert_int_equal(parsed("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
	assert_int_equal(parsed("Sun Nov  6 08:49:37 1994"), 784111777);
	assert_int_equal(parsed("Wed Nov 16 08:49:37 1994"), 784975777);
	/* Two digits: at most 50 years ahead. */
	assert_int_equal(parsed("Friday, 01-Jan-76 00:00:00 GMT"),
	    INT64_C(3345062400));
	assert_int_equal(parsed("Saturday, 01-Jan-77 00:00:00 GMT"),
	    220924800);
	/* A leap second; a date before there was time. */
	assert_int_equal(parsed("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800);
	assert_int_equal(parsed("Mon, 01 Jan 1900 00:00:00 GMT"), 0);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"0",
		"784111777",
		"Sun",
		"Sun,",
		"Sunday",
		"Sunday,",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 06 Nov 1994 08:49:37 GMT, x",
		" Sun, 06 Nov 1994 08:49:37 GMT",
		"sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Tue, 29 Feb 1994 08:49:37 GMT",
		"Tue, 29 Feb 2100 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1994 -8:49:37 GMT",
		"Sun, 06 Nov 0000 08:49:37 GMT",
		"Sun, 06-Nov-94 08:49:37 GMT",
		"Sunday, 06 Nov 1994 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994",
		"Sun Nov  6 08:49:37 94",
		"Xxx, 06 Nov 1994 08:49:37 GMT",
		"\"Sun, 06 Nov 1994 08:49:37 GMT\"",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parsed(bad[i]), -1);
	assert_int_equal(date_parse(bicorn_str(NULL), NOW), -1);
}

/* No prefix of a date reads beyond its end. */
static void
test_cut(void **state)
{
	static const char *const whole[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	};
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		for (len = 0; len < strlen(whole[i]); len++) {
			char exact[40];
			struct bicorn_str s = { exact + 40 - len, len };

			memcpy(exact + 40 - len, whole[i], len);
			assert_int_equal(date_parse(s, NOW), -1);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_against_libc),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
