/* SPDX-License-Identifier: MIT */
/* Locks keep threads apart, conditions wake them, ranks are checked. */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lock.h"

#define THREADS 4
#define TURNS 20000

struct shared {
	struct lock lock;
	struct cond changed;

	/* Guarded by lock. */
	unsigned count;
	unsigned waiting;
	unsigned woken;
	int go;
};

static void *
count_up(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < TURNS; i++) {
		lock_take(&s->lock);
		s->count++;
		lock_drop(&s->lock);
	}
	return NULL;
}

static void
run_threads(struct shared *s, void *(*body)(void *), pthread_t *threads)
{
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, body, s), 0);
}

static void
join_threads(pthread_t *threads)
{
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void
test_exclusion(void **state)
{
	struct shared s = { .count = 0 };
	pthread_t threads[THREADS];

	(void)state;
	lock_init(&s.lock, LOCK_QUEUE);
	run_threads(&s, count_up, threads);
	join_threads(threads);
	assert_int_equal(s.count, THREADS * TURNS);
	lock_fini(&s.lock);
}

static void *
wait_for_go(void *arg)
{
	struct shared *s = arg;

	lock_take(&s->lock);
	s->waiting++;
	cond_wake_all(&s->changed);
	while (!s->go)
		cond_wait(&s->changed, &s->lock);
	s->woken++;
	lock_drop(&s->lock);
	return NULL;
}

static void
test_condition(void **state)
{
	struct shared s = { .count = 0 };
	pthread_t threads[THREADS];

	(void)state;
	lock_init(&s.lock, LOCK_QUEUE);
	cond_init(&s.changed);
	run_threads(&s, wait_for_go, threads);
	lock_take(&s.lock);
	while (s.waiting < THREADS)
		cond_wait(&s.changed, &s.lock);
	assert_int_equal(s.woken, 0);
	s.go = 1;
	lock_drop(&s.lock);
	cond_wake_all(&s.changed);
	join_threads(threads);
	assert_int_equal(s.woken, THREADS);
	cond_fini(&s.changed);
	lock_fini(&s.lock);
}

#ifndef NDEBUG
/* Takes two locks in a process of its own; how that ended. */
static int
take_two(enum lock_rank first, enum lock_rank second)
{
	struct lock a, b;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		lock_init(&a, first);
		lock_init(&b, second);
		lock_take(&a);
		lock_take(&b);
		lock_drop(&b);
		lock_drop(&a);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_ranks(void **state)
{
	(void)state;
	assert_int_equal(take_two(LOCK_QUEUE, LOCK_LOG), 0);
	assert_int_not_equal(take_two(LOCK_LOG, LOCK_QUEUE), 0);
	assert_int_not_equal(take_two(LOCK_LOG, LOCK_LOG), 0);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_condition),
#ifndef NDEBUG
		cmocka_unit_test(test_ranks),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
