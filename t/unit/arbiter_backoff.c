/* SPDX-License-Identifier: MIT */
/* When dead workers are replaced. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arbiter/backoff.h"

static const struct backoff_death at_boot = { .was_ready = false,
	.lived_ms = 90000 };
static const struct backoff_death young = { .was_ready = true,
	.lived_ms = 20 };
static const struct backoff_death old = { .was_ready = true,
	.lived_ms = BACKOFF_LIVED_MS };

static void
test_first_is_at_once(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	assert_true(backoff_over(&b, 0));
	backoff_died(&b, at_boot, 1000);
	assert_true(backoff_over(&b, 1000));
}

static void
test_grows_and_is_bounded(void **state)
{
	struct backoff b = { 0 };
	int64_t now = 1000, last = 0, wait = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		backoff_died(&b, at_boot, now);
		wait = b.next_ms - now;
		assert_true(wait >= last);
		assert_true(wait <= 10000);
		last = wait;
		now = b.next_ms;
	}
	assert_int_equal(wait, 10000);
	assert_int_equal(b.failures, 50);
}

static void
test_a_wave_counts_once(void **state)
{
	struct backoff b = { 0 };
	int64_t next;

	(void)state;
	backoff_died(&b, at_boot, 1000);
	backoff_died(&b, at_boot, 1000);
	next = b.next_ms;
	assert_true(next > 1000);
	for (int i = 0; i < 100; i++)
		backoff_died(&b, at_boot, 1001);
	assert_int_equal(b.next_ms, next);
}

static void
test_ready_ones_wait_a_second_at_most(void **state)
{
	struct backoff b = { 0 };
	int64_t now = 1000;

	(void)state;
	for (int i = 0; i < 10; i++) {
		backoff_died(&b, at_boot, now);
		now = b.next_ms;
	}
	for (int i = 0; i < 10; i++) {
		backoff_died(&b, young, now);
		assert_true(b.next_ms - now <= 1000);
		now = b.next_ms;
	}
	assert_int_equal(b.failures, 0);
}

static void
test_a_life_resets(void **state)
{
	struct backoff b = { 0 };
	int64_t now = 1000;

	(void)state;
	for (int i = 0; i < 5; i++) {
		backoff_died(&b, at_boot, now);
		now = b.next_ms;
	}
	backoff_died(&b, old, now);
	assert_true(backoff_over(&b, now));
	backoff_died(&b, young, now);
	assert_true(backoff_over(&b, now));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_is_at_once),
		cmocka_unit_test(test_grows_and_is_bounded),
		cmocka_unit_test(test_a_wave_counts_once),
		cmocka_unit_test(test_ready_ones_wait_a_second_at_most),
		cmocka_unit_test(test_a_life_resets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
