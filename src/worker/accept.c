/* SPDX-License-Identifier: MIT */
/* Accepting connections, no more than this worker's share of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/probe.h"
#include "conf/conf.h"
#include "log/log.h"
#include "net/listen.h"
#include "worker/acceptor_private.h"
#include "worker/client.h"
#include "worker/heritage.h"
#include "worker/peers.h"
#include "worker/scoreboard.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

/* Accepted at once, before the clients that are here get a turn. */
#define ACCEPT_BURST 32
/* A pause when the system has no descriptor or memory left ... */
#define PAUSE_RESOURCE_MS 100
/* ... and when none of its clients could make room. */
#define PAUSE_FULL_MS WHEEL_TICK_MS
/* Who has begun to connect when this worker stops gets so long to do it ... */
#define LATECOMERS_MS 100
/* ... if anybody came that shortly before. */
#define BUSY_MS 2000
#define COMPLAIN_EVERY_MS 10000

static uint32_t
held(const struct acceptor *a)
{
	return atomic_load(&a->w->score->connections);
}

static bool
is_full(const struct acceptor *a)
{
	return held(a) >= (uint64_t)a->room;
}

static void
pause_for(struct acceptor *a, int64_t ms)
{
	a->resume_ms = a->now_ms + ms;
}

static struct client *
client_take(struct acceptor *a)
{
	struct client *c = a->spare;

	if (c == NULL)
		return malloc(sizeof(*c));
	a->spare = c->next;
	return c;
}

static void
client_put(struct acceptor *a, struct client *c)
{
	c->next = a->spare;
	a->spare = c;
}

static void
enter(struct acceptor *a, struct client *c)
{
	c->next_open = a->open;
	if (a->open != NULL)
		a->open->prev_open = c;
	else
		a->oldest = c;
	a->open = c;
	atomic_fetch_add_explicit(&a->w->score->connections, 1,
	    memory_order_relaxed);
	tally(a->w, COUNT_ACCEPTED);
}

/*
 * Output is asked for only when some is left over: a registration for it
 * would raise an edge for each new connection.  A handshake writes too.
 */
static bool
watch(struct acceptor *a, struct client *c)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.ptr = &c->source,
	};

	c->watches_output = c->conn.listener->tls;
	if (c->watches_output)
		ev.events |= EPOLLOUT;
	return epoll_ctl(a->epoll, EPOLL_CTL_ADD, c->conn.fd, &ev) == 0;
}

static void
complain(struct acceptor *a, const char *what)
{
	if (a->complained_ms + COMPLAIN_EVERY_MS > a->now_ms)
		return;
	a->complained_ms = a->now_ms;
	log_warning("Accepting pauses: %s", what);
}

/* What does not pass is the doing of who has put us into a sandbox. */
static void
complain_of_accept(struct acceptor *a, int error)
{
	char text[128];

	if (error == EPERM || error == EACCES || error == ENOSYS) {
		snprintf(text, sizeof(text),
		    "accept4() is forbidden, by a filter of system calls or a "
		    "firewall: %s", strerror(error));
		complain(a, text);
	} else {
		complain(a, strerror(error));
	}
}

/* False when the address of c has as many connections as it may. */
static bool
enter_address(struct acceptor *a, struct client *c)
{
	if (a->peers == NULL || c->conn.listener->is_unix)
		return true;
	c->peer = peers_enter(a->peers, &c->conn.peer);
	return c->peer != NULL;
}

/* c goes as it came, before anything was registered. */
static void
turn_away(struct acceptor *a, struct client *c)
{
	if (c->peer != NULL) {
		peers_closing(c->peer);
		peers_leave(a->peers, c->peer);
	}
	conn_close(&c->conn);
	client_put(a, c);
}

static void
begin(struct acceptor *a, struct client *c)
{
	const struct settings *s = a->w->settings;

	/* Under TLS a handshake comes first, once the client says something. */
	c->state = c->conn.listener->tls ? CLIENT_HANDSHAKE : CLIENT_IDLE;
	c->fresh = true;
	c->deadline_ms = a->now_ms +
	    (c->conn.listener->tls ? s->handshake_timeout_ms
				   : s->header_timeout_ms);
}

