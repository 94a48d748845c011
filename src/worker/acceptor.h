/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_ACCEPTOR_H
#define BICORN_WORKER_ACCEPTOR_H

/*
 * The acceptor: the first thread of a worker, and its epoll loop, which a pool
 * thread goes on with at times (worker/lead.h).  It accepts, reads requests
 * until they are complete, hands them to the pool, sends what sockets did not
 * take, and keeps every deadline.  It never runs application code and never
 * waits for anything but epoll.
 */

#include <stdbool.h>

struct acceptor;
struct err;
struct worker;

/* Sets everything up; nothing is accepted yet.  NULL with err. */
struct acceptor *acceptor_new(struct worker *w, struct err *err);

/* From now on clients come, and wait for acceptor_run(). */
void acceptor_listen(struct acceptor *a);

/*
 * Serves until the worker was told to leave.  True: every client was served
 * and closed, false: there are some left, because it was to be quick or
 * graceful_timeout is over.
 */
bool acceptor_run(struct acceptor *a);

/* Frees it.  No pool thread may run any more. */
void acceptor_free(struct acceptor **ap);

#endif
