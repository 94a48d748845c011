/* SPDX-License-Identifier: MIT */
/* The clocks agree with each other and do not run backwards. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static void
test_forward(void **state)
{
	int64_t ms = clock_ms(), us = clock_us(), coarse = clock_coarse_ms();

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(clock_ms() >= ms);
		assert_true(clock_us() >= us);
		assert_true(clock_coarse_ms() >= coarse);
		ms = clock_ms();
		us = clock_us();
		coarse = clock_coarse_ms();
	}
}

static void
test_units(void **state)
{
	int64_t before = clock_ms(), us = clock_us(), after = clock_ms();
	int64_t coarse = clock_coarse_ms();

	(void)state;
	assert_in_range(us / 1000, before, after);
	/* The coarse clock is behind, by a tick of the kernel: 10 ms. */
	assert_true(coarse <= clock_ms());
	assert_true(coarse >= before - 20);
	assert_true(after < CLOCK_NEVER);
}

static void
test_wall(void **state)
{
	time_t before = time(NULL) - 1, now = clock_wall();

	(void)state;
	assert_true(now >= before && now <= time(NULL) + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_wall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
