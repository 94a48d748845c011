/* SPDX-License-Identifier: MIT */
/* The ready queue: order, several threads, waking no more than it must. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "worker/client.h"
#include "worker/inbound.h"
#include "worker/queue.h"
#include "worker/scoreboard.h"

static void
push_one(struct queue *q, struct client *c)
{
	queue_push(q, c, c, 1);
}

static void
close_and_free(struct queue *q)
{
	queue_close(q);
	assert_null(queue_pop(q));
	queue_free(&q);
	assert_null(q);
	queue_free(&q);
}

static void
test_order(void **state)
{
	struct queue *q = queue_new(1, NULL);
	struct client c[5] = { 0 };

	(void)state;
	assert_int_equal(queue_length(q), 0);
	push_one(q, &c[0]);
	c[1].next = &c[2];
	c[2].next = &c[3];
	queue_push(q, &c[1], &c[3], 3);
	assert_int_equal(queue_length(q), 4);
	assert_ptr_equal(queue_pop(q), &c[0]);
	push_one(q, &c[4]);
	for (size_t i = 1; i < 5; i++)
		assert_ptr_equal(queue_take(q, 10), &c[i]);
	assert_int_equal(queue_length(q), 0);
	/* Empty and filled again. */
	push_one(q, &c[0]);
	assert_ptr_equal(queue_take(q, 10), &c[0]);
	close_and_free(q);
}

/* What other processes see of it. */
static void
test_counts(void **state)
{
	struct score_load load = { 0 };
	struct queue *q = queue_new(1, &load);
	struct client c[2] = { 0 };

	(void)state;
	push_one(q, &c[0]);
	push_one(q, &c[1]);
	assert_int_equal(load.queued, 2);
	assert_int_equal(load.busy_us_16, 0);
	assert_ptr_equal(queue_pop(q), &c[0]);
	assert_int_equal(load.queued, 1);
	assert_ptr_equal(queue_take(q, 1600), &c[1]);
	assert_int_equal(load.queued, 0);
	assert_int_equal(load.busy_us_16, 1600);
	assert_int_equal(load.sleeping, 0);
	/* An average, which comes to what each took. */
	for (int i = 0; i < 200; i++) {
		push_one(q, &c[0]);
		assert_ptr_equal(queue_take(q, 50), &c[0]);
	}
	assert_int_equal(queue_busy_us(q), 50);
	close_and_free(q);
}

/* What was pushed before the end is still given out. */
static void
test_close(void **state)
{
	struct queue *q = queue_new(1, NULL);
	struct client c[2] = { 0 };

	(void)state;
	push_one(q, &c[0]);
	push_one(q, &c[1]);
	queue_close(q);
	assert_ptr_equal(queue_take(q, 0), &c[0]);
	assert_ptr_equal(queue_take(q, 0), &c[1]);
	assert_null(queue_take(q, 0));
	assert_null(queue_take(q, 0));
	queue_free(&q);
}

static void
test_expire(void **state)
{
	struct queue *q = queue_new(1, NULL);
	struct client c[5] = { 0 }, *first;

	(void)state;
	assert_null(queue_expire(q, 1000));
	for (int i = 0; i < 5; i++) {
		c[i].queued_ms = 100 * i;
		push_one(q, &c[i]);
	}
	assert_null(queue_expire(q, 0));
	first = queue_expire(q, 250);
	for (size_t i = 0; i < 3; i++) {
		assert_ptr_equal(first, &c[i]);
		first = first->next;
	}
	assert_null(first);
	assert_int_equal(queue_length(q), 2);
	assert_ptr_equal(queue_pop(q), &c[3]);
	first = queue_expire(q, 10000);
	assert_ptr_equal(first, &c[4]);
	assert_null(first->next);
	assert_int_equal(queue_length(q), 0);
	/* It goes on where it was emptied from the front. */
	push_one(q, &c[0]);
	push_one(q, &c[1]);
	assert_ptr_equal(queue_pop(q), &c[0]);
	assert_ptr_equal(queue_pop(q), &c[1]);
	/* So it is with those that were served just now. */
	queue_push_again(q, &c[1]);
	queue_push_again(q, &c[4]);
	first = queue_expire(q, 250);
	assert_ptr_equal(first, &c[1]);
	assert_null(first->next);
	assert_ptr_equal(queue_pop(q), &c[4]);
	close_and_free(q);
}

/*
 * One that was served just now comes behind those that were not, but is not
 * forgotten however many of them there are.
 */
