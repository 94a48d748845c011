/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_WORKER_PRIVATE_H
#define BICORN_WORKER_WORKER_PRIVATE_H

/* A worker process from inside: what acceptor and pool share. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bicorn/app.h>

#include "app/module.h"
#include "base/wheel.h"
#include "http/head.h"
#include "worker/outbound.h"
#include "worker/source.h"

struct acceptor;
struct client;
struct contexts;
struct handshakes;
struct fronts;
struct heritage;
struct inbound;
struct listener;
struct pages;
struct pool;
struct queue;
struct reloader;
struct score_counts;
struct score_worker;
struct settings;
struct statsd;
struct trust;
struct watchdog;
struct worker;

/* The table that applications get, and the way back from it. */
struct lent {
	struct bicorn_server table;
	struct worker *worker;
};

/* Set once, before there are threads; for pool threads to read. */
struct worker {
	/* Constant after the boot. */
	const struct heritage *heritage;
	const struct settings *settings;
	struct http_limits limits;
	struct trust *trust;
	struct contexts *contexts; /* NULL: no TLS.  The handshakes' own */
	struct fronts *fronts;
	struct lent lent;
	struct listener *const *listeners; /* as applications see them */
	size_t listener_count;
	struct app app;
	struct queue *queue;
	struct pool *pool;
	struct handshakes *handshakes; /* NULL: no TLS */
	struct watchdog *watchdog;
	struct reloader *reloader; /* NULL: no reload */
	struct pages *pages;   /* NULL: only those made here */
	struct statsd *statsd; /* NULL: off */
	struct bicorn_str *notes; /* names that the access log asks for */
	size_t note_count;
	char first[300];       /* "Server: bicorn\r\nDate: " */
	size_t first_len;
	struct score_worker *score;
	struct score_counts *counts; /* what no thread of the pool counts */
	bool hears_requests; /* the application is told before and after */
	bool forked; /* true in a process that it forked: see forked.h */
	int wake_fd; /* eventfd that wakes who leads, the acceptor */
	int epoll;   /* the acceptor's; here to end a registration */
	struct acceptor *acceptor; /* for who leads */
	uint64_t max_requests; /* jitter included; 0: no limit */
	struct outbound_limits keep; /* output kept for slow clients */

	/* Owned by who leads: worker/lead.h. */
	struct inbound *stash; /* spare ones, for new requests */

	/* Any thread. */
	_Atomic(struct client *) returned; /* for the acceptor to go on with */
	_Atomic(struct client *) finished; /* ... and to give back */
	_Atomic(struct inbound *) spare_inbound; /* given back by anyone */
	_Atomic unsigned spare_count; /* how many those and the stash are */
	_Atomic int64_t buffered; /* bytes of memory in requests and output */
	_Atomic uint32_t leader; /* enum leader: who asks epoll */
	_Atomic bool leader_called; /* the acceptor wants to */
	_Atomic bool draining;  /* answers say Connection: close */
	_Atomic bool holding;   /* a thread holds an answer: loan_hold() */
	_Atomic bool hungry;    /* the acceptor waits for a client to close */
	_Atomic bool starved;   /* the acceptor waits for a free thread */
	_Atomic uint64_t served; /* counted when max_requests is set */
};

/* Wakes who is in epoll_wait, the acceptor.  Any thread. */
void worker_wake(struct worker *w);

/*
 * Asks the arbiter for a successor; the worker serves until it is there and
 * the arbiter sends TERM.  False when that was asked before, or the worker
 * leaves already.  The acceptor.
 */
bool worker_retire(struct worker *w);

/* True when this request is one after which the connection must close. */
static inline bool
worker_draining(struct worker *w)
{
	return atomic_load_explicit(&w->draining, memory_order_relaxed);
}

/*
 * Tells the application of a moment of this worker, if it wants to hear of
 * it; what it returned, or 0.
 */
int worker_tell(struct worker *w, enum bicorn_moment moment);

/* The service stops, and not only this worker: what health_path tells. */
bool worker_stopping(const struct worker *w);

/* --- hand-overs; the caller owns c before, and no longer after ----------- */

/*
 * From the pool: the connection is idle, or waits for the client's next
 * message of a handshake, and nothing is known to be there to read.  False
 * when events came in meanwhile: they are now in c->readable and
 * c->peer_closed, and the caller still owns c.
 */
bool client_release(struct client *c);

/* From the pool: the acceptor has to go on with c, in its c->state. */
void client_return(struct worker *w, struct client *c);

/*
 * A brittle connection ends by a reset, by whatever it ends, a SIGKILL too:
 * without a length and a last chunk nothing else tells the client that it does
 * not have all of a body.
 */
void client_brittle(struct client *c, bool brittle);

/* From the pool: c is over.  Closes the socket. */
void client_finish(struct worker *w, struct client *c);

/* Moves the events that arrived from the owner word to the flags. */
void client_take_events(struct client *c, uint32_t bits);

/* True when the peer is known to have closed.  The owner in the pool. */
bool client_gone(const struct client *c);

/*
 * True when nobody is left to read the answer to the request that waits: the
 * connection broke.  The owner in the pool, or the queue, for which the time
 * is there.
 */
bool client_vanished(const struct client *c, int64_t now_ms);

/*
 * True when the client has ended its side, sent nothing behind the request
 * that waits, and was not served for a while: client_sound() will tell whether
 * it has left.  The queue, and the owner.
 */
bool client_doubtful(const struct client *c, int64_t now_ms);

/*
 * Sends the first bytes of the answer, whatever that will be, and leaves in
 * c->begun how many went.  False when the connection broke; or it will, a
 * moment later.  The acceptor, as the owner.
 */
#define ANSWER_FIRST "HTTP/1.1 "
bool client_sound(struct client *c);

#endif
