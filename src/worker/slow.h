/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_SLOW_H
#define BICORN_WORKER_SLOW_H

/*
 * How slow a client may be.  Between two signs of progress there is a
 * timeout; and so that a byte now and then is not enough, a rate that must
 * be kept on average, after a grace.  Both make one deadline, so keeping
 * them costs nothing but the timer.
 */

#include <stdint.h>

struct settings;

/* Time that was spent waiting for a client, and what came of it. */
struct slow {
	int64_t since_ms; /* the waiting that goes on now began then */
	int64_t spent_ms; /* in waiting before that */
	uint64_t bytes;   /* moved while waiting, all in all */
};

/*
 * Milliseconds from now_ms within which the next bytes must move: of a
 * response that waits for its client.  0 and below: it is too slow.
 */
int64_t slow_wait_ms(const struct settings *s, const struct slow *slow,
    int64_t now_ms);

/* The same of a body that arrives. */
int64_t slow_body_ms(const struct settings *s, const struct slow *slow,
    int64_t now_ms);

#endif
