/* SPDX-License-Identifier: MIT */
/* The timer wheel: never early, hardly late, and cheap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/wheel.h"

#define ROUND_MS ((int64_t)WHEEL_TICK_MS * WHEEL_SLOTS)

/* A timer of which the test knows when it is to run out. */
struct expected {
	struct timer timer; /* first */
	int64_t deadline_ms;
	int64_t fired_ms; /* -1: not yet */
};

static struct expected *
expected_of(struct timer *t)
{
	return (struct expected *)(void *)t;
}

static void
set(struct wheel *w, struct expected *e, int64_t deadline_ms)
{
	e->deadline_ms = deadline_ms;
	e->fired_ms = -1;
	wheel_set(w, &e->timer, deadline_ms);
}

/* Takes all that is due; each must be so, and by no more than late_ms. */
static size_t
run(struct wheel *w, int64_t now_ms, int64_t late_ms)
{
	struct timer *t;
	size_t n = 0;

	while ((t = wheel_due(w, now_ms)) != NULL) {
		struct expected *e = expected_of(t);

		assert_false(wheel_is_set(t));
		assert_int_equal(e->fired_ms, -1);
		assert_true(e->deadline_ms <= now_ms);
		assert_true(now_ms - e->deadline_ms <= late_ms);
		e->fired_ms = now_ms;
		n++;
	}
	return n;
}

static void
test_empty(void **state)
{
	struct wheel w;

	(void)state;
	wheel_init(&w, 123456);
	assert_null(wheel_due(&w, 123456));
	assert_null(wheel_due(&w, 123456 + 10 * ROUND_MS));
	assert_int_equal(wheel_wait(&w, 123456, 700), 700);
	assert_int_equal(wheel_wait(&w, 123456 + 10 * ROUND_MS, 0), 0);
}

/* Every offset within two rounds: fires in time, whatever the phase is. */
static void
test_each_alone(void **state)
{
	(void)state;
	for (int64_t start = 0; start < 2 * WHEEL_TICK_MS; start += 7)
		for (int64_t wait = 0; wait < 2 * ROUND_MS; wait += 977) {
			struct wheel w;
			struct expected e = { .fired_ms = -1 };
			int64_t now = start;

			wheel_init(&w, start);
			set(&w, &e, start + wait);
			assert_true(wheel_is_set(&e.timer));
			/* Asleep as long as the wheel allows. */
			while (e.fired_ms < 0) {
				int sleep = wheel_wait(&w, now, 1000000);

				now += sleep;
				run(&w, now, WHEEL_TICK_MS);
				assert_true(now <= start + wait +
				    WHEEL_TICK_MS);
			}
			assert_int_equal(wheel_wait(&w, now, 55), 55);
		}
}

/* The wheel never sleeps through a deadline. */
static void
test_wait(void **state)
{
	struct wheel w;
	struct expected e = { .fired_ms = -1 };

	(void)state;
	wheel_init(&w, 1000);
	set(&w, &e, 1500);
	assert_int_equal(wheel_wait(&w, 1000, 100), 100);
	assert_true(wheel_wait(&w, 1000, 10000) <= 500 + WHEEL_TICK_MS);
	assert_true(wheel_wait(&w, 1000, 10000) > 400);
	/* Long behind: at once. */
	assert_int_equal(wheel_wait(&w, 5000, 10000), 0);
	assert_int_equal(run(&w, 5000, 5000), 1);
}

static void
test_past_and_present(void **state)
{
	struct wheel w;
	struct expected e[3] = { { .fired_ms = -1 }, { .fired_ms = -1 },
		{ .fired_ms = -1 } };

	(void)state;
	wheel_init(&w, 100000);
	set(&w, &e[0], 0);
	set(&w, &e[1], 99999);
	set(&w, &e[2], 100000);
	assert_int_equal(run(&w, 100000 + WHEEL_TICK_MS, 200000), 3);
}

static void
test_never(void **state)
{
	struct wheel w;
	struct expected e = { .fired_ms = -1 };

	(void)state;
	wheel_init(&w, 0);
	set(&w, &e, CLOCK_NEVER);
	assert_false(wheel_is_set(&e.timer));
	set(&w, &e, 100);
	set(&w, &e, CLOCK_NEVER);
	assert_false(wheel_is_set(&e.timer));
	assert_int_equal(run(&w, 10 * ROUND_MS, 0), 0);
}

/* Hours ahead, over hundreds of rounds. */
static void
test_long(void **state)
{
	const int64_t hours = 24 * 3600 * INT64_C(1000);
	struct wheel w;
	struct expected e = { .fired_ms = -1 };

	(void)state;
	wheel_init(&w, 5);
	set(&w, &e, hours);
	for (int64_t now = 5; now < hours; now += 30011) {
		assert_int_equal(run(&w, now, 0), 0);
		assert_true(wheel_is_set(&e.timer));
	}
	assert_int_equal(run(&w, hours + WHEEL_TICK_MS, WHEEL_TICK_MS), 1);

	/* And in one leap, as after a suspend. */
	set(&w, &e, 3 * hours);
	assert_int_equal(run(&w, 3 * hours - 1, 0), 0);
	assert_int_equal(run(&w, 7 * hours, 4 * hours), 1);
}

