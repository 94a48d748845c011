/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_HANDSHAKES_H
#define BICORN_WORKER_HANDSHAKES_H

/*
 * The thread that opens TLS connections.  A step of a handshake may take
 * milliseconds of arithmetic with the private key: the acceptor's other
 * clients do not wait for it, and the pool's threads are for applications.
 * There is one, so the key is never used by two at a time.
 */

struct client;
struct err;
struct handshakes;
struct worker;

/* Starts it.  0, or -1 with err. */
int handshakes_start(struct worker *w, struct handshakes **out,
    struct err *err);

/*
 * From the acceptor: c, in CLIENT_HANDSHAKE, takes the next step of its
 * handshake when its turn comes, and is returned: in CLIENT_IDLE when that was
 * the last one, else to wait for the client.  Or it is finished.
 */
void handshakes_push(struct handshakes *h, struct client *c);

/* Ends the thread and frees everything.  No client may be with it. */
void handshakes_stop(struct handshakes **hp);

#endif
