/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"

static void
test_signals(void **state)
{
	(void)state;
	assert_string_equal(process_signal(SIGTERM), "TERM");
	assert_string_equal(process_signal(SIGSEGV), "SEGV");
	assert_string_equal(process_signal(SIGPWR), "PWR");
	assert_null(process_signal(0));
	assert_null(process_signal(SIGRTMIN));
}

/* Sanitizers hold memory back, but what is written is resident. */
#define MUCH ((size_t)64 << 20)

static void
test_memory(void **state)
{
	uint64_t before = process_memory(getpid());
	char *p = malloc(MUCH);

	(void)state;
	assert_non_null(p);
	assert_true(before > 0);
	memset(p, 1, MUCH);
	assert_true(process_memory(getpid()) >= before + MUCH / 2);
	/* Not to be optimised away. */
	assert_int_equal(p[MUCH / 3], 1);
	free(p);
}

static void
test_nobody(void **state)
{
	(void)state;
	assert_int_equal(process_memory(INT_MAX), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