/*
 * For one handshake too many the oldest that waits for its client is given
 * up; when all wait for this machine, that has to come first.
 */
static void
bound_handshakes(struct acceptor *a, struct client *c)
{
	bool full = a->opening_count >= a->w->settings->max_handshakes;

	if (full && !evict_opening(a))
		pause_for(a, PAUSE_FULL_MS);
	evict_opens(a, c);
}

/* A PROXY header comes first, from who may send one or not. */
static void
announce(struct acceptor *a, struct client *c)
{
	c->state = CLIENT_PROXY;
	c->fresh = true;
	c->deadline_ms = a->now_ms + a->w->settings->header_timeout_ms;
}

bool
accept_admit(struct acceptor *a, struct client *c)
{
	begin(a, c);
	if (!enter_address(a, c)) {
		tally(a->w, COUNT_REFUSED_ADDRESS);
		return false;
	}
	if (c->state == CLIENT_HANDSHAKE)
		bound_handshakes(a, c);
	tend_timer(a, c);
	return true;
}

/* 1: took one, 0: nothing there, -1: cannot at present. */
static int
accept_one(struct acceptor *a, const struct listener *l)
{
	struct client *c = client_take(a);

	if (c == NULL) {
		complain(a, "out of memory");
		return -1;
	}
	memset(c, 0, sizeof(*c));
	if (conn_accept(&c->conn, l) != 0) {
		int error = errno;

		client_put(a, c);
		if (error == EAGAIN || error == EWOULDBLOCK)
			return 0;
		complain_of_accept(a, error);
		return -1;
	}
	c->source.kind = SOURCE_CLIENT;
	if (l->proxy_versions != 0)
		announce(a, c);
	else
		begin(a, c);
	if (c->state != CLIENT_PROXY && !enter_address(a, c)) {
		turn_away(a, c);
		tally(a->w, COUNT_REFUSED_ADDRESS);
		return 1;
	}
	if (!watch(a, c)) {
		complain(a, strerror(errno));
		turn_away(a, c);
		return -1;
	}
	enter(a, c);
	a->accepted_ms = a->now_ms;
	probe_accept(c->conn.fd);
	if (c->state == CLIENT_HANDSHAKE)
		bound_handshakes(a, c);
	tend_timer(a, c);
	return 1;
}

/* 1: took one, 0: there is none or it is not for us, -1: cannot now. */
static int
take_next(struct acceptor *a, const struct listener *l)
{
	int rc;

	if (a->resume_ms > a->now_ms || spread_leaves(a))
		return 0;
	if (is_full(a) && !evict_one(a)) {
		a->evict_ms = a->now_ms + PAUSE_FULL_MS;
		return 0;
	}
	rc = accept_one(a, l);
	if (rc < 0)
		pause_for(a, PAUSE_RESOURCE_MS);
	return rc;
}

static bool set_listening(struct acceptor *a, struct listening *l, bool on);

/*
 * The kernel wakes whoever has waited for the longest time since this was
 * called last: each worker in turn, while all have as much to do.
 */
static void
line_up(struct acceptor *a, struct listening *l)
{
	if (!a->spread || !l->registered)
		return;
	l->registered = false;
	set_listening(a, l, false);
	l->registered = set_listening(a, l, true);
	if (!l->registered)
		a->unsettled = true;
}

void
accept_some(struct acceptor *a, struct listening *l)
{
	unsigned before = a->taken;

	for (int i = 0; i < ACCEPT_BURST && take_next(a, l->listener) > 0; i++)
		a->taken++;
	if (a->taken != before)
		line_up(a, l);
}

void
accept_from_all(struct acceptor *a)
{
	for (size_t i = 0; i < a->listening_count; i++)
		accept_some(a, &a->listening[i]);
}

