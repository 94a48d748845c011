/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_REDIRECT_H
#define BICORN_WORKER_REDIRECT_H

/*
 * redirect_https: a listener without TLS that only tells clients to come by
 * https.  The acceptor does that by itself, as soon as the head is there.
 */

#include <stdbool.h>

struct buf;
struct client;
struct worker;

/*
 * Whether the request of c, whose head is complete, is to be refused so: the
 * status, or 0.  301 for GET and HEAD, which every client knows and which
 * changes nothing about them; 308 for the others, whose method and body must
 * not be dropped on the way; 400 when it does not say for which host it is.
 */
unsigned redirect_status(const struct worker *w, const struct client *c);

/* Adds "Location: https://HOST[:PORT]/target"; false when out of memory. */
bool redirect_field(const struct client *c, struct buf *b);

#endif
