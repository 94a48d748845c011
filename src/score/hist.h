/* SPDX-License-Identifier: MIT */
#ifndef BICORN_SCORE_HIST_H
#define BICORN_SCORE_HIST_H

/*
 * A histogram of durations in microseconds: eight buckets for each power of
 * two, so that a value is known to an eighth, from 1 us to 19 hours.  Adding
 * is a few instructions and takes no lock: one thread writes, anybody reads
 * numbers that are a moment old.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HIST_STEPS 8 /* buckets for each power of two */
#define HIST_TOP 36  /* the last power of two; longer ones count there */
#define HIST_BUCKETS ((HIST_TOP - 3 + 2) * HIST_STEPS)

struct hist {
	_Atomic uint64_t sum_us;
	_Atomic uint64_t buckets[HIST_BUCKETS];
};

static inline unsigned
hist_bucket(uint64_t us)
{
	unsigned top;

	if (us < HIST_STEPS)
		return (unsigned)us;
	if (us >> (HIST_TOP + 1) != 0)
		return HIST_BUCKETS - 1;
	top = 63 - (unsigned)__builtin_clzll(us);
	return (top - 2) * HIST_STEPS +
	    (unsigned)(us >> (top - 3) & (HIST_STEPS - 1));
}

/* The first value that is beyond bucket i. */
uint64_t hist_end(unsigned i);

/* By the one thread that writes h.  A duration below 0 counts as 0. */
static inline void
hist_add(struct hist *h, int64_t us)
{
	uint64_t value = us > 0 ? (uint64_t)us : 0;
	_Atomic uint64_t *b = &h->buckets[hist_bucket(value)];

	atomic_store_explicit(b,
	    atomic_load_explicit(b, memory_order_relaxed) + 1,
	    memory_order_relaxed);
	atomic_store_explicit(&h->sum_us,
	    atomic_load_explicit(&h->sum_us, memory_order_relaxed) + value,
	    memory_order_relaxed);
}

/* The same where several threads write. */
void hist_add_shared(struct hist *h, int64_t us);

/* to += from.  The one thread that writes `to`. */
void hist_merge(struct hist *to, const struct hist *from);

uint64_t hist_count(const struct hist *h);

/* How many are below `us`, which is to be the end of a bucket. */
uint64_t hist_below(const struct hist *h, uint64_t us);

/*
 * The value that `share` (0 to 1) of all are not above, in microseconds: the
 * middle of its bucket.  0 when there are none.
 */
uint64_t hist_quantile(const struct hist *h, double share);

#endif
