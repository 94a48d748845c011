/* SPDX-License-Identifier: MIT */
/* Clients that the acceptor owns: events, deadlines, the end. */
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/must.h"
#include "base/probe.h"
#include "base/span.h"
#include "conf/conf.h"
#include "net/listen.h"
#include "worker/acceptor_private.h"
#include "worker/client.h"
#include "worker/handshakes.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/queue.h"
#include "worker/record.h"
#include "worker/scoreboard.h"
#include "worker/serve.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

/* How long one lingers that was idle, so that no answer is at stake. */
#define LINGER_IDLE_MS 1000
/* A lingering client may send so much before it is cut off. */
#define LINGER_BYTES (8 * 1024 * 1024)
/* ... and so much before the others have their turn. */
#define LINGER_TURN (256 * 1024)

/* After so long a connection under TLS is taken for idle. */
#define IDLE_MS 3000

void
tend_timer(struct acceptor *a, struct client *c)
{
	if (!wheel_is_set(&c->timer) || c->timer.deadline_ms > c->deadline_ms)
		wheel_set(&a->wheel, &c->timer, c->deadline_ms);
}

void
tend_close(struct acceptor *a, struct client *c)
{
	must(atomic_load_explicit(&c->owner, memory_order_relaxed) == 0);
	client_finish(a->w, c);
}

/*
 * The pool sets a deadline when it is done with a client, and tells nobody:
 * the timer must run out no later than that, to be set anew then.
 */
static void
bring_timer_forward(struct acceptor *a, struct client *c)
{
	int64_t wait = a->w->settings->keepalive_ms;

	/* It holds memory that it can do without when it is idle. */
	if (c->conn.tls != NULL && wait > IDLE_MS)
		wait = IDLE_MS;
	if (wait > 0 && c->timer.deadline_ms > a->now_ms + wait)
		wheel_set(&a->wheel, &c->timer, a->now_ms + wait);
}

/* Threads without a request, as of a moment ago. */
static size_t
free_threads(const struct worker *w)
{
	const struct heritage *h = w->heritage;
	size_t n = 0;

	for (size_t i = 0; i < scoreboard_threads(h->board); i++)
		if (atomic_load_explicit(
			&scoreboard_thread(h->board, h->slot, i)->started_ms,
			memory_order_relaxed) == 0)
			n++;
	return n;
}

/* More wait than queue_size allows, but for those that threads are to take. */
static bool
is_queue_full(const struct acceptor *a)
{
	int64_t limit = a->w->settings->queue_size;
	size_t waiting;

	if (limit == 0)
		return false;
	waiting = queue_length(a->w->queue) + a->batch_count;
	return waiting >= (size_t)limit &&
	    waiting >= (size_t)limit + free_threads(a->w);
}

void
tend_overload(struct acceptor *a, struct client *c, enum count_id why)
{
	bool full = why == COUNT_REFUSED_QUEUE_FULL;

	c->in->refusal = 503;
	c->in->reason = full ? "too many requests wait"
			     : "the request waited too long";
	c->in->overload = why;
	if (!full)
		tally(a->w, COUNT_TIMEOUT_QUEUE);
	refuse_client(a->w, c, a->now_ms);
	tend_client(a, c);
}

/* Notes when c came, and counts it once for each millisecond. */
static void
count_arrival(struct acceptor *a, struct client *c)
{
	a->asked++;
	if (atomic_load_explicit(&c->queued_ms, memory_order_relaxed) ==
	    a->now_ms)
		return;
	atomic_store_explicit(&c->queued_ms, a->now_ms, memory_order_relaxed);
	a->arrived++;
}

static void
hand_to_pool(struct acceptor *a, struct client *c)
{
	bring_timer_forward(a, c);
	c->state = CLIENT_READY;
	c->ready_us = a->now_us;
	probe_enqueue(c->conn.fd);
	count_arrival(a, c);
	c->next = NULL;
	if (c->peer_closed)
		a->somebody_left = true;
	/* The lock of the queue orders this before the pool's first look. */
	atomic_store_explicit(&c->owner, OWNED_BY_POOL, memory_order_relaxed);
	if (a->batch_first == NULL)
		a->batch_first = c;
	else
		a->batch_last->next = c;
	a->batch_last = c;
	a->batch_count++;
}

/* --- health --------------------------------------------------------------- */

/* The acceptor answers, so that it works when every thread hangs. */
static void
health(struct acceptor *a, struct client *c)
{
	answer_health(a->w, c, a->now_ms);
	if (c->state != CLIENT_IDLE)
		tend_client(a, c);
	else if (c->in != NULL || c->readable)
		tend_later(a, c);
	else
		tend_timer(a, c);
}

/* --- receiving ------------------------------------------------------------ */

/*
 * Asks epoll anew what to tell of c, which tells at once what there is to
 * tell.  False when that failed: c is closed, for nobody would hear of it.
 */
