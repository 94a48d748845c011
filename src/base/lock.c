/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#include <errno.h>
#include <time.h>

#include "base/must.h"

#ifndef NDEBUG
/* The ranks this thread holds, one bit each. */
static _Thread_local unsigned held;
#endif

static void
note_take(enum lock_rank rank)
{
#ifndef NDEBUG
	must(held >> rank == 0);
	held |= 1u << rank;
#else
	(void)rank;
#endif
}

static void
note_drop(enum lock_rank rank)
{
#ifndef NDEBUG
	must(held >> rank & 1u);
	held &= ~(1u << rank);
#else
	(void)rank;
#endif
}

void
lock_init(struct lock *l, enum lock_rank rank)
{
	must(pthread_mutex_init(&l->mutex, NULL) == 0);
	l->rank = rank;
}

void
lock_fini(struct lock *l)
{
	must(pthread_mutex_destroy(&l->mutex) == 0);
}

void
lock_take(struct lock *l) LOCK_ATTR(no_thread_safety_analysis)
{
	note_take(l->rank);
	must(pthread_mutex_lock(&l->mutex) == 0);
}

void
lock_drop(struct lock *l) LOCK_ATTR(no_thread_safety_analysis)
{
	must(pthread_mutex_unlock(&l->mutex) == 0);
	note_drop(l->rank);
}

void
cond_init(struct cond *c)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr) == 0);
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&c->cond, &attr) == 0);
	must(pthread_condattr_destroy(&attr) == 0);
}

void
cond_fini(struct cond *c)
{
	must(pthread_cond_destroy(&c->cond) == 0);
}

void
cond_wait(struct cond *c, struct lock *l)
{
	must(pthread_cond_wait(&c->cond, &l->mutex) == 0);
}

void
cond_wait_us(struct cond *c, struct lock *l, int64_t us)
{
	struct timespec end;
	int rc;

	must(clock_gettime(CLOCK_MONOTONIC, &end) == 0);
	end.tv_sec += us / 1000000;
	end.tv_nsec += us % 1000000 * 1000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	rc = pthread_cond_timedwait(&c->cond, &l->mutex, &end);
	must(rc == 0 || rc == ETIMEDOUT);
}

void
cond_wake_one(struct cond *c)
{
	must(pthread_cond_signal(&c->cond) == 0);
}

void
cond_wake_all(struct cond *c)
{
	must(pthread_cond_broadcast(&c->cond) == 0);
}