static void
test_clear_in_any_order(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct wheel w;
		struct expected e[3];

		wheel_init(&w, 0);
		for (size_t j = 0; j < 3; j++) {
			e[j] = (struct expected){ .fired_ms = -1 };
			set(&w, &e[j], 500); /* all in one slot */
		}
		for (size_t j = 0; j < 3; j++) {
			wheel_clear(&w, &e[orders[i][j]].timer);
			assert_false(wheel_is_set(&e[orders[i][j]].timer));
			wheel_clear(&w, &e[orders[i][j]].timer);
			for (size_t k = j + 1; k < 3; k++)
				assert_true(
				    wheel_is_set(&e[orders[i][k]].timer));
		}
		assert_int_equal(run(&w, ROUND_MS, 0), 0);
	}
}

/* Clearing others from inside the loop over those that are due. */
static void
test_clear_while_due(void **state)
{
	struct wheel w;
	struct expected e[10];
	struct timer *t;

	(void)state;
	wheel_init(&w, 0);
	for (size_t i = 0; i < 10; i++) {
		e[i] = (struct expected){ .fired_ms = -1 };
		set(&w, &e[i], 100);
	}
	t = wheel_due(&w, 1000);
	assert_non_null(t);
	for (size_t i = 0; i < 10; i++)
		if (&e[i].timer != t && i % 2 == 0)
			wheel_clear(&w, &e[i].timer);
		else if (&e[i].timer != t)
			set(&w, &e[i], 2000);
	assert_null(wheel_due(&w, 1000));
	assert_true(run(&w, 2000 + WHEEL_TICK_MS, WHEEL_TICK_MS) >= 4);
}

/* One that is set anew for the past while the wheel runs: no endless loop. */
static void
test_set_while_due(void **state)
{
	struct wheel w;
	struct expected e = { .fired_ms = -1 };
	int64_t now = 1000;

	(void)state;
	wheel_init(&w, 0);
	set(&w, &e, 100);
	assert_ptr_equal(wheel_due(&w, now), &e.timer);
	set(&w, &e, 100);
	for (int i = 0; i < 3; i++) {
		if (wheel_due(&w, now) != NULL)
			set(&w, &e, now);
		now += WHEEL_TICK_MS;
	}
	assert_true(wheel_is_set(&e.timer));
}

#define MANY 5000

/* Random moves and times, against what each timer is known to want. */
static void
test_random(void **state)
{
	struct expected *e = calloc(MANY, sizeof(*e));
	struct wheel w;
	int64_t now = 987654321, before = now;

	(void)state;
	srandom(7);
	wheel_init(&w, now);
	for (size_t i = 0; i < MANY; i++)
		e[i].fired_ms = 0;
	for (int step = 0; step < 4000; step++) {
		for (int i = 0; i < 20; i++) {
			struct expected *x = &e[random() % MANY];

			switch (random() % 5) {
			case 0:
				wheel_clear(&w, &x->timer);
				x->fired_ms = 0;
				break;
			case 1:
				set(&w, x, now + random() % (5 * ROUND_MS));
				break;
			default:
				set(&w, x, now + random() % 3000);
			}
		}
		before = now;
		now += random() % 200;
		/* It may be late by the time between the calls, and a tick. */
		run(&w, now, now - before + WHEEL_TICK_MS);
		for (size_t i = 0; i < MANY; i++)
			if (wheel_is_set(&e[i].timer))
				assert_true(
				    e[i].deadline_ms + WHEEL_TICK_MS >= now);
	}
	for (size_t i = 0; i < MANY; i++)
		wheel_clear(&w, &e[i].timer);
	assert_int_equal(run(&w, now + 9 * ROUND_MS, 0), 0);
	free(e);
}

static int64_t
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Time for a million moves among so many timers that are set. */
static int64_t
cost_of_moves(size_t timers)
{
	struct expected *e = calloc(timers, sizeof(*e));
	struct wheel w;
	int64_t before;

	wheel_init(&w, 0);
	for (size_t i = 0; i < timers; i++)
		set(&w, &e[i], 1000 + (int64_t)i % 60000);
	before = cpu_us();
	for (size_t i = 0; i < 1000000; i++)
		set(&w, &e[i % 16], 1000 + (int64_t)(i * 37) % 60000);
	before = cpu_us() - before;
	free(e);
	return before;
}

/* A move costs the same among a hundred and a hundred thousand. */
static void
test_moves_are_constant(void **state)
{
	int64_t few = cost_of_moves(100), many = cost_of_moves(100000);

	(void)state;
	print_message("1M moves: %lld us of 100, %lld us of 100000 timers\n",
	    (long long)few, (long long)many);
	assert_true(many < 20 * few + 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_each_alone),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_past_and_present),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_clear_in_any_order),
		cmocka_unit_test(test_clear_while_due),
		cmocka_unit_test(test_set_while_due),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_moves_are_constant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