static bool
watch_again(struct acceptor *a, struct client *c, bool output)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.ptr = &c->source,
	};

	if (output)
		ev.events |= EPOLLOUT;
	c->watches_output = output;
	if (epoll_ctl(a->epoll, EPOLL_CTL_MOD, c->conn.fd, &ev) == 0)
		return true;
	tend_close(a, c);
	return false;
}

/*
 * Half a request is there, or nothing after all.  Should the last read have
 * left bytes behind, no edge would tell of them: asking once more is cheap
 * where it is rare.
 */
static void
await_more(struct acceptor *a, struct client *c)
{
	if (c->readable)
		tend_later(a, c);
	else if (watch_again(a, c, false))
		tend_timer(a, c);
}

static void
receive(struct acceptor *a, struct client *c)
{
	if (!c->readable && c->in == NULL)
		return;
	switch (inbound_step(a->w, c, a->now_ms)) {
	case INBOUND_READY:
		if (asks_health(a->w, c))
			health(a, c);
		else if (is_queue_full(a))
			tend_overload(a, c, COUNT_REFUSED_QUEUE_FULL);
		else
			hand_to_pool(a, c);
		return;
	case INBOUND_MORE:
		await_more(a, c);
		return;
	case INBOUND_REFUSE:
		refuse_client(a->w, c, a->now_ms);
		tend_client(a, c);
		return;
	case INBOUND_END:
		if (c->state == CLIENT_BODY)
			finish_vanished(a->w, c);
		else
			tend_close(a, c);
		return;
	}
}

/* --- sending what was left ------------------------------------------------ */

static void
next_request(struct acceptor *a, struct client *c)
{
	if (c->in != NULL && c->in->head_done) { /* its body is under way */
		c->state = CLIENT_BODY;
		c->slow = (struct slow){ .since_ms = a->now_ms,
			.bytes = c->in->body_total };
		c->deadline_ms = a->now_ms +
		    slow_body_ms(a->w->settings, &c->slow, a->now_ms);
	} else {
		c->state = CLIENT_IDLE;
		c->deadline_ms = a->now_ms + a->w->settings->keepalive_ms;
	}
	tend_timer(a, c);
	receive(a, c);
}

/* The output of c is sent. */
static void
flushed(struct acceptor *a, struct client *c)
{
	tally_sent(a->w, c, a->now_us);
	record_sent(a->w, c, true);
	/* Keep-alive was promised: a drain ends it once it is idle. */
	if (c->keep) {
		next_request(a, c);
		return;
	}
	inbound_drop(a->w, c);
	linger_client(c, a->now_ms);
	tend_client(a, c);
}

static void
flush(struct acceptor *a, struct client *c)
{
	uint64_t put;
	enum io io = outbound_flush(&c->out, &a->w->keep, &c->conn, &put);

	if (io == IO_ERROR || io == IO_EOF) {
		tend_close(a, c);
		return;
	}
	c->slow.bytes += put;
	c->sent += put;
	if (outbound_empty(&c->out)) {
		flushed(a, c);
		return;
	}
	if (put > 0)
		c->deadline_ms = a->now_ms +
		    slow_wait_ms(a->w->settings, &c->slow, a->now_ms);
	if (io == IO_OK)
		tend_later(a, c);
	else if (watch_again(a, c, true))
		tend_timer(a, c);
}

/* --- reading to the end --------------------------------------------------- */

/* What the kernel has of the response and the client has not. */
static int
unread(const struct client *c)
{
	struct pollfd p = { .fd = c->conn.fd };
	int waiting = 0;

	poll(&p, 1, 0);
	if ((p.revents & POLLERR) != 0 || /* it has gone */
	    ioctl(c->conn.fd, SIOCOUTQ, &waiting) != 0)
		return 0;
	return waiting > 1 ? waiting : 0; /* the end counts as one */
}

/*
 * The time to linger is over, and what the client sends from now on would be
 * answered by a reset, with which it may lose what it has not read.  Who has
 * sent something meanwhile may go on to: while it still receives, and not too
 * slowly, it has more; and once more when it has received all.
 */
static void
linger_on(struct acceptor *a, struct client *c)
{
	int before = c->unread;
	int64_t left = LINGER_MS;

	c->unread = unread(c);
	if (c->drained == 0 || before == 0 ||
	    (c->unread == 0 && before == INT_MAX)) {
		tend_close(a, c);
		return;
	}
	if (c->unread < before) {
		c->slow.spent_ms += a->now_ms - c->slow.since_ms;
		c->slow.since_ms = a->now_ms;
		if (before != INT_MAX)
			c->slow.bytes += (uint64_t)(before - c->unread);
	}
	if (c->unread > 0) /* from the last progress on */
		left = slow_wait_ms(a->w->settings, &c->slow,
			   c->slow.since_ms) -
		    (a->now_ms - c->slow.since_ms);
	if (left <= 0) {
		tally(a->w, COUNT_TIMEOUT_SEND);
		tend_close(a, c);
		return;
	}
	c->deadline_ms = a->now_ms + (left < LINGER_MS ? left : LINGER_MS);
	tend_timer(a, c);
}

