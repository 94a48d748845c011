/* SPDX-License-Identifier: MIT */
/* Dates, against libc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "http/response.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LAST INT64_C(253402300799)

static const char *const forms[] = {
	"%a, %d %b %Y %H:%M:%S GMT",
	"%A, %d-%b-%y %H:%M:%S GMT",
	"%a %b %e %H:%M:%S %Y",
};

static void
check(int64_t seconds)
{
	time_t t = (time_t)seconds;
	char ours[HTTP_DATE_LEN], libc[60];
	struct tm tm;
	size_t len;

	assert_non_null(gmtime_r(&t, &tm));
	for (unsigned i = 0; i < COUNT(forms); i++) {
		/* Two digits of a year say less. */
		if (i == 1 && tm.tm_year >= 170)
			continue;
		len = strftime(libc, sizeof(libc), forms[i], &tm);
		assert_int_equal(
		    http_date_parse((struct span){ libc, len }), seconds);
	}
	len = strftime(libc, sizeof(libc), forms[0], &tm);
	assert_int_equal(len, HTTP_DATE_LEN);
	http_date(seconds, ours);
	assert_memory_equal(ours, libc, HTTP_DATE_LEN);
}

static void
as_libc(void **state)
{
	uint64_t seed = 5;

	(void)state;
	/* Noon of every day until 2106, and moments all over the range. */
	for (int64_t day = 0; day < 50000; day++)
		check(day * 86400 + 43200);
	for (unsigned i = 0; i < 50000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1;
		check((int64_t)(seed >> 20) % (LAST + 1));
	}
	check(0);
	check(LAST);
	check(951782400); /* 29 Feb 2000 */
	check(784111777);
}

static void
out_of_range(void **state)
{
	char out[HTTP_DATE_LEN];

	(void)state;
	http_date(-5, out);
	assert_memory_equal(
	    out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_LEN);
	http_date(INT64_MAX, out);
	assert_memory_equal(
	    out, "Fri, 31 Dec 9999 23:59:59 GMT", HTTP_DATE_LEN);
	assert_int_equal(
	    http_date_parse(SPAN("Mon, 01 Jan 1900 00:00:00 GMT")), 0);
	assert_int_equal(
	    http_date_parse(SPAN("Sat, 01 Jan 0000 00:00:00 GMT")), 0);
}

static void
accepts(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
		{ "Sun Nov  6 08:49:37 1994", 784111777 },
		{ "Sun Nov 06 08:49:37 1994", 784111777 },
		{ "Mon, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
		{ "Thu, 29 Feb 2024 00:00:00 GMT", 1709164800 },
		{ "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 },
		{ "Thursday, 01-Jan-70 00:00:01 GMT", 1 },
		{ "Monday, 01-Jan-69 00:00:00 GMT", 3124224000 },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", LAST },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(
		    http_date_parse(span_of(cases[i].text)), cases[i].seconds);
}

static void
refuses(void **state)
{
	static const char *const cases[] = {
		"",
		"0",
		"784111777",
		"yesterday",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 ",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 gmt",
		"Sun, 06 Nov 1994 08:49:37 +0000",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		" Sun, 06 Nov 1994 08:49:37 GMT",
		"sun, 06 Nov 1994 08:49:37 GMT",
		"Xyz, 06 Nov 1994 08:49:37 GMT",
		"unM, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 06 Nox 1994 08:49:37 GMT",
		"Sun, 06 ovD 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun,  6 Nov 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 32 Dec 1994 08:49:37 GMT",
		"Sun, 29 Feb 1994 08:49:37 GMT",
		"Sun, 29 Feb 1900 08:49:37 GMT",
		"Sun, 29 Feb 2100 08:49:37 GMT",
		"Sun, 30 Feb 2000 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1994 8:49:37 GMT",
		"Sun, 06 Nov 1994 08-49-37 GMT",
		"Sun, 06 Nov -994 08:49:37 GMT",
		"Sun, 06 Nov 19945 08:49:37 GMT",
		"Sun, 06-Nov-1994 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT",
		"Sunday, 06 Nov 94 08:49:37 GMT",
		"Sun, 06-Nov-94 08:49:37 GMT",
		"Someday, 06-Nov-94 08:49:37 GMT",
		"Sunday, ",
		"Sunday, 06-Nov-94",
		"Sun Nov 6 08:49:37 1994",
		"Sun Nov   08:49:37 1994",
		"Sun Nov  0 08:49:37 1994",
		"Sun Nov x6 08:49:37 1994",
		"Sun Nov  6 08:49:37 94",
		"Sun Nov  6 08:49:37 1994 GMT",
		"1994-11-06T08:49:37Z",
		"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(http_date_parse(span_of(cases[i])), -1);
	assert_int_equal(http_date_parse(SPAN_NONE), -1);
	assert_int_equal(
	    http_date_parse(SPAN("Sun, 06 Nov 1994 08:49:37 GM\0")), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_libc),
		cmocka_unit_test(out_of_range),
		cmocka_unit_test(accepts),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
