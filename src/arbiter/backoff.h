/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_BACKOFF_H
#define BICORN_ARBITER_BACKOFF_H

/*
 * How long to wait before dead workers are replaced.  A worker that lived is
 * replaced at once; workers that die young are replaced ever more slowly, so
 * that a fault at start costs the machine next to nothing.  Pure.
 */

#include <stdbool.h>
#include <stdint.h>

/* A worker that lived so long after READY did not die young. */
#define BACKOFF_LIVED_MS 5000

/* A zeroed struct is ready for use. */
struct backoff {
	unsigned failures;  /* deaths in a row before READY */
	unsigned waves;     /* in a row that came to nothing */
	unsigned level;     /* index into the delays */
	int64_t next_ms;    /* no fork before this time */
};

/* How a worker died. */
struct backoff_death {
	bool was_ready;   /* it had reported READY ... */
	int64_t lived_ms; /* ... and served for so long */
	bool by_itself;   /* ... and was not ended by a request or a kill */
};

/*
 * Takes a death into account.  Deaths before next_ms belong to the same
 * wave and make the delay no longer.
 */
void backoff_died(struct backoff *b, struct backoff_death how, int64_t now_ms);

/* Whether a worker may be forked now. */
bool backoff_over(const struct backoff *b, int64_t now_ms);

#endif
