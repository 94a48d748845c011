/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_LOCK_H
#define BICORN_BASE_LOCK_H

/*
 * Mutexes and condition variables with ranks.  A thread takes locks in
 * rising rank only, which makes a deadlock impossible; debug builds assert
 * it.  With clang, -Wthread-safety rejects a call of a _locked function
 * without its lock.
 */

#include <pthread.h>
#include <stdint.h>

#if defined(__clang__)
#define LOCK_ATTR(x) __attribute__((x))
#else
#define LOCK_ATTR(x)
#endif
#define REQUIRES(...) LOCK_ATTR(requires_capability(__VA_ARGS__))

/* Every lock of the server, in the order in which they may be taken. */
enum lock_rank {
	LOCK_NONE,
	LOCK_LATER,
	LOCK_QUEUE, /* taken last, held briefly */
	LOCK_LOG,
};

struct LOCK_ATTR(capability("mutex")) lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

struct cond {
	pthread_cond_t cond; /* on the monotonic clock */
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l) LOCK_ATTR(acquire_capability(*l));
void lock_drop(struct lock *l) LOCK_ATTR(release_capability(*l));

void cond_init(struct cond *c);
void cond_fini(struct cond *c);
void cond_wait(struct cond *c, struct lock *l) REQUIRES(*l);
/* The same, for no longer than that. */
void cond_wait_us(struct cond *c, struct lock *l, int64_t us) REQUIRES(*l);
void cond_wake_one(struct cond *c);
void cond_wake_all(struct cond *c);

#endif
