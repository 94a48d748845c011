/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_WORKER_H
#define BICORN_WORKER_WORKER_H

/* A worker process: from the fork to its exit. */

struct err;
struct heritage;
struct settings;

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
 * TERM drains (also when the arbiter dies), INT and QUIT leave at once, USR1 opens
 * the logs again.  Logs why it fails.
 */
int worker_main(const struct heritage *h);

/*
 * --check-config: loads the application and unloads it.  Returns enum
 * worker_exit; err says what is wrong.
 */
int worker_check(const struct settings *s, struct err *err);

#endif
