/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_LOAN_H
#define BICORN_WORKER_LOAN_H

/*
 * While an application goes on with a response that its client does not take
 * as fast as it is made, the output that is kept (client.out) is lent to the
 * acceptor, which sends it as the socket makes room.  The pool thread calls
 * the loan back before it touches client.out or the connection again.
 *
 * Only client.out, client.slow.bytes and the sending side of client.conn are
 * lent; all else stays the pool thread's.  Responses that the socket takes
 * at once, and those that are complete, are never lent.
 */

struct client;
struct worker;

/* Lends what is kept, if anything.  The pool thread that owns c. */
void loan_give(struct worker *w, struct client *c);

/*
 * Lends what is kept of earlier answers, by output_hold() above all: the
 * acceptor offers it to the socket when the thread has not done so within a
 * millisecond or two.  The pool thread that owns c, and that has put it where
 * pool_held() finds it.
 */
void loan_hold(struct worker *w, struct client *c);

/*
 * Calls the loan back, if there is one; waits while the acceptor sends, which
 * does not block.  The pool thread that owns c.
 */
void loan_recall(struct client *c);

/*
 * Sends what the socket takes, if c is on loan; epoll tells of further room.
 * The acceptor.
 */
void loan_flush(struct worker *w, struct client *c);

#endif
