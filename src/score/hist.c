/* SPDX-License-Identifier: MIT */
#include "score/hist.h"

static uint64_t
value_of(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

uint64_t
hist_end(unsigned i)
{
	unsigned top = i / HIST_STEPS + 2, step = i % HIST_STEPS;

	if (i < HIST_STEPS)
		return i + 1;
	return (uint64_t)(HIST_STEPS + step + 1) << (top - 3);
}

void
hist_add_shared(struct hist *h, int64_t us)
{
	uint64_t value = us > 0 ? (uint64_t)us : 0;

	atomic_fetch_add_explicit(&h->buckets[hist_bucket(value)], 1,
	    memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_us, value, memory_order_relaxed);
}

static void
add_to(_Atomic uint64_t *to, const _Atomic uint64_t *from)
{
	uint64_t more = value_of(from);

	/* Most are 0: their pages need not be touched. */
	if (more != 0)
		atomic_store_explicit(to, value_of(to) + more,
		    memory_order_relaxed);
}

void
hist_merge(struct hist *to, const struct hist *from)
{
	add_to(&to->sum_us, &from->sum_us);
	for (size_t i = 0; i < HIST_BUCKETS; i++)
		add_to(&to->buckets[i], &from->buckets[i]);
}

uint64_t
hist_count(const struct hist *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < HIST_BUCKETS; i++)
		sum += value_of(&h->buckets[i]);
	return sum;
}

uint64_t
hist_below(const struct hist *h, uint64_t us)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < HIST_BUCKETS && hist_end(i) <= us; i++)
		sum += value_of(&h->buckets[i]);
	return sum;
}

static uint64_t
middle_of(unsigned i)
{
	uint64_t begin = i > 0 ? hist_end(i - 1) : 0;

	return begin + (hist_end(i) - begin) / 2;
}

uint64_t
hist_quantile(const struct hist *h, double share)
{
	uint64_t count = hist_count(h), seen = 0, rank;

	if (count == 0)
		return 0;
	rank = (uint64_t)(share * (double)count + 0.5);
	if (rank < 1)
		rank = 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += value_of(&h->buckets[i]);
		if (seen >= rank)
			return middle_of(i);
	}
	return middle_of(HIST_BUCKETS - 1);
}
