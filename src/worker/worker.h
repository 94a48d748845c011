/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_WORKER_H
#define BICORN_WORKER_WORKER_H

/* A worker process: from the fork to its exit. */

#include <stdint.h>

struct err;
struct heritage;
struct settings;
struct worker;

/* Exit codes of a worker, gunicorn's. */
enum worker_exit {
	WORKER_EXIT_OK = 0,
	WORKER_EXIT_ABORTED = 1,   /* after SIGABRT: it was silent too long */
	WORKER_EXIT_BOOT = 3,      /* the application failed to start */
	WORKER_EXIT_APP = 4,       /* there is no such application */
};

/*
 * Runs a worker in this process, whose only thread calls it after the fork
 * and after privileges were dropped.  Loads the application, reports READY
 * on the scoreboard, serves until told to stop and returns the exit code.
 *
 * Signals, whose handlers it installs once the application is loaded:
 * TERM drains (also when the arbiter dies), INT and QUIT leave at once, USR1
 * opens the logs again.  Logs why it fails.
 */
int worker_main(const struct heritage *h, struct worker *preloaded);

/*
 * In a template, which forks workers: loads the application as a worker
 * would; h needs no slot.  Each of them gives *out, of which it has a copy, to
 * worker_main(), which otherwise gets NULL.  Returns enum worker_exit.
 */
int worker_preload(const struct heritage *h, struct worker **out,
    struct err *err);

/* Tells the application before, and on both sides after, such a fork. */
enum worker_fork {
	WORKER_FORK_PREPARE,
	WORKER_FORK_PARENT,
	WORKER_FORK_CHILD,
};

void worker_forked(struct worker *w, enum worker_fork when);

/*
 * --check-config: loads the application and unloads it.  Returns enum
 * worker_exit; err says what is wrong.
 */
int worker_check(const struct settings *s, struct err *err);

/* Open files that a worker may need besides its connections. */
int64_t worker_files(const struct settings *s);

/*
 * Connections that a worker holds at most: worker_connections, or fewer where
 * the limit of open files would leave less than worker_files() to all else;
 * that is then at least half of the limit.
 */
int64_t worker_room(const struct settings *s);

#endif