/*
 * Those that were only bound so far: with reuse_port the socket is this
 * worker's own, and while the application loaded, clients went to those that
 * can serve.  Others took the place of an older one, or were not to listen
 * before somebody serves.
 */
static void
listen_on_bound(struct acceptor *a, const struct listener *l)
{
	const struct settings *s = a->w->settings;

	if (((s->reuse_port && !l->is_unix && !l->inherited) || l->held) &&
	    listen(l->fd, (int)s->backlog) != 0)
		log_error("listen on %s: %s", l->name, strerror(errno));
}

/*
 * EPOLLEXCLUSIVE: a connection wakes one worker.  Level-triggered, so that
 * what one worker leaves is seen by the next.
 */
static bool
set_listening(struct acceptor *a, struct listening *l, bool on)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.ptr = &l->source,
	};

	if (on)
		listen_on_bound(a, l->listener);
	return epoll_ctl(a->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
		   l->listener->fd, &ev) == 0;
}

/* One that fails makes a pause, and is tried again. */
static void
set_registered(struct acceptor *a, bool on)
{
	for (size_t i = 0; i < a->listening_count; i++) {
		struct listening *l = &a->listening[i];

		if (l->registered == on)
			continue;
		if (!set_listening(a, l, on)) {
			complain(a, strerror(errno));
			pause_for(a, PAUSE_RESOURCE_MS);
			a->unsettled = true;
			continue;
		}
		l->registered = on;
	}
	a->registered = on;
}

void
accept_adjust(struct acceptor *a)
{
	bool full = is_full(a), wanted;

	a->taken = 0;
	if (a->drain_end_ms != CLOCK_NEVER)
		return;
	spread_resume(a);
	wanted = a->resume_ms <= a->now_ms &&
	    (!full || a->evict_ms <= a->now_ms);
	if (atomic_load_explicit(&a->w->hungry, memory_order_relaxed) != full)
		atomic_store(&a->w->hungry, full);
	/* One may have been closed before that, by one who saw no hunger. */
	if (full && !is_full(a))
		wanted = a->resume_ms <= a->now_ms;
	/* What was left would have shown itself in this round. */
	if (wanted && a->registered) {
		a->left_times = 0;
		a->circled = 0;
		a->left_ms = 0;
	}
	if (wanted == a->registered && !a->unsettled)
		return;
	a->unsettled = false;
	set_registered(a, wanted);
}

/*
 * The last worker that closes them makes the kernel refuse new clients,
 * which would wait in vain otherwise.
 */
static void
close_listeners(struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;

	for (size_t i = 0; i < h->listener_count; i++)
		fd_close(&h->listeners[i]->fd);
	a->listening_count = 0;
}

/* True when nobody waits any more, as far as we can tell. */
static bool
take_all(struct acceptor *a)
{
	for (size_t i = 0; i < a->listening_count; i++) {
		int rc = 1;

		while (rc > 0 && !is_full(a))
			rc = accept_one(a, a->listening[i].listener);
		if (rc != 0)
			return false;
	}
	return true;
}

/* Whether a client may be about to connect who is not to be reset. */
static bool
has_latecomers(const struct acceptor *a)
{
	bool own = a->w->settings->reuse_port &&
	    getppid() == a->w->heritage->arbiter;

	if (a->accepted_ms == 0 ||
	    a->now_ms > a->accepted_ms + BUSY_MS)
		return false;
	for (size_t i = 0; i < a->listening_count; i++) {
		const struct listener *l = a->listening[i].listener;

		if (listen_is_quiet(l) || (own && listen_quiet(l)))
			return true;
	}
	return false;
}

void
accept_stop(struct acceptor *a)
{
	if (a->registered)
		set_registered(a, false);
	a->close_ms = a->now_ms + (has_latecomers(a) ? LATECOMERS_MS : 0);
	accept_rest(a);
}

void
accept_rest(struct acceptor *a)
{
	if (a->listening_count > 0 && take_all(a) && a->now_ms >= a->close_ms)
		close_listeners(a);
}
