/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/expand.h"

static void
expands(const char *text, const char *expected)
{
	struct err err = { "" };
	struct expansion x = { 0 };

	if (expand_text(&x, "x", text, strlen(text), &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(x.text.data, expected);
	expand_fini(&x);
}

/* What no version of libconfig can read in another way. */
static void
test_numbers(void **state)
{
	(void)state;
	expands("a = 4", "a = 4\n");
	expands("a = +4L", "a = 4\n");
	expands("a = -4", "a = -4\n");
	expands("a = 0xff", "a = 255\n");
	expands("a = 2147483647", "a = 2147483647\n");
	expands("a = 2147483648", "a = 2147483648L\n");
	expands("a = -2147483649", "a = -2147483649L\n");
	expands("a = 0xFFFFFFFF", "a = 4294967295L\n");
	expands("a = 9223372036854775807", "a = 9223372036854775807L\n");
	expands("a = 1.5e+3", "a = 1.5e+3\n");
	expands("a = .5", "a = .5\n");
	expands("a = 0", "a = 0\n");
	expands("a = 0.5", "a = 0.5\n");
}

static void
test_comments(void **state)
{
	(void)state;
	expands("a = 4 # x\nb = 5 // y\n", "a = 4 \nb = 5 \n\n");
	expands("a /* x\ny */ = 4", "a \n  = 4\n");
	expands("a = \"# // /* \\\" */\"", "a = \"# // /* \\\" */\"\n");
	expands("\ta\f=\r4\r\n", " a = 4 \n\n");
	expands("a=[1,2];b=(\"x\",true);", "a=[1,2];b=(\"x\",true);\n");
}

static void
test_places(void **state)
{
	const char text[] = "\n@include \"/nonexistent/*.conf\"\n\na = 4\n";
	struct err err = { "" };
	struct expansion x = { 0 };
	struct place place;
	unsigned line = 1;

	(void)state;
	assert_int_equal(expand_text(&x, "x", text, strlen(text), &err), 0);
	for (const char *at = x.text.data; *at != 'a'; at++)
		line += *at == '\n';
	place = expand_place(&x, line);
	assert_string_equal(place.file, "x");
	assert_int_equal(place.line, 4);
	expand_fini(&x);
	place = expand_place(&x, 7);
	assert_int_equal(place.line, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
