/* SPDX-License-Identifier: MIT */
/*
 * Making room when there are as many clients as may be: whoever gives the
 * least has to go, so that clients that do nothing keep nobody out.  A hand
 * goes round the open clients, oldest first; the acceptor's thread.
 */
#include <linux/sockios.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "conf/conf.h"
#include "worker/acceptor_private.h"
#include "worker/client.h"
#include "worker/inbound.h"
#include "worker/serve.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

/*
 * Nobody has to go who did nothing for less than this.  When so many went
 * that all clients are others than before, less and less will do for a while.
 */
#define PATIENCE_MS 3000
#define PATIENCE_MIN_MS 100
#define HARD_TIMES_MS 10000
/* Who does something, but too slowly, has twice that: a round trip or two. */
#define SLOW_TIMES 2
#define SLOW_MIN_MS 500
/* Clients that are looked at for one place. */
#define LOOK_AT 1024

/* When the state of c began, whose deadline is that much later. */
static int64_t
since(const struct client *c, int64_t timeout_ms)
{
	return c->deadline_ms - timeout_ms;
}

/* How long c has been doing nothing, in ms. */
static int64_t
idle_ms(const struct acceptor *a, const struct client *c)
{
	const struct settings *s = a->w->settings;

	switch (c->state) {
	case CLIENT_HANDSHAKE:
		return a->now_ms - since(c, s->handshake_timeout_ms);
	case CLIENT_PROXY:
	case CLIENT_HEAD:
		return a->now_ms - since(c, s->header_timeout_ms);
	case CLIENT_IDLE:
		return a->now_ms - since(c, c->fresh ? s->header_timeout_ms
						     : s->keepalive_ms);
	case CLIENT_LINGER:
		return a->now_ms - c->slow.since_ms;
	default:
		return 0;
	}
}

/* Bytes that c sent of a body, or received of a response. */
static uint64_t
moved(const struct client *c)
{
	int waiting = 0;

	if (c->state == CLIENT_BODY)
		return c->in->body_total;
	/* What the kernel took is not yet what the client has. */
	if (ioctl(c->conn.fd, SIOCOUTQ, &waiting) != 0)
		waiting = 0;
	return c->sent - (uint64_t)waiting;
}

/*
 * Slower than the rate since the hand came by before: the grace, and what it
 * did once, are for when there is room.
 */
static bool
is_slow(const struct acceptor *a, struct client *c, int64_t rate)
{
	int64_t spent = a->now_ms - c->seen_ms;
	uint64_t now = moved(c), before = c->seen_bytes;
	bool first = c->seen_ms < c->slow.since_ms;

	if (rate == 0 || (!first && (spent < SLOW_MIN_MS ||
		spent < a->evict_after_ms * SLOW_TIMES)))
		return false;
	c->seen_ms = a->now_ms;
	c->seen_bytes = now;
	return !first && (now - before) * 1000 < (uint64_t)rate *
	    (uint64_t)spent;
}

static bool
may_go(const struct acceptor *a, struct client *c)
{
	const struct settings *s = a->w->settings;

	if (atomic_load_explicit(&c->owner, memory_order_acquire) != 0)
		return false;
	switch (c->state) {
	case CLIENT_BODY:
		return is_slow(a, c, s->body_min_rate_bytes);
	case CLIENT_FLUSH:
		return is_slow(a, c, s->send_min_rate_bytes);
	case CLIENT_READY:
	case CLIENT_CLOSED:
		return false;
	default:
		return idle_ms(a, c) >= a->evict_after_ms;
	}
}

/* The place is needed now: no lingering. */
static void
dismiss(struct acceptor *a, struct client *c)
{
	tally(a->w, COUNT_EVICTED);
	if (c->state == CLIENT_HEAD || c->state == CLIENT_BODY) {
		c->in->refusal = 408;
		c->in->reason = "others need the connection";
		refuse_client(a->w, c, a->now_ms);
	}
	tend_close(a, c);
}

static void
lose_patience(struct acceptor *a)
{
	if (++a->evicted < a->room)
		return;
	a->evicted = 0;
	a->evict_after_ms /= 2;
	if (a->evict_after_ms < PATIENCE_MIN_MS)
		a->evict_after_ms = PATIENCE_MIN_MS;
	a->hard_times_ms = a->now_ms + HARD_TIMES_MS;
}

bool
evict_one(struct acceptor *a)
{
	struct client *c = a->hand != NULL ? a->hand : a->oldest;

	if (a->now_ms >= a->hard_times_ms) {
		a->evict_after_ms = PATIENCE_MS;
		a->evicted = 0;
		a->hard_times_ms = a->now_ms + HARD_TIMES_MS;
	}
	for (int i = 0; c != NULL && i < LOOK_AT; i++) {
		struct client *newer = c->prev_open;

		a->hand = newer;
		if (may_go(a, c)) {
			dismiss(a, c);
			lose_patience(a);
			return true;
		}
		c = newer;
	}
	return false;
}

/* --- handshakes ----------------------------------------------------------- */

void
evict_opens(struct acceptor *a, struct client *c)
{
	c->opening = true;
	c->prev_opening = NULL;
	c->next_opening = a->opening;
	if (a->opening != NULL)
		a->opening->prev_opening = c;
	else
		a->opening_oldest = c;
	a->opening = c;
	a->opening_count++;
}

void
evict_opened(struct acceptor *a, struct client *c)
{
	if (!c->opening)
		return;
	c->opening = false;
	if (c->prev_opening != NULL)
		c->prev_opening->next_opening = c->next_opening;
	else
		a->opening = c->next_opening;
	if (c->next_opening != NULL)
		c->next_opening->prev_opening = c->prev_opening;
	else
		a->opening_oldest = c->prev_opening;
	a->opening_count--;
}

/*
 * Whoever stalls handshakes, of which each holds memory, only shortens the
 * time that the others have for theirs: the oldest goes.
 */
bool
evict_opening(struct acceptor *a)
{
	struct client *c = a->opening != NULL ? a->opening_oldest : NULL;

	for (int i = 0; c != NULL && i < LOOK_AT; i++) {
		struct client *newer = c->prev_opening;

		if (atomic_load_explicit(&c->owner, memory_order_acquire) ==
			0 && c->state == CLIENT_HANDSHAKE) {
			evict_opened(a, c);
			tend_close(a, c);
			return true;
		}
		c = newer;
	}
	return false;
}

void
evict_forget(struct acceptor *a, const struct client *c)
{
	if (a->hand == c)
		a->hand = c->prev_open;
}