static void
test_second_turns(void **state)
{
	struct queue *q = queue_new(1, NULL);
	struct client again[3] = { 0 }, fresh[100] = { 0 }, *c;
	int before = 0, seen = 0;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		queue_push_again(q, &again[i]);
	for (size_t i = 0; i < 100; i++)
		push_one(q, &fresh[i]);
	assert_int_equal(queue_length(q), 103);
	assert_ptr_equal(queue_pop(q), &fresh[0]);
	for (int i = 1; i < 103; i++) {
		c = queue_pop(q);
		if (c >= again && c < again + 3) {
			assert_ptr_equal(c, &again[seen++]);
		} else {
			before += seen < 3;
			assert_true(c >= fresh && c < fresh + 100);
		}
	}
	assert_int_equal(seen, 3);
	assert_true(before >= 3 && before < 60);
	/* Alone, it has its turn at once. */
	queue_push_again(q, &again[0]);
	assert_ptr_equal(queue_pop(q), &again[0]);
	close_and_free(q);
}

/* Any of those that wait may have left: the first, the last, all. */
static void
test_vanished(void **state)
{
	struct queue *q = queue_new(1, NULL);
	struct client c[8];

	(void)state;
	for (unsigned mask = 0; mask < 256; mask++) {
		struct client *gone;

		for (size_t i = 0; i < 8; i++) {
			c[i] = (struct client){ 0 };
			c[i].owner = OWNED_BY_POOL |
			    (mask >> i & 1 ? EVENT_GONE | EVENT_LOST : 0);
			if (i < 4)
				push_one(q, &c[i]);
			else
				queue_push_again(q, &c[i]);
		}
		gone = queue_vanished(q, 0);
		for (size_t i = 0; i < 8; i++)
			if (mask >> i & 1) {
				assert_ptr_equal(gone, &c[i]);
				gone = gone->next;
			}
		assert_null(gone);
		assert_int_equal(queue_length(q),
		    8 - __builtin_popcount(mask));
		/* What stays is whole, and can be added to. */
		c[7] = (struct client){ 0 };
		if (mask >> 7 & 1)
			push_one(q, &c[7]);
		while (queue_length(q) > 0)
			assert_non_null(queue_pop(q));
	}
	close_and_free(q);
}

/* Those are taken out to be looked at, and come back to their places. */
static void
test_put_back(void **state)
{
	struct queue *q = queue_new(1, NULL);
	struct inbound in = { .complete = true };
	struct client c[8], last = { .queued_ms = 100 };

	(void)state;
	for (unsigned mask = 0; mask < 256 * 16; mask++) {
		struct client *doubtful, *chain = NULL, **end = &chain;

		for (size_t i = 0; i < 8; i++) {
			c[i] = (struct client){ .in = &in };
			c[i].owner = OWNED_BY_POOL |
			    (mask >> i & 1 ? EVENT_GONE : 0);
			c[i].queued_ms = (int64_t)(i / 2);
			push_one(q, &c[i]);
		}
		assert_null(queue_doubtful(q, 200));
		doubtful = queue_doubtful(q, 1000);
		assert_int_equal(queue_length(q),
		    8 - __builtin_popcount(mask & 255));
		for (size_t i = 0; i < 8; i++)
			if (mask >> i & 1) {
				assert_ptr_equal(doubtful, &c[i]);
				doubtful = doubtful->next;
				if (i % 4 == 0 || (mask >> 8 >> i / 2 & 1)) {
					*end = &c[i];
					end = &c[i].next;
				} else {
					c[i].in = NULL; /* it has left */
				}
			}
		assert_null(doubtful);
		*end = NULL;
		queue_put_back(q, chain);
		push_one(q, &last); /* the end is where it was */
		for (size_t i = 0, t = 0; i < 8; i++)
			if (c[i].in != NULL) {
				struct client *next = queue_pop(q);

				assert_true(next->queued_ms >= (int64_t)t);
				t = (size_t)next->queued_ms;
			}
		assert_ptr_equal(queue_pop(q), &last);
		assert_int_equal(queue_length(q), 0);
	}
	close_and_free(q);
}

/* --- threads -------------------------------------------------------------- */

#define PRODUCERS 3
#define CONSUMERS 4
#define EACH 20000

struct item {
	struct client client; /* first */
	atomic_int seen;
	int producer;
	int number;
};

struct crowd {
	struct queue *q;
	struct item *items; /* EACH for each producer */
	atomic_int taken;
	atomic_int next_producer;
	atomic_bool leave;
};

