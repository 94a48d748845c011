/* SPDX-License-Identifier: MIT */
/*
 * Making room when worker_connections are there: whoever gives the least has
 * to go, so that clients that do nothing keep nobody out.  A hand goes round
 * the open clients, oldest first; the acceptor's thread.
 */
#include <stdatomic.h>

#include "conf/conf.h"
#include "worker/acceptor_private.h"
#include "worker/client.h"
#include "worker/inbound.h"
#include "worker/serve.h"
#include "worker/worker_private.h"

/* Nobody has to go who did nothing for less than this ... */
#define IDLE_MS 1000
/* ... or was slower than the rate that is asked for less than this. */
#define SLOW_MS 5000
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

/* Slower than the rate on average: the grace is for when there is room. */
static bool
is_slow(const struct acceptor *a, const struct client *c, int64_t rate)
{
	int64_t spent = c->slow.spent_ms + a->now_ms - c->slow.since_ms;

	return rate > 0 && spent >= SLOW_MS &&
	    c->slow.bytes * 1000 < (uint64_t)rate * (uint64_t)spent;
}

static bool
may_go(const struct acceptor *a, const struct client *c)
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
		return idle_ms(a, c) >= IDLE_MS;
	}
}

/* The place is needed now: no lingering. */
static void
dismiss(struct acceptor *a, struct client *c)
{
	if (c->state == CLIENT_HEAD || c->state == CLIENT_BODY) {
		c->in->refusal = 408;
		c->in->reason = "others need the connection";
		refuse_client(a->w, c, a->now_ms);
	}
	tend_close(a, c);
}

bool
evict_one(struct acceptor *a)
{
	struct client *c = a->hand != NULL ? a->hand : a->oldest;

	for (int i = 0; c != NULL && i < LOOK_AT; i++) {
		struct client *newer = c->prev_open;

		a->hand = newer;
		if (may_go(a, c)) {
			dismiss(a, c);
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