static void
linger(struct acceptor *a, struct client *c)
{
	char scratch[16384];
	uint64_t before = c->drained;
	bool drained;
	size_t got;

	tend_timer(a, c);
	/* Enough was read; the rest has to wait in the socket. */
	if (c->drained > LINGER_BYTES)
		return;
	while (c->readable) {
		enum io io = c->conn.transport->read(&c->conn, scratch,
		    sizeof(scratch), &got, &drained);

		if (io == IO_AGAIN) {
			c->readable = false;
			return;
		}
		c->drained += got;
		if (io != IO_OK ||
		    (c->drained > LINGER_BYTES && unread(c) == 0)) {
			tend_close(a, c);
			return;
		}
		if (c->drained > LINGER_BYTES)
			return;
		c->readable = !drained || c->peer_closed;
		if (c->readable && c->drained - before >= LINGER_TURN) {
			tend_later(a, c);
			return;
		}
	}
}

/* --- turns ---------------------------------------------------------------- */

void
tend_later(struct acceptor *a, struct client *c)
{
	/* As if the pool had it, so that events only set their bits. */
	atomic_store_explicit(&c->owner, OWNED_BY_POOL, memory_order_relaxed);
	client_return(a->w, c);
}

/* --- opening -------------------------------------------------------------- */

static void
handshake(struct acceptor *a, struct client *c)
{
	tend_timer(a, c);
	if (!c->readable)
		return;
	c->readable = c->fresh = false;
	handshakes_push(a->w->handshakes, c);
}

void
tend_client(struct acceptor *a, struct client *c)
{
	if (c->opening && c->state != CLIENT_HANDSHAKE)
		evict_opened(a, c);
	switch (c->state) {
	case CLIENT_PROXY:
		tend_announced(a, c);
		return;
	case CLIENT_HANDSHAKE:
		handshake(a, c);
		return;
	case CLIENT_IDLE:
	case CLIENT_HEAD:
	case CLIENT_BODY:
		receive(a, c);
		return;
	case CLIENT_FLUSH:
		flush(a, c);
		return;
	case CLIENT_LINGER:
		linger(a, c);
		return;
	case CLIENT_READY:
	case CLIENT_CLOSED:
		return;
	}
}

/* --- deadlines ------------------------------------------------------------ */

static void
refuse_late(struct acceptor *a, struct client *c)
{
	c->in->refusal = 408;
	tally(a->w, c->state == CLIENT_HEAD ? COUNT_TIMEOUT_HEAD
					    : COUNT_TIMEOUT_BODY);
	c->in->reason = c->state == CLIENT_HEAD
	    ? "the head of the request did not arrive in time"
	    : "the body of the request did not arrive in time";
	refuse_client(a->w, c, a->now_ms);
	tend_client(a, c);
}

/*
 * A request that came at the last moment, and no event has told of yet.
 * Under TLS bytes need not be a request: that counts but once.
 */
static bool
has_come(struct client *c)
{
	char first;
	size_t got;

	if (c->conn.listener->tls && c->reprieved)
		return false;
	c->reprieved = true;
	return conn_peek(&c->conn, &first, 1, &got) == IO_OK;
}

void
tend_expired(struct acceptor *a, struct client *c)
{
	switch (c->state) {
	case CLIENT_IDLE:
		if (has_come(c)) {
			c->readable = true;
			tend_client(a, c);
			return;
		}
		tally(a->w, c->fresh ? COUNT_TIMEOUT_HEAD
				     : COUNT_TIMEOUT_KEEPALIVE);
		if (c->fresh) {
			tend_close(a, c);
			return;
		}
		/* A request may be on its way: let the client see the end. */
		linger_client(c, a->now_ms);
		c->unread = 0;
		c->deadline_ms = a->now_ms + LINGER_IDLE_MS;
		tend_client(a, c);
		return;
	case CLIENT_HEAD:
	case CLIENT_BODY:
		refuse_late(a, c);
		return;
	case CLIENT_PROXY:
		tally(a->w, COUNT_TIMEOUT_HEAD);
		tend_close(a, c);
		return;
	case CLIENT_HANDSHAKE:
		tally(a->w, COUNT_TIMEOUT_HANDSHAKE);
		tend_close(a, c);
		return;
	case CLIENT_FLUSH:
		tally(a->w, COUNT_TIMEOUT_SEND);
		tend_close(a, c);
		return;
	case CLIENT_LINGER:
		linger_on(a, c);
		return;
	default:
		tend_close(a, c);
	}
}
