/* SPDX-License-Identifier: MIT */
#include "worker/handshakes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/conf.h"
#include "worker/client.h"
#include "worker/contexts.h"
#include "worker/queue.h"
#include "worker/serve.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

struct handshakes {
	/* Constant after handshakes_start(). */
	struct worker *w;
	struct queue *queue;
	pthread_t id;
};

/*
 * The client has to speak next.  Without a message to the acceptor, unless
 * the timer may have run out meanwhile: then it has to be set again.  False:
 * it has already spoken.
 */
static bool
let_go(struct worker *w, struct client *c)
{
	if (clock_ms() + WHEEL_TICK_MS < c->deadline_ms)
		return client_release(c);
	client_return(w, c);
	return true;
}

/* POOL, for the time of the step, to ACCEPTOR or RETURNED. */
static void
step(struct worker *w, struct client *c)
{
	enum io io;

	if (c->conn.tls == NULL && !contexts_attach(w->contexts, &c->conn)) {
		client_finish(w, c);
		return;
	}
	do {
		c->readable = false;
		io = c->conn.transport->handshake(&c->conn);
	} while (io == IO_AGAIN && !let_go(w, c));
	switch (io) {
	case IO_OK:
		tally(w, c->conn.resumed ? COUNT_HANDSHAKES_RESUMED :
					   COUNT_HANDSHAKES_FULL);
		c->state = CLIENT_IDLE;
		c->fresh = true;
		c->deadline_ms = clock_coarse_ms() +
		    w->settings->header_timeout_ms;
		/* The first request may have come with the last message. */
		c->readable = true;
		client_return(w, c);
		return;
	case IO_AGAIN:
		return; /* it is the acceptor's */
	case IO_FOREIGN:
		tally(w, COUNT_HANDSHAKES_FAILED);
		if (refuse_plain(w, c, clock_coarse_ms()))
			client_return(w, c);
		else
			client_finish(w, c);
		return;
	default:
		tally(w, COUNT_HANDSHAKES_FAILED);
		client_finish(w, c);
	}
}

static void *
handshakes_main(void *arg)
{
	struct handshakes *h = arg;
	struct client *c;

	pthread_setname_np(pthread_self(), "handshakes");
	while ((c = queue_pop(h->queue)) != NULL)
		step(h->w, c);
	return NULL;
}

int
handshakes_start(struct worker *w, struct handshakes **out, struct err *err)
{
	struct handshakes *h = calloc(1, sizeof(*h));
	int rc = ENOMEM;

	*out = NULL;
	if (h == NULL)
		goto out;
	h->w = w;
	h->queue = queue_new(1, NULL);
	if (h->queue == NULL)
		goto out;
	rc = pthread_create(&h->id, NULL, handshakes_main, h);
	if (rc != 0)
		goto out;
	*out = h;
	return 0;
out:
	err_set(err, "thread for handshakes: %s", strerror(rc));
	if (h != NULL && h->queue != NULL) {
		queue_close(h->queue);
		queue_free(&h->queue);
	}
	free(h);
	return -1;
}

void
handshakes_push(struct handshakes *h, struct client *c)
{
	/* ACCEPTOR to QUEUE; its lock orders this before the thread's look. */
	atomic_store_explicit(&c->owner, OWNED_BY_POOL, memory_order_relaxed);
	queue_push(h->queue, c, c, 1);
}

void
handshakes_stop(struct handshakes **hp)
{
	struct handshakes *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	queue_close(h->queue);
	pthread_join(h->id, NULL);
	queue_free(&h->queue);
	free(h);
}
