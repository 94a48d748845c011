/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_ARBITER_H
#define BICORN_ARBITER_ARBITER_H

/*
 * The arbiter: the first process, which owns listeners, settings, pid file,
 * signals and shared memory, and looks after the workers.  It runs no
 * application code, starts no thread and touches no client's socket.
 */

struct err;
struct settings;
struct title;

/*
 * Runs the server until it is told to stop; returns the exit code.  s is
 * taken.  argc and argv are read again in each reload.  Logs why it fails,
 * on the terminal too.
 */
int arbiter_run(int argc, char *const *argv, struct settings *s,
    struct title *title);

/*
 * --check-config: loads the application in this process, as a worker would;
 * 0, or -1 with the reason.
 */
int arbiter_check(const struct settings *s, struct err *err);

#endif
