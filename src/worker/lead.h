/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_LEAD_H
#define BICORN_WORKER_LEAD_H

/*
 * The leader: who asks epoll.  That is the acceptor, which hands over what
 * came.  While short requests follow each other it lets go of that, and a
 * pool thread that runs out of work leads in its place: it waits for events
 * itself, does what the acceptor does with them, and serves what that made
 * ready, so that nobody has to be woken.  The acceptor looks in now and then:
 * it leads again when nobody did for a moment, because those that could are
 * busy in the application, when requests become few, and when there is
 * something that it alone does (signals, leaving).
 *
 * What is said to belong to the acceptor belongs to the leader: there is one
 * at a time, and who leads next sees all that it did.
 */

#include <stdbool.h>
#include <stdint.h>

struct acceptor;
struct worker;

enum leader {
	LEADER_ACCEPTOR, /* at first */
	LEADER_NONE,     /* the acceptor let go: any pool thread may */
	LEADER_POOL,     /* one of its threads */
};

/*
 * For a pool thread that found nothing in the queue, with what
 * thread_start() left for it: leads until there is something.  False when it
 * must not lead; it then waits at the queue.
 */
bool lead_take(struct worker *w, void *thread);

/*
 * For the acceptor: if that is worth while it lets the pool lead, and returns
 * when the acceptor is to lead again.  True when it let go: a signal may have
 * come whose event the pool took, so the acceptor must look for those before
 * it waits.
 */
bool lead_rest(struct acceptor *a);

/*
 * Looks once at what came, if nobody did for a while: what follows is then
 * known of before the queue is empty.  A pool thread, between two clients.
 */
void lead_look(struct worker *w, int64_t now_us);

#endif
