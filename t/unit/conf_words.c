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
#include "conf/arena.h"
#include "conf/words.h"

/* The words of text, joined with '|'. */
static void
splits(const char *text, const char *expected)
{
	struct arena a = { 0 };
	char joined[256] = "";
	char *const *words;
	struct err err;
	size_t count;

	assert_int_equal(words_split(&a, text, &words, &count, &err), 0);
	for (size_t i = 0; i < count; i++) {
		strcat(joined, words[i]);
		strcat(joined, "|");
	}
	assert_string_equal(joined, expected);
	arena_fini(&a);
}

static void
test_split(void **state)
{
	(void)state;
	splits("", "");
	splits(" \t\n ", "");
	splits("a", "a|");
	splits("  a  b\tc\n", "a|b|c|");
	splits("-w 4 --bind=:80", "-w|4|--bind=:80|");
	splits("'a b' \"c d\"", "a b|c d|");
	splits("a'b c'd", "ab cd|");
	splits("'' \"\"", "||");
	splits("'a\\b'", "a\\b|");
	splits("\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d|");
	splits("a\\ b \\'", "a b|'|");
	splits("\"it's\" 'a\"b'", "it's|a\"b|");
	splits("$HOME *", "$HOME|*|");
}

static void
test_unfinished(void **state)
{
	static const char *const bad[] = { "'", "\"", "a 'b", "a\"b\\\"", "\\",
		"a b\\", "'a\"" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct arena a = { 0 };
		char *const *words;
		struct err err;
		size_t count;

		assert_int_equal(
		    words_split(&a, bad[i], &words, &count, &err), -1);
		assert_non_null(strstr(err.text, "quote"));
		arena_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_unfinished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
