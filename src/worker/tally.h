/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_TALLY_H
#define BICORN_WORKER_TALLY_H

/* Counting what happens to requests and clients, on the scoreboard. */

#include <stdint.h>

#include "score/counts.h"

struct client;
struct exchange;
struct worker;

/* One more.  Any thread. */
void tally(struct worker *w, enum count_id id);

/* The request of c was refused. */
void tally_refusal(struct worker *w, const struct client *c);

/*
 * The application is done with the request of x, which has its times.  The
 * thread of x.
 */
void tally_exchange(struct exchange *x);

/* Logs the request of x, and counts it, if it was slow. */
void tally_slow(struct exchange *x);

/* All of its output went to the socket, or never will. */
void tally_done(struct exchange *x);

/* Output of x is left for the acceptor to send, which c remembers. */
void tally_left(const struct exchange *x, struct client *c);

/* That output is gone, one way or the other.  The owner of c. */
void tally_sent(struct worker *w, struct client *c, int64_t now_us);

#endif
