/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_WATCHDOG_H
#define BICORN_WORKER_WATCHDOG_H

/*
 * The deadline of a request, step by step:
 *
 *	request_timeout    the request and the stack of its thread are logged,
 *	                   and the application is asked to interrupt it
 *	interrupt_timeout  it did not end: the worker is to be replaced.  It
 *	                   serves its other requests until its successor is
 *	                   there, and is killed with what is still stuck
 *
 * The acceptor looks at the clock.  What might wait for the application,
 * such as for an interpreter's lock, is done by a thread of the watchdog's
 * own, so that no step depends on the one before having come to its end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct settings;
struct watchdog;
struct worker;

/* Starts the thread.  The pool runs already. */
int watchdog_start(struct worker *w, struct watchdog **out, struct err *err);

/* Whether there is anything to look at. */
bool watchdog_wanted(const struct settings *s);

/*
 * The acceptor calls it every WATCHDOG_LOOK_MS while requests run; true when
 * some do.
 */
#define WATCHDOG_LOOK_MS 50
bool watchdog_look(struct watchdog *d, int64_t now_ms);

/* Has the stacks of all pool threads written to the error log. */
void watchdog_dump(struct watchdog *d);

/* Has memory that is free given back to the system. */
void watchdog_trim(struct watchdog *d);

/*
 * Has them written to the scoreboard, when that was not `asked` for under
 * the same number before.
 */
void watchdog_dump_board(struct watchdog *d, uint32_t asked);

/*
 * Async-signal-safe: has the application told that the worker is given up
 * (worker_abort), and the process ended.  arg is the watchdog.
 */
void watchdog_abort(void *arg);

/* Requests that no interruption has ended, as of now.  The acceptor. */
size_t watchdog_stuck(const struct watchdog *d);

/* Ends the thread, unless the application holds it.  The pool has ended. */
void watchdog_stop(struct watchdog **dp);

#endif