static void *
produce(void *arg)
{
	struct crowd *crowd = arg;
	int me = atomic_fetch_add(&crowd->next_producer, 1);
	struct item *items = crowd->items + me * EACH;

	for (int i = 0; i < EACH;) {
		int batch = 1 + i % 5, n = 0;

		for (; n < batch && i + n < EACH; n++) {
			struct item *x = &items[i + n];

			x->producer = me;
			x->number = i + n;
			x->client.next = n + 1 < batch && i + n + 1 < EACH
			    ? &items[i + n + 1].client
			    : NULL;
		}
		queue_push(crowd->q, &items[i].client,
		    &items[i + n - 1].client, (size_t)n);
		i += n;
		if (i % 512 == 0)
			usleep(100);
	}
	return NULL;
}

static void *
consume(void *arg)
{
	struct crowd *crowd = arg;
	int last[PRODUCERS] = { -1, -1, -1 };
	struct client *c;

	while ((c = queue_pop(crowd->q)) != NULL) {
		struct item *x = (struct item *)(void *)c;

		assert_int_equal(atomic_fetch_add(&x->seen, 1), 0);
		/* What one producer pushed comes in its order. */
		assert_true(x->number > last[x->producer]);
		last[x->producer] = x->number;
		atomic_fetch_add(&crowd->taken, 1);
	}
	return NULL;
}

/* The acceptor's part: a nudge a moment after the queue was patient. */
static void *
nudge(void *arg)
{
	struct crowd *crowd = arg;

	while (!atomic_load(&crowd->leave)) {
		if (queue_is_patient(crowd->q))
			queue_nudge(crowd->q);
		usleep(500);
	}
	return NULL;
}

static void
test_crowd(void **state)
{
	struct crowd crowd = { .q = queue_new(CONSUMERS, NULL) };
	pthread_t producers[PRODUCERS], consumers[CONSUMERS], nudger;

	(void)state;
	crowd.items = calloc(PRODUCERS * EACH, sizeof(*crowd.items));
	for (size_t i = 0; i < CONSUMERS; i++)
		pthread_create(&consumers[i], NULL, consume, &crowd);
	pthread_create(&nudger, NULL, nudge, &crowd);
	for (size_t i = 0; i < PRODUCERS; i++)
		pthread_create(&producers[i], NULL, produce, &crowd);
	for (size_t i = 0; i < PRODUCERS; i++)
		pthread_join(producers[i], NULL);
	queue_close(crowd.q);
	for (size_t i = 0; i < CONSUMERS; i++)
		pthread_join(consumers[i], NULL);
	atomic_store(&crowd.leave, true);
	pthread_join(nudger, NULL);
	assert_int_equal(crowd.taken, PRODUCERS * EACH);
	for (size_t i = 0; i < PRODUCERS * EACH; i++)
		assert_int_equal(crowd.items[i].seen, 1);
	queue_free(&crowd.q);
	free(crowd.items);
}

/* --- resting -------------------------------------------------------------- */

#define LONG_US (20 * 1000 * 1000)

struct resting {
	struct queue *q;
	int64_t took_ms;
};

static void *
rest(void *arg)
{
	struct resting *r = arg;
	int64_t begun = clock_ms();

	queue_rest(r->q, LONG_US);
	r->took_ms = clock_ms() - begun;
	return NULL;
}

static void
make_busy(struct queue *q, struct client *c)
{
	push_one(q, c);
	assert_ptr_equal(queue_take(q, 16 * 300), c); /* 300 us each */
}

/* It ends when most is done, long before the limit. */
static void
test_rest(void **state)
{
	struct resting r = { .q = queue_new(1, NULL) };
	struct client c[8] = { 0 };
	pthread_t id;

	(void)state;
	make_busy(r.q, &c[0]);
	for (size_t i = 0; i < 8; i++)
		push_one(r.q, &c[i]);
	pthread_create(&id, NULL, rest, &r);
	for (size_t i = 0; i < 8; i++) {
		usleep(2000); /* it may rest by then, or begin to later */
		assert_ptr_equal(queue_take(r.q, 100), &c[i]);
	}
	pthread_join(id, NULL);
	assert_true(r.took_ms < LONG_US / 1000 / 2);
	close_and_free(r.q);
}

/* Nobody gets on: it ends all the same.  With little to do it never begins. */
static void
test_rest_ends(void **state)
{
	struct queue *q = queue_new(1, NULL);
	struct client c[4] = { 0 };
	int64_t begun;

	(void)state;
	queue_rest(q, LONG_US);
	push_one(q, &c[0]);
	queue_rest(q, LONG_US); /* how long one takes is not known */
	assert_non_null(queue_take(q, -1));
	make_busy(q, &c[0]);
	push_one(q, &c[1]);
	queue_rest(q, LONG_US);
	push_one(q, &c[2]);
	push_one(q, &c[3]);
	begun = clock_us();
	queue_rest(q, 3000);
	assert_true(clock_us() - begun >= 3000);
	while (queue_length(q) > 0)
		assert_non_null(queue_take(q, 1));
	close_and_free(q);
}

