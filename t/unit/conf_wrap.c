/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/wrap.h"

static void
wraps(int at, const char *text, const char *expected)
{
	const struct wrap w = { 20, 2, "# " };
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	wrap_text(f, &w, at, span_of(text));
	fclose(f);
	assert_string_equal(out, expected);
	free(out);
}

static void
test_wrap(void **state)
{
	(void)state;
	wraps(4, "", "\n");
	wraps(4, "one two", "one two\n");
	wraps(4, "one two three four five", "one two three\n  # four five\n");
	wraps(15, "one two", "one\n  # two\n");
	wraps(0, "a  b ", "a b\n");
	wraps(4, "x-long-word-that-does-not-fit y",
	    "x-long-word-that-does-not-fit\n  # y\n");
	/* 20 columns are 20 columns. */
	wraps(0, "123456789 123456789 1", "123456789 123456789\n  # 1\n");
	wraps(0, "123456789 1234567890 1", "123456789 1234567890\n  # 1\n");
	wraps(0, "123456789 12345678901", "123456789\n  # 12345678901\n");
}

static void
test_sentences(void **state)
{
	struct span rest = SPAN("One 0.5 x. Two: a.b/c.  Three"), s;

	(void)state;
	assert_true(wrap_sentence(&rest, &s));
	assert_true(span_eq(s, SPAN("One 0.5 x.")));
	assert_true(wrap_sentence(&rest, &s));
	assert_true(span_eq(s, SPAN("Two: a.b/c.")));
	assert_true(wrap_sentence(&rest, &s));
	assert_true(span_eq(s, SPAN("Three")));
	assert_false(wrap_sentence(&rest, &s));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
