/* SPDX-License-Identifier: MIT */
#ifndef BICORN_SCORE_COUNTS_H
#define BICORN_SCORE_COUNTS_H

/*
 * What has happened: counters and histograms.  A pool thread has a set of its
 * own, which it alone writes; what the acceptor and others count has one more
 * set per worker.  All only grow.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "score/hist.h"

enum count_id {
#define COUNTER(id, family, label, value, help) COUNT_##id,
#include "score/counters.def"
#undef COUNTER
	COUNT_COUNT
};

enum hist_id {
	HIST_QUEUE, /* from the complete request to a thread */
	HIST_APP,   /* in the application, without what it sent */
	HIST_SEND,  /* giving the response to the socket */
	HIST_TOTAL, /* from the complete request to the response being sent */
	HIST_COUNT
};

struct score_counts {
	_Alignas(64) _Atomic uint64_t value[COUNT_COUNT];
	struct hist hist[HIST_COUNT];
};

/* What the table says of a counter. */
struct count_info {
	const char *family;
	const char *label; /* or NULL */
	const char *value;
	const char *help;  /* NULL: as the row before */
};

extern const struct count_info count_infos[COUNT_COUNT];

/* "queue", "application", "send", "total". */
extern const char *const hist_names[HIST_COUNT];

/* By the one thread that writes n. */
static inline void
counts_add(struct score_counts *n, enum count_id id, uint64_t more)
{
	_Atomic uint64_t *at = &n->value[id];

	atomic_store_explicit(at,
	    atomic_load_explicit(at, memory_order_relaxed) + more,
	    memory_order_relaxed);
}

/* Where several threads write. */
static inline void
counts_add_shared(struct score_counts *n, enum count_id id, uint64_t more)
{
	atomic_fetch_add_explicit(&n->value[id], more, memory_order_relaxed);
}

static inline uint64_t
counts_get(const struct score_counts *n, enum count_id id)
{
	return atomic_load_explicit(&n->value[id], memory_order_relaxed);
}

/* Which counter a status belongs to. */
static inline enum count_id
counts_class(unsigned status)
{
	unsigned class = status / 100;

	if (class < 1 || class > 5)
		class = 5;
	return (enum count_id)(COUNT_ANSWERS_1XX + class - 1);
}

/* All answers. */
uint64_t counts_answers(const struct score_counts *n);

/* to += from.  The one thread that writes `to`. */
void counts_merge(struct score_counts *to, const struct score_counts *from);

#endif