/* What has to be served until a nudge would be due. */
static void
test_goal(void **state)
{
	struct queue *q = queue_new(2, NULL);
	struct client c[4] = { 0 };

	(void)state;
	assert_int_equal(queue_goal(q), 0);
	for (size_t i = 0; i < 4; i++)
		push_one(q, &c[i]);
	assert_int_equal(queue_goal(q), 4);
	assert_non_null(queue_take(q, 1));
	assert_int_equal(queue_taken(q), 1);
	assert_int_equal(queue_goal(q), 4);
	/* Where one goes alone, it is enough that it goes ... */
	queue_set_serial(q);
	assert_int_equal(queue_goal(q), 2);
	/* ... unless requests wait for something. */
	queue_note_waits(q, 2, 16);
	assert_int_equal(queue_goal(q), 4);
	queue_note_waits(q, 1, 16);
	assert_int_equal(queue_goal(q), 2);
	while (queue_length(q) > 0)
		assert_non_null(queue_take(q, 1));
	close_and_free(q);
}

/* --- waking --------------------------------------------------------------- */

/* A pool whose threads stay in each request until they are let go. */
struct stuck {
	struct queue *q;
	atomic_int inside;
	atomic_bool go;
};

static void *
get_stuck(void *arg)
{
	struct stuck *s = arg;

	while (queue_pop(s->q) != NULL) {
		atomic_fetch_add(&s->inside, 1);
		while (!atomic_load(&s->go))
			usleep(200);
	}
	return NULL;
}

static bool
comes_to(atomic_int *value, int wanted, bool nudging, struct queue *q)
{
	int64_t end = clock_ms() + 10000;

	while (atomic_load(value) != wanted && clock_ms() < end) {
		if (nudging && queue_is_patient(q))
			queue_nudge(q);
		usleep(200);
	}
	return atomic_load(value) == wanted;
}

/*
 * Short requests of late say that threads which are up will soon be there;
 * when they are not, each nudge wakes one more, until all that wait are
 * served or no thread sleeps.
 */
static void
test_nobody_sleeps_for_ever(void **state)
{
	struct client c[6] = { 0 };
	struct stuck s = { .q = queue_new(4, NULL) };
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, get_stuck, &s);
	/* They are all asleep when one push wakes but one. */
	usleep(20000);
	for (int i = 0; i < 6; i++)
		push_one(s.q, &c[i]);
	assert_true(comes_to(&s.inside, 4, true, s.q));
	assert_int_equal(queue_length(s.q), 2);
	/* No thread sleeps: nothing to be patient about, no harm in a nudge. */
	assert_false(queue_is_patient(s.q));
	queue_nudge(s.q);
	atomic_store(&s.go, true);
	assert_true(comes_to(&s.inside, 6, true, s.q));
	queue_close(s.q);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	queue_free(&s.q);
}

/* A single client wakes a sleeper without any nudge, every time. */
static void
test_one_wakes_one(void **state)
{
	struct client c = { 0 };
	struct stuck s = { .q = queue_new(2, NULL), .go = true };
	pthread_t threads[2];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, get_stuck, &s);
	for (int i = 1; i <= 300; i++) {
		push_one(s.q, &c);
		assert_true(comes_to(&s.inside, i, false, s.q));
		if (i % 3 == 0)
			usleep(500); /* both asleep again */
	}
	queue_close(s.q);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	queue_free(&s.q);
}

/* A thread that waits for events is one that sleeps, with another bell. */
static void
test_leader(void **state)
{
	struct score_load load = { 0 };
	struct queue *q = queue_new(2, &load);
	struct client c[3] = { 0 };
	int bell = eventfd(0, EFD_NONBLOCK);
	uint64_t rung;

	(void)state;
	queue_set_leader_fd(q, bell);
	assert_false(queue_all_asleep(q));
	assert_true(queue_lead(q));
	assert_int_equal(load.sleeping, 1);
	/* The other thread is up: it will get to short ones. */
	push_one(q, &c[0]);
	assert_int_equal(read(bell, &rung, sizeof(rung)), -1);
	assert_ptr_equal(queue_take(q, 1000000), &c[0]);
	/* It will not, by that: the leader is needed, and called once. */
	queue_push_again(q, &c[1]);
	queue_push_again(q, &c[2]);
	assert_int_equal(read(bell, &rung, sizeof(rung)), sizeof(rung));
	assert_int_equal(rung, 1);
	queue_led(q);
	assert_int_equal(load.sleeping, 0);
	/* There is something to do. */
	assert_false(queue_lead(q));
	assert_ptr_equal(queue_take(q, -1), &c[1]);
	assert_ptr_equal(queue_take(q, -1), &c[2]);
	assert_true(queue_lead(q));
	queue_led(q);
	close(bell);
	close_and_free(q);
}

