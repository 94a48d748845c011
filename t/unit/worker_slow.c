/* SPDX-License-Identifier: MIT */
/* When a client is too slow: the timeout, or the average since the start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "worker/slow.h"

static const struct settings settings = {
	.send_timeout_ms = 5000,
	.send_min_rate_bytes = 1000,
	.body_timeout_ms = 8000,
	.body_min_rate_bytes = 100,
	.rate_grace_ms = 2000,
};

static void
test_wait(void **state)
{
	static const struct {
		struct slow slow; /* at 10000 */
		int64_t send_ms, body_ms;
	} cases[] = {
		{ { .since_ms = 10000 }, 2000, 2000 },
		{ { .since_ms = 9000 }, 1000, 1000 },
		{ { .since_ms = 7500 }, -500, -500 },
		/* What was spent before counts as well. */
		{ { .since_ms = 9900, .spent_ms = 1500 }, 400, 400 },
		/* What moved earns time, but no more than the timeout. */
		{ { .since_ms = 10000, .bytes = 100 }, 2100, 3000 },
		{ { .since_ms = 10000, .bytes = 2500 }, 4500, 8000 },
		{ { .since_ms = 2000, .bytes = 6500 }, 500, 8000 },
		{ { .since_ms = 9999, .bytes = UINT64_MAX }, 5000, 8000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct slow *slow = &cases[i].slow;

		assert_int_equal(slow_wait_ms(&settings, slow, 10000),
		    cases[i].send_ms);
		assert_int_equal(slow_body_ms(&settings, slow, 10000),
		    cases[i].body_ms);
	}
}

/* Without a rate only the timeout is left. */
static void
test_no_rate(void **state)
{
	const struct settings s = {
		.send_timeout_ms = 5000,
		.body_timeout_ms = 8000,
		.rate_grace_ms = 2000,
	};
	const struct slow slow = { .spent_ms = 1000000 };

	(void)state;
	assert_int_equal(slow_wait_ms(&s, &slow, 10000), 5000);
	assert_int_equal(slow_body_ms(&s, &slow, 10000), 8000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_no_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
