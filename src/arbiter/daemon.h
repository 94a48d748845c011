/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_DAEMON_H
#define BICORN_ARBITER_DAEMON_H

/*
 * Going to the background.  The process that was started waits until the
 * daemon says how its start went, tells that to the terminal, and exits
 * accordingly: who waited for it knows.
 */

#include <stdbool.h>

struct err;

struct daemon {
	int report; /* to the waiting process; -1: there is none (any more) */
};

/*
 * Returns in the daemon only: no terminal, a session of its own, standard
 * descriptors on /dev/null, umask 022.  With keep_output standard output and
 * error stay, where they are no terminal.  -1 when it cannot be made.
 */
int daemon_start(struct daemon *d, bool keep_output, struct err *err);

/* Lets the first process exit with 0. */
void daemon_ready(struct daemon *d);

/* Makes it print the text and exit with `code`. */
void daemon_failed(struct daemon *d, int code, const char *text);

#endif
