/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_UPGRADE_H
#define BICORN_ARBITER_UPGRADE_H

/*
 * USR2: a new arbiter, of the executable as it is now, is started beside the
 * old one and gets its listeners.  Both serve, until the operator ends one of
 * them: TERM to the old one makes the new one its heir, TERM to the new one
 * is the way back.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "arbiter/bequest.h"
#include "arbiter/sockets.h"

struct arbiter;
struct err;

struct upgrade {
	/* Of the old one. */
	char *path;      /* the executable that was started */
	pid_t successor; /* the new one; 0: there is none */

	/* Of the new one. */
	pid_t predecessor;      /* the old one; 0: there is none any more */
	struct legacy legacy;
	struct sockets sockets; /* its listeners, until ours are open */

	int counters; /* the file that the old one writes at its end; or -1 */
};

/* At the start: what the old arbiter left, if there is one. */
int upgrade_init(struct arbiter *a, struct err *err);
void upgrade_fini(struct arbiter *a);

/* The listeners of the old arbiter, as a peer of the first generation. */
int upgrade_sockets(struct arbiter *a, const struct settings *s,
    struct err *err);

/* They are taken, or not wanted. */
void upgrade_done(struct arbiter *a);

/* USR2. */
void upgrade_begin(struct arbiter *a);

/* A process that is no worker has ended; false: nor was it the new arbiter. */
bool upgrade_ended(struct arbiter *a, pid_t pid, int status);

/* Looks whether the old arbiter is gone; then we are the one. */
void upgrade_continue(struct arbiter *a);

/* The old one is about to go. */
void upgrade_leave(struct arbiter *a);

#endif
