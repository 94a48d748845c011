/* SPDX-License-Identifier: MIT */
#include "worker/later.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "net/listen.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/lead.h"
#include "worker/pool.h"
#include "worker/queue.h"
#include "worker/worker_private.h"

/*
 * So long at most, but for a thread that takes its time with the next one; and
 * only where as much is to be done for those that wait, so that nobody's
 * answer takes clearly longer for it.
 */
#define LATER_US 500
/* Where requests are shorter, clients are still awake from the last answer. */
#define LONG_US 20

/* What is about to be written ends the answer. */
static bool
is_end(const struct exchange *x)
{
	return x->ending ||
	    (x->length >= 0 && x->taken == (uint64_t)x->length);
}

bool
later_may(const struct exchange *x)
{
	const struct client *c = x->c;

	return x->keep_open && is_end(x) && c->conn.tls == NULL &&
	    !c->conn.listener->is_unix &&
	    atomic_load_explicit(&x->w->leader, memory_order_relaxed) !=
		LEADER_ACCEPTOR &&
	    queue_busy_us(x->w->queue) >= LONG_US &&
	    queue_ahead_us(x->w->queue) >= LATER_US;
}

/* An option that is on already: what is in the socket is sent. */
static void
send_fd(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void
later_send(struct later *l)
{
	unsigned count = atomic_load_explicit(&l->count, memory_order_relaxed);

	for (unsigned i = 0; i < count; i++)
		send_fd(atomic_load_explicit(&l->fds[i],
		    memory_order_relaxed));
	if (count > 0)
		atomic_store_explicit(&l->count, 0, memory_order_relaxed);
}

void
later_add(struct exchange *x)
{
	struct later *l = &x->later;
	unsigned count = atomic_load_explicit(&l->count, memory_order_relaxed);

	if (count == 0)
		atomic_store(&l->since_us, x->sent_us);
	atomic_store_explicit(&l->fds[count], x->c->conn.fd,
	    memory_order_relaxed);
	/*
	 * In this order, and the acceptor the other way round: one of the two
	 * sees what the other did.
	 */
	atomic_store(&l->count, count + 1);
	if (count + 1 == LATER_MAX ||
	    atomic_load(&x->w->leader) == LEADER_ACCEPTOR)
		later_send(l);
}

void
later_look(struct exchange *x)
{
	struct later *l = &x->later;

	if (atomic_load_explicit(&l->count, memory_order_relaxed) > 0 &&
	    x->ended_us - atomic_load_explicit(&l->since_us,
		memory_order_relaxed) >= LATER_US)
		later_send(l);
}

/*
 * Once: while its thread is stuck a connection may be closed, and what then
 * has its descriptor is not to be touched again and again.
 */
static void
send_for(struct later *l, int64_t before_us)
{
	int64_t since_us = atomic_load(&l->since_us);
	unsigned count = atomic_load(&l->count);

	if (count == 0 || since_us >= before_us)
		return;
	/* The thread is not stuck: it has begun anew. */
	if (atomic_load(&l->since_us) != since_us)
		return;
	if (l->sent_since_us != since_us) {
		l->sent_since_us = since_us;
		l->sent = 0;
	}
	for (; l->sent < count; l->sent++)
		send_fd(atomic_load_explicit(&l->fds[l->sent],
		    memory_order_relaxed));
}

void
later_send_all(const struct worker *w, int64_t before_us)
{
	for (size_t i = 0; i < (size_t)w->settings->threads; i++)
		send_for(pool_later(w->pool, i), before_us);
}
