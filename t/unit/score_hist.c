/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "score/hist.h"

/* Every value is in a bucket that begins at or below it and ends above. */
static void
test_bounds(void **state)
{
	uint64_t value = 0;

	(void)state;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		assert_int_equal(hist_bucket(value), i);
		assert_true(hist_end(i) > value);
		assert_int_equal(hist_bucket(hist_end(i) - 1), i);
		/* Known to an eighth. */
		assert_true((hist_end(i) - value) * 8 <= value || value < 16);
		value = hist_end(i);
	}
	assert_int_equal(hist_bucket(value), HIST_BUCKETS - 1);
	assert_int_equal(hist_bucket(UINT64_MAX), HIST_BUCKETS - 1);
}

static void
test_powers_of_two_are_ends(void **state)
{
	(void)state;
	for (unsigned i = 3; i <= HIST_TOP; i++) {
		uint64_t power = UINT64_C(1) << i;

		assert_int_equal(hist_end(hist_bucket(power - 1)), power);
	}
}

static void
test_quantiles(void **state)
{
	static struct hist h;

	(void)state;
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	for (int i = 1; i <= 1000; i++)
		hist_add(&h, i);
	assert_int_equal(hist_count(&h), 1000);
	assert_int_equal(h.sum_us, 500500);
	assert_in_range(hist_quantile(&h, 0.5), 460, 540);
	assert_in_range(hist_quantile(&h, 0.99), 930, 1060);
	assert_in_range(hist_quantile(&h, 0), 1, 2);
	assert_int_equal(hist_below(&h, 512), 511);
	assert_int_equal(hist_below(&h, UINT64_C(1) << 30), 1000);
	hist_add(&h, -5);
	assert_int_equal(hist_count(&h), 1001);
	assert_int_equal(h.sum_us, 500500);
}

static void
test_merge(void **state)
{
	static struct hist a, b;

	(void)state;
	hist_add(&a, 7);
	hist_add_shared(&b, 7);
	hist_add_shared(&b, 70000);
	hist_merge(&a, &b);
	assert_int_equal(hist_count(&a), 3);
	assert_int_equal(a.sum_us, 70014);
	assert_int_equal(a.buckets[7], 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_powers_of_two_are_ends),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