/* Pushes those, and says whether the leader was called; takes them again. */
static bool
calls_leader(struct queue *q, struct client *c, size_t count, int bell)
{
	uint64_t rung;
	bool called;

	assert_true(queue_lead(q));
	for (size_t i = 0; i + 1 < count; i++)
		c[i].next = &c[i + 1];
	queue_push(q, &c[0], &c[count - 1], count);
	called = read(bell, &rung, sizeof(rung)) == sizeof(rung);
	queue_led(q);
	while (queue_length(q) > 0)
		assert_non_null(queue_take(q, -1));
	return called;
}

/* More threads than processors are of no use for what does not wait. */
static void
test_processors(void **state)
{
	struct score_load load = { 0 };
	struct queue *q = queue_new(2, &load);
	struct client c[60] = { 0 };
	int bell = eventfd(0, EFD_NONBLOCK);
	uint64_t rung;

	(void)state;
	queue_set_leader_fd(q, bell);
	atomic_store(&load.busy_us_16, 20 * 16);
	assert_true(calls_leader(q, c, 6, bell));
	queue_set_processors(q, 1);
	assert_false(calls_leader(q, c, 60, bell));
	queue_note_waits(q, 2, 16);
	assert_true(calls_leader(q, c, 6, bell));
	queue_note_waits(q, 1, 16);
	assert_false(calls_leader(q, c, 6, bell));
	/* Long ones, and very short ones, may have another. */
	atomic_store(&load.busy_us_16, 150 * 16);
	assert_true(calls_leader(q, c, 1, bell));
	atomic_store(&load.busy_us_16, 5 * 16);
	assert_true(calls_leader(q, c, 60, bell));
	atomic_store(&load.busy_us_16, 20 * 16);
	/* Nobody took any between two pushes: who is up does not get on. */
	assert_true(queue_lead(q));
	for (size_t i = 0; i < 6; i++)
		push_one(q, &c[i]);
	assert_int_equal(read(bell, &rung, sizeof(rung)), sizeof(rung));
	queue_led(q);
	while (queue_length(q) > 0)
		assert_non_null(queue_take(q, -1));
	/* One that gets stuck is seen as ever. */
	assert_true(queue_lead(q));
	push_one(q, &c[0]);
	assert_int_equal(read(bell, &rung, sizeof(rung)), -1);
	queue_nudge(q);
	assert_int_equal(read(bell, &rung, sizeof(rung)), sizeof(rung));
	queue_led(q);
	assert_non_null(queue_take(q, -1));
	close(bell);
	close_and_free(q);
}

/* Where somebody else sleeps, that one is woken and the leader is not. */
static void
test_leader_is_woken_last(void **state)
{
	struct client c[2] = { 0 };
	struct score_load load = { 0 };
	struct stuck s = { .q = queue_new(2, &load), .go = true };
	int bell = eventfd(0, EFD_NONBLOCK);
	pthread_t thread;
	uint64_t rung;

	(void)state;
	queue_set_leader_fd(s.q, bell);
	pthread_create(&thread, NULL, get_stuck, &s);
	assert_true(queue_lead(s.q));
	while (atomic_load(&load.sleeping) != 2)
		sched_yield();
	assert_true(queue_all_asleep(s.q));
	push_one(s.q, &c[0]);
	assert_true(comes_to(&s.inside, 1, false, s.q));
	assert_int_equal(read(bell, &rung, sizeof(rung)), -1);
	queue_led(s.q);
	queue_close(s.q);
	pthread_join(thread, NULL);
	close(bell);
	queue_free(&s.q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_expire),
		cmocka_unit_test(test_second_turns),
		cmocka_unit_test(test_vanished),
		cmocka_unit_test(test_put_back),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_rest_ends),
		cmocka_unit_test(test_goal),
		cmocka_unit_test(test_nobody_sleeps_for_ever),
		cmocka_unit_test(test_one_wakes_one),
		cmocka_unit_test(test_leader),
		cmocka_unit_test(test_leader_is_woken_last),
		cmocka_unit_test(test_processors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
