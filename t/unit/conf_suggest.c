/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/suggest.h"

static unsigned
distance(const char *a, const char *b)
{
	return suggest_distance(span_of(a), span_of(b));
}

static void
test_distance(void **state)
{
	char longest[64], longer[65];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[63] = '\0';
	memset(longer, 'a', sizeof(longer));
	longer[64] = '\0';
	assert_int_equal(distance("", ""), 0);
	assert_int_equal(distance("threads", "threads"), 0);
	assert_int_equal(distance("threads", ""), 7);
	assert_int_equal(distance("", "threads"), 7);
	assert_int_equal(distance("treads", "threads"), 1);
	assert_int_equal(distance("thraeds", "threads"), 1);
	assert_int_equal(distance("threadz", "threads"), 1);
	assert_int_equal(distance("Keep-Alive", "keep_alive"), 0);
	assert_int_equal(distance("kitten", "sitting"), 3);
	assert_int_equal(distance(longest, longest), 0);
	assert_true(distance(longer, longest) > 1000);
	assert_true(distance(longest, longer) > 1000);
}

static void
suggests(const char *word, bool as_flag, const char *expected)
{
	struct suggest g = suggest_for(span_of(word));

	suggest_settings(&g, as_flag);
	if (expected == NULL) {
		assert_int_equal(g.best.len, 0);
	} else {
		assert_int_equal(g.best.len, strlen(expected));
		assert_memory_equal(g.best.ptr, expected, g.best.len);
	}
}

static void
test_settings(void **state)
{
	(void)state;
	suggests("tread", false, "threads");
	suggests("worker", false, "workers");
	suggests("keep-alive", false, "keepalive");
	suggests("preload", false, "preload_app");
	suggests("env", false, "raw_env");
	suggests("pid", false, "pidfile");
	suggests("log_level", false, "loglevel");
	suggests("xyzzy_quux", false, NULL);
	suggests("", false, NULL);
	suggests("--treads", true, "--threads");
	suggests("--keepalive", true, "--keep-alive");
	suggests("--pidfile", true, "--pid");
	suggests("--confg", true, "--config");
	suggests("--print-confg", true, "--print-config");
	suggests("--xyzzy-quux", true, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
