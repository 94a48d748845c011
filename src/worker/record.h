/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_RECORD_H
#define BICORN_WORKER_RECORD_H

/* The line of the access log for one request. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct client;
struct exchange;
struct worker;

/*
 * For a request that the application answered; before its end.  left: output
 * is left for the acceptor, and record_sent() completes the line.
 */
void record_exchange(const struct exchange *x, bool left);

/*
 * The line of that request as it is by now, left to the application: there
 * will be none by record_exchange().
 */
size_t record_hand_over(struct exchange *x, char *out, size_t room);

/* The output of c is all sent, or will not be.  The owner of c. */
void record_sent(struct worker *w, struct client *c, bool complete);

/* For one that was refused: only what could be understood is in it. */
void record_refusal(struct worker *w, struct client *c,
    unsigned status, uint64_t body_bytes, struct span id);

/* For one that is answered in place of the application.  Who has its turn. */
void record_given_up(const struct exchange *x, unsigned status,
    uint64_t body_bytes);

/* What {name}e stands for in the line of x; copied.  False: no memory. */
bool record_note(struct exchange *x, struct span name, struct span value);

/* A field of the request of c, as far as it was received; ptr NULL: none. */
struct span record_field(const struct client *c, struct span name);

#endif
