/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_DEATH_H
#define BICORN_ARBITER_DEATH_H

/* Workers that have ended: what the log says of it, and what follows. */

#include <stddef.h>
#include <stdint.h>

#include "arbiter/generation.h"
#include "worker/scoreboard.h"

struct arbiter;

/* How a worker ended. */
struct death {
	struct generation *g;
	size_t slot;
	struct child was; /* as it was: the slot is reused */
	int status;       /* of waitpid() */
	int code;         /* exit code, or -1 when a signal ended it */
	int number;       /* the signal, or 0 */
	char why[SCORE_WHY_MAX]; /* what it said itself, or "" */
};

/* Logs it and takes it into account; empties the slot of the scoreboard. */
void death_note(struct arbiter *a, struct death *d, int64_t now_ms);

/*
 * Draws the consequences: ends a reload, or bicorn.  The slot is free, and
 * d->g may belong to the retired afterwards.
 */
void death_heed(struct arbiter *a, const struct death *d);

#endif
