/* SPDX-License-Identifier: MIT */
/* Conditional requests, in the order of RFC 9110, 13.2.2. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hosts/static/conditional.h"

#define MODIFIED 784111777
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"
#define TAG "\"a-1\""

static struct bicorn_header headers[8];
static struct bicorn_request request = { .headers = headers };
static struct validators validators = { { TAG, 5 }, MODIFIED, MODIFIED + 9 };
static struct conditions conditions;

/* Name, value, ..., NULL. */
static void
fields(const char *name, ...)
{
	va_list ap;

	request.header_count = 0;
	va_start(ap, name);
	for (; name != NULL; name = va_arg(ap, const char *)) {
		struct bicorn_header *h = &headers[request.header_count++];

		h->name = bicorn_str(name);
		h->value = bicorn_str(va_arg(ap, const char *));
	}
	va_end(ap);
	conditional_collect(&request, &conditions);
}

#define CHECK(verdict, ...) \
	do { \
		fields(__VA_ARGS__, NULL); \
		assert_int_equal(conditional_check(&conditions, &validators), \
		    CONDITIONAL_##verdict); \
	} while (0)

#define RANGE(applies, ...) \
	do { \
		fields(__VA_ARGS__, NULL); \
		assert_int_equal(conditional_range(&conditions, &validators), \
		    applies); \
	} while (0)

static void
test_none(void **state)
{
	(void)state;
	CHECK(GO, "Host", "x");
	CHECK(GO, "If-Nothing", "x", "", "y");
	RANGE(false, "Host", "x");
}

static void
test_if_match(void **state)
{
	(void)state;
	CHECK(GO, "If-Match", TAG);
	CHECK(GO, "If-Match", "*");
	CHECK(GO, "if-match", "\"x\", " TAG);
	CHECK(GO, "If-Match", "\"x\",,\t" TAG ",\"y\"");
	CHECK(GO, "If-Match", "\"x\"", "If-Match", TAG);
	CHECK(GO, "If-Match", "\"x,\"," TAG);
	CHECK(FAILED, "If-Match", "\"x\"");
	CHECK(FAILED, "If-Match", "W/" TAG);
	CHECK(FAILED, "If-Match", "");
	CHECK(FAILED, "If-Match", "a-1");
	CHECK(FAILED, "If-Match", "\"a-1");
	CHECK(FAILED, "If-Match", "W/");
	CHECK(FAILED, "If-Match", "\"");
}

static void
test_if_unmodified_since(void **state)
{
	(void)state;
	CHECK(GO, "If-Unmodified-Since", SAME);
	CHECK(GO, "If-Unmodified-Since", AFTER);
	CHECK(FAILED, "If-Unmodified-Since", BEFORE);
	CHECK(GO, "If-Unmodified-Since", "yesterday");
	/* Two are none. */
	CHECK(GO, "If-Unmodified-Since", BEFORE, "If-Unmodified-Since",
	    BEFORE);
	/* If-Match goes first and alone. */
	CHECK(GO, "If-Match", TAG, "If-Unmodified-Since", BEFORE);
	CHECK(FAILED, "If-Match", "\"x\"", "If-Unmodified-Since", AFTER);
}

static void
test_if_none_match(void **state)
{
	(void)state;
	CHECK(NOT_MODIFIED, "If-None-Match", TAG);
	CHECK(NOT_MODIFIED, "If-None-Match", "W/" TAG);
	CHECK(NOT_MODIFIED, "If-None-Match", "*");
	CHECK(NOT_MODIFIED, "If-None-Match", "\"x\", W/" TAG);
	CHECK(GO, "If-None-Match", "\"x\"");
	CHECK(GO, "If-None-Match", "x, " TAG); /* broken before it */
	/* It outweighs If-Modified-Since, either way. */
	CHECK(GO, "If-None-Match", "\"x\"", "If-Modified-Since", AFTER);
	CHECK(NOT_MODIFIED, "If-None-Match", TAG, "If-Modified-Since", BEFORE);
	/* What comes first decides first. */
	CHECK(FAILED, "If-Match", "\"x\"", "If-None-Match", TAG);
	CHECK(NOT_MODIFIED, "If-Match", TAG, "If-None-Match", TAG);
	CHECK(FAILED, "If-Unmodified-Since", BEFORE, "If-None-Match", TAG);
}

static void
test_if_modified_since(void **state)
{
	(void)state;
	CHECK(NOT_MODIFIED, "If-Modified-Since", SAME);
	CHECK(NOT_MODIFIED, "If-Modified-Since", AFTER);
	CHECK(NOT_MODIFIED, "If-Modified-Since", "Sun Nov  6 08:49:37 1994");
	CHECK(GO, "If-Modified-Since", BEFORE);
	CHECK(GO, "If-Modified-Since", "now");
	CHECK(GO, "If-Modified-Since", AFTER, "If-Modified-Since", AFTER);
}

static void
test_if_range(void **state)
{
	(void)state;
	RANGE(true, "Range", "bytes=0-1");
	RANGE(false, "If-Range", TAG);
	RANGE(true, "Range", "bytes=0-1", "If-Range", TAG);
	RANGE(false, "Range", "bytes=0-1", "If-Range", "W/" TAG);
	RANGE(false, "Range", "bytes=0-1", "If-Range", "\"x\"");
	RANGE(false, "Range", "bytes=0-1", "If-Range", TAG "," TAG);
	RANGE(false, "Range", "bytes=0-1", "If-Range", "*");
	RANGE(false, "Range", "bytes=0-1", "If-Range", "");
	RANGE(true, "Range", "bytes=0-1", "If-Range", SAME);
	RANGE(false, "Range", "bytes=0-1", "If-Range", AFTER);
	RANGE(false, "Range", "bytes=0-1", "If-Range", BEFORE);
	/* Two ranges or two conditions are broken ones. */
	fields("Range", "bytes=0-1", "Range", "bytes=2-3", NULL);
	assert_int_equal(conditions.range.len, 0);
	RANGE(false, "Range", "bytes=0-1", "If-Range", TAG, "If-Range", TAG);
}

/* A file of the future has sent no date that could come back. */
static void
test_future(void **state)
{
	(void)state;
	validators.now = MODIFIED - 1;
	RANGE(false, "Range", "bytes=0-1", "If-Range", SAME);
	validators.now = MODIFIED + 9;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_if_match),
		cmocka_unit_test(test_if_unmodified_since),
		cmocka_unit_test(test_if_none_match),
		cmocka_unit_test(test_if_modified_since),
		cmocka_unit_test(test_if_range),
		cmocka_unit_test(test_future),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
