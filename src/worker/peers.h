/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_PEERS_H
#define BICORN_WORKER_PEERS_H

/*
 * How many connections each client address holds in this worker.  Addresses
 * of IPv6 count by network, as one client usually has all of one.  The
 * acceptor's alone, but for peers_closing().
 */

#include <stddef.h>

struct addr;
struct peer;
struct peers;

/*
 * limit connections for each address, prefix_v6 bits of which count for
 * IPv6.  Returns NULL when out of memory.
 */
struct peers *peers_new(size_t limit, unsigned prefix_v6);

/* No peer may be entered any more. */
void peers_free(struct peers **pp);

/*
 * Counts one more of that address; the caller gives the result back with
 * peers_closing() and peers_leave().  NULL when it has as many as are allowed,
 * or out of memory.
 */
struct peer *peers_enter(struct peers *p, const struct addr *address);

/*
 * To be called before the connection is closed: it does not count any more
 * for the next one, which the client may open at once.  Any thread.
 */
void peers_closing(struct peer *peer);

/* Gives peer back, after peers_closing(). */
void peers_leave(struct peers *p, struct peer *peer);

#endif
