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

#define LAST INT64_C(253402300799)

static void
check(int64_t seconds)
{
	time_t t = (time_t)seconds;
	char ours[HTTP_DATE_LEN], libc[60];
	struct tm tm;
	size_t len;

	assert_non_null(gmtime_r(&t, &tm));
	len = strftime(libc, sizeof(libc), "%a, %d %b %Y %H:%M:%S GMT", &tm);
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
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_libc),
		cmocka_unit_test(out_of_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
