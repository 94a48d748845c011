/* SPDX-License-Identifier: MIT */
/* How a client changes hands between the pool and the acceptor. */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/must.h"
#include "base/probe.h"
#include "worker/client.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/peers.h"
#include "worker/scoreboard.h"
#include "worker/record.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

void
worker_wake(struct worker *w)
{
	fd_wake(w->wake_fd);
}

bool
worker_retire(struct worker *w)
{
	int ready = WORKER_READY;

	if (!atomic_compare_exchange_strong(&w->score->state, &ready,
		WORKER_RETIRING))
		return false;
	scoreboard_notify(w->heritage->board);
	return true;
}

void
client_take_events(struct client *c, uint32_t bits)
{
	if (bits & EVENT_READ)
		c->readable = true;
	if (bits & EVENT_GONE)
		c->readable = c->peer_closed = true;
	/* A handshake may wait to write; not before the client has begun. */
	if ((bits & EVENT_WRITE) && c->state == CLIENT_HANDSHAKE && !c->fresh)
		c->readable = true;
}

bool
client_release(struct client *c)
{
	must(c->in == NULL &&
	    (c->state == CLIENT_IDLE || c->state == CLIENT_HANDSHAKE));
	for (;;) {
		uint32_t seen = OWNED_BY_POOL;

		/* What this thread wrote is there for the acceptor. */
		if (atomic_compare_exchange_strong_explicit(&c->owner, &seen,
			0, memory_order_release, memory_order_relaxed))
			return true;
		seen = atomic_exchange_explicit(&c->owner, OWNED_BY_POOL,
		    memory_order_relaxed);
		client_take_events(c, seen);
		if ((seen & (EVENT_READ | EVENT_GONE)) ||
		    (c->state == CLIENT_HANDSHAKE && c->readable))
			return false;
	}
}

/* Puts c on a list of the worker; true when the list was empty. */
static bool
push(_Atomic(struct client *) *list, struct client *c)
{
	struct client *top = atomic_load_explicit(list, memory_order_relaxed);

	do {
		c->next = top;
	} while (!atomic_compare_exchange_weak_explicit(list, &top, c,
	    memory_order_release, memory_order_relaxed));
	return top == NULL;
}

void
client_return(struct worker *w, struct client *c)
{
	/* The acceptor takes all at once: only the first has to wake it. */
	if (push(&w->returned, c))
		worker_wake(w);
}

void
client_brittle(struct client *c, bool brittle)
{
	const struct linger l = { .l_onoff = brittle, .l_linger = 0 };

	if (c->brittle == brittle)
		return;
	c->brittle = brittle;
	setsockopt(c->conn.fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void
client_finish(struct worker *w, struct client *c)
{
	/*
	 * Cut, mostly because the client does not read: the kernel is not to
	 * keep for it, for minutes, what it has of the answer.
	 */
	if (!outbound_empty(&c->out))
		client_brittle(c, true);
	if (c->left_us != 0) {
		tally(w, COUNT_BROKEN);
		tally_sent(w, c, clock_us());
	}
	record_sent(w, c, false);
	inbound_drop(w, c);
	outbound_drop(&c->out, &w->keep);
	/*
	 * The application may have forked: a child's copy of the socket would
	 * keep it in epoll, and its events would name another client.
	 */
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->conn.fd, NULL);
	if (c->peer != NULL)
		peers_closing(c->peer);
	probe_close(c->conn.fd);
	conn_close(&c->conn);
	c->state = CLIENT_CLOSED;
	push(&w->finished, c);
	/*
	 * Memory can wait for the next round; room for a client cannot.  In
	 * this order, and the acceptor the other way round: one of the two
	 * sees what the other did.
	 */
	atomic_fetch_sub(&w->score->connections, 1);
	if (atomic_load(&w->hungry) || atomic_load(&w->draining))
		worker_wake(w);
}

bool
client_vanished(const struct client *c, int64_t now_ms)
{
	(void)now_ms;
	return (atomic_load_explicit(&c->owner, memory_order_relaxed) &
		   EVENT_LOST) != 0;
}

/*
 * TCP does not tell a client that has left from one that ended its side and
 * waits for the answer, until something is sent: who has left answers with a
 * reset.  So one that has to wait gets what every answer begins with.
 */
#define DOUBT_MS 250

bool
client_doubtful(const struct client *c, int64_t now_ms)
{
	const struct inbound *in = c->in;

	return client_gone(c) && !c->sounded &&
	    now_ms - atomic_load_explicit(&c->queued_ms,
		memory_order_relaxed) >= DOUBT_MS &&
	    in->complete && inbound_is_all(in) && !c->lent &&
	    outbound_empty(&c->out);
}

bool
client_sound(struct client *c)
{
	struct iovec iov = { (void *)ANSWER_FIRST, sizeof(ANSWER_FIRST) - 1 };
	size_t put = 0;
	enum io io;

	c->sounded = true;
	io = c->conn.transport->write(&c->conn, &iov, 1, false, &put);
	c->begun = (uint8_t)put;
	return io == IO_OK || io == IO_AGAIN;
}

bool
client_gone(const struct client *c)
{
	return c->peer_closed ||
	    (atomic_load_explicit(&c->owner, memory_order_relaxed) &
		EVENT_GONE) != 0;
}
