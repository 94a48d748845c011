/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_SIGNALS_H
#define BICORN_ARBITER_SIGNALS_H

/*
 * The arbiter's signals: blocked from the start on and read from a
 * descriptor in its loop, so that nothing ever runs in a handler.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/sender.h"

struct err;

struct signals {
	int fd;           /* readable when a signal waits; -1: not set up */
	sigset_t before;  /* the mask this process was started with */
	sigset_t handled; /* those that are read here */

	struct sender sender; /* of the one that was read last */

	/* The last one that was to stop us. */
	int last;
	uint32_t last_sender;
	int64_t last_ms;
};

/*
 * Blocks and takes over the signals.  A hang-up that was ignored at the
 * start stays ignored (nohup) unless `daemon`.  Undone by signals_fini().
 */
int signals_init(struct signals *s, bool daemon, struct err *err);

/*
 * The next signal that waits, or 0.  Never blocks.  Tools that end a process
 * and then its group, as timeout(1), send the same signal twice in one go:
 * that is heard once.
 */
int signals_next(struct signals *s);

/* Sleeps up to `ms` for a signal, which stays waiting. */
void signals_wait(const struct signals *s, int64_t ms);

/*
 * In a worker, after the fork: closes the descriptor, puts every signal to
 * its default and opens the mask again.  Hang-ups do nothing in a worker: a
 * closed terminal sends them to the whole group.
 */
void signals_restore(struct signals *s);

void signals_fini(struct signals *s);

/*
 * The same for a process that is about to end, in the way that it has chosen:
 * what comes now, and what nobody has read yet, stays blocked.
 */
void signals_end(struct signals *s);

/* "hup" for SIGHUP, as gunicorn's log lines have it. */
const char *signals_name(int number, char out[16]);

#endif
