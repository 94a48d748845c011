/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_WHEEL_H
#define BICORN_BASE_WHEEL_H

/*
 * A timer wheel: setting, moving and clearing a timer cost O(1), and so does
 * each tick that passes, whatever the number of timers.  Deadlines are met
 * to within WHEEL_TICK_MS, late, never early.  One thread.
 */

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_TICK_MS 32
#define WHEEL_SLOTS 2048 /* 65 s; later deadlines take another round */

/* Embedded in what is to be timed.  A zeroed struct is not set. */
struct timer {
	struct timer *next; /* NULL: not set */
	struct timer **link; /* what points to this one */
	int64_t deadline_ms;
};

struct wheel {
	struct timer *slots[WHEEL_SLOTS];
	uint64_t used[WHEEL_SLOTS / 64]; /* one bit per slot that may be full */
	int64_t tick; /* ticks up to and with this one are done */
	int64_t first; /* that of the first slot that may be full, or NEVER */
	struct timer end; /* stands for the end of each list */
};

void wheel_init(struct wheel *w, int64_t now_ms);

/* Sets or moves t.  CLOCK_NEVER clears it. */
void wheel_set(struct wheel *w, struct timer *t, int64_t deadline_ms);

void wheel_clear(struct wheel *w, struct timer *t);

static inline bool
wheel_is_set(const struct timer *t)
{
	return t->next != 0;
}

/*
 * The next timer that is due at now_ms, cleared, or NULL.  Call until it
 * returns NULL.
 */
struct timer *wheel_due(struct wheel *w, int64_t now_ms);

/* Milliseconds from now_ms until a timer may be due, at most limit_ms. */
int wheel_wait(const struct wheel *w, int64_t now_ms, int limit_ms);

#endif
