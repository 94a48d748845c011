/* SPDX-License-Identifier: MIT */
#include "worker/acceptor.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/must.h"
#include "conf/conf.h"
#include "log/access.h"
#include "log/log.h"
#include "log/statsd.h"
#include "worker/acceptor_private.h"
#include "worker/client.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/lead.h"
#include "worker/loan.h"
#include "worker/peers.h"
#include "worker/pool.h"
#include "worker/queue.h"
#include "worker/record.h"
#include "worker/scoreboard.h"
#include "worker/serve.h"
#include "worker/signals.h"
#include "worker/tally.h"
#include "worker/watchdog.h"
#include "worker/worker.h"
#include "worker/worker_private.h"

/* Events that one epoll_wait brings at most. */
#define EVENTS_MAX 256
/* The system had no memory to wait with: a moment later it may have. */
#define FAILED_WAIT_NS (10 * 1000 * 1000)
/* The acceptor shows signs of life at least so often. */
#define BEAT_MS 1000
/* How long metrics are gathered before they are sent. */
#define METRICS_MS 500
/* Clients that wait while threads sleep are looked after so soon. */
#define PATIENT_MS 1
/*
 * When this many clients asked in the last millisecond, most of them once, it
 * looks at what comes at most so often.  Who asks again and again is not kept.
 */
#define CROWD 8
#define GATHER_US 200
/* How exactly that is kept: by default it is 50 us. */
#define TIMER_SLACK_NS 1000
/* While the pool has enough to do, what comes is looked at so soon. */
#define REST_MAX_US 500
/* While clients wait, their age is looked at so often. */
#define QUEUE_LOOK_MS 50
/* While it leaves, clients that say nothing for so long are closed. */
#define DRAIN_IDLE_MS 2000
/* ... and who has begun a handshake or a head gets so long to end it. */
#define DRAIN_HEAD_MS 5000
/* It ends itself so much before the arbiter does. */
#define DRAIN_EARLY_MS 250

static int
add_source(struct acceptor *a, int fd, struct source *source)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = source };

	return epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int
count_addresses(struct acceptor *a)
{
	const struct settings *s = a->w->settings;

	if (s->address_connections == 0)
		return 0;
	a->peers = peers_new((size_t)s->address_connections,
	    (unsigned)s->address_prefix_v6);
	return a->peers != NULL ? 0 : -1;
}

static int
add_listeners(struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;

	a->listening = calloc(h->listener_count, sizeof(*a->listening));
	if (a->listening == NULL)
		return -1;
	for (size_t i = 0; i < h->listener_count; i++) {
		a->listening[i].source.kind = SOURCE_LISTENER;
		a->listening[i].listener = h->listeners[i];
	}
	a->listening_count = h->listener_count;
	return 0;
}

/*
 * Connections are shared among workers that listen on the same sockets.
 * What one leaves wakes one of the others.
 */
static int
share_listeners(struct acceptor *a)
{
	const struct settings *s = a->w->settings;
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE,
		.data.ptr = &a->left,
	};

	a->spread = s->accept_balance && !s->reuse_port;
	a->starved_ms = CLOCK_NEVER;
	a->left.kind = SOURCE_LEFT;
	if (!a->spread)
		return 0;
	return epoll_ctl(a->epoll, EPOLL_CTL_ADD,
	    scoreboard_left(a->w->heritage->board), &ev);
}

struct acceptor *
acceptor_new(struct worker *w, struct err *err)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	if (a == NULL)
		goto failed;
	a->w = w;
	w->acceptor = a;
	a->epoll = w->epoll = epoll_create1(EPOLL_CLOEXEC);
	a->wake.kind = SOURCE_WAKE;
	a->now_ms = clock_ms();
	a->drain_end_ms = a->idle_close_ms = a->patient_ms = CLOCK_NEVER;
	a->watch_ms = a->held_ms = CLOCK_NEVER;
	a->busy = UINT_MAX; /* the title says nothing of it yet */
	a->complained_ms = INT64_MIN / 2;
	a->room = worker_room(w->settings);
	wheel_init(&a->wheel, a->now_ms);
	if (a->epoll >= 0 && add_source(a, w->wake_fd, &a->wake) == 0 &&
	    add_listeners(a) == 0 && share_listeners(a) == 0 &&
	    count_addresses(a) == 0)
		return a;
failed:
	err_sys(err, "acceptor");
	acceptor_free(&a);
	return NULL;
}

/* --- clients that come back, and memory ----------------------------------- */

static struct client *
take_list(_Atomic(struct client *) *list)
{
	if (atomic_load_explicit(list, memory_order_relaxed) == NULL)
		return NULL;
	return atomic_exchange_explicit(list, NULL, memory_order_acquire);
}

static void
take_returned(struct acceptor *a)
{
	struct client *c = take_list(&a->w->returned), *next;

	for (; c != NULL; c = next) {
		next = c->next;
		/* RETURNED to ACCEPTOR. */
		client_take_events(c, atomic_exchange_explicit(&c->owner, 0,
		    memory_order_acquire));
		tend_timer(a, c); /* it may be out of hand again soon */
		tend_client(a, c);
	}
}

static void
reclaim(struct acceptor *a)
{
	struct client *c = take_list(&a->w->finished), *next;

	for (; c != NULL; c = next) {
		next = c->next;
		wheel_clear(&a->wheel, &c->timer);
		if (c->peer != NULL)
			peers_leave(a->peers, c->peer);
		evict_forget(a, c);
		evict_opened(a, c);
		if (c->prev_open != NULL)
			c->prev_open->next_open = c->next_open;
		else
			a->open = c->next_open;
		if (c->next_open != NULL)
			c->next_open->prev_open = c->prev_open;
		else
			a->oldest = c->prev_open;
		c->next = a->spare;
		a->spare = c;
	}
}

static void
push_batch(struct acceptor *a)
{
	if (a->batch_count == 0)
		return;
	a->handed = (unsigned)a->batch_count;
	/* ACCEPTOR to QUEUE. */
	queue_push(a->w->queue, a->batch_first, a->batch_last,
	    a->batch_count);
	a->batch_first = a->batch_last = NULL;
	a->batch_count = 0;
	if (a->watch_ms == CLOCK_NEVER && watchdog_wanted(a->w->settings))
		a->watch_ms = a->now_ms + WATCHDOG_LOOK_MS;
}

/* Requests that waited too long are answered without the application. */
static void
expire_queue(struct acceptor *a)
{
	int64_t timeout = a->w->settings->queue_timeout_ms;
	struct client *c, *next;

	if (timeout == 0 || queue_length(a->w->queue) == 0)
		return;
	for (c = queue_expire(a->w->queue, a->now_ms - timeout); c != NULL;
	     c = next) {
		next = c->next;
		/* QUEUE to ACCEPTOR. */
		client_take_events(c, atomic_exchange_explicit(&c->owner, 0,
		    memory_order_acquire));
		tend_overload(a, c, COUNT_REFUSED_QUEUE_TIMEOUT);
	}
}

/* Whether those are there that have ended their side, the next look tells. */
static void
sound_queue(struct acceptor *a)
{
	struct client *c, *next, *kept = NULL, **end = &kept;

	for (c = queue_doubtful(a->w->queue, a->now_ms); c != NULL; c = next) {
		next = c->next;
		/* QUEUE to ACCEPTOR, and back. */
		if (client_sound(c)) {
			*end = c;
			end = &c->next;
		} else {
			atomic_store_explicit(&c->owner, 0,
			    memory_order_relaxed);
			finish_vanished(a->w, c);
		}
	}
	*end = NULL;
	queue_put_back(a->w->queue, kept);
}

/*
 * Requests that wait for nobody make room for others at once.  Looked for
 * only after an event told that a client left, and now and then at most.
 */
static void
sweep_queue(struct acceptor *a)
{
	struct client *c, *next;

	if (queue_length(a->w->queue) == 0) {
		a->somebody_left = false;
		return;
	}
	if (!a->somebody_left || a->now_ms < a->sweep_ms)
		return;
	a->sweep_ms = a->now_ms + QUEUE_LOOK_MS;
	for (c = queue_vanished(a->w->queue, a->now_ms); c != NULL; c = next) {
		next = c->next;
		/* QUEUE to ACCEPTOR. */
		atomic_store_explicit(&c->owner, 0, memory_order_relaxed);
		finish_vanished(a->w, c);
	}
	sound_queue(a);
}

/*
 * The queue left threads asleep; it has to prove right: those who wait now
 * have to be served a moment later.
 */
static void
watch_queue(struct acceptor *a)
{
	struct queue *q = a->w->queue;

	if (!queue_is_patient(q)) {
		a->patient_ms = CLOCK_NEVER;
		return;
	}
	if (a->patient_ms != CLOCK_NEVER) {
		if (a->now_ms <= a->patient_ms)
			return;
		if (queue_taken(q) < a->patient_goal)
			queue_nudge(q);
	}
	a->patient_ms = a->now_ms;
	a->patient_goal = queue_goal(q);
}

/*
 * Answers that a thread holds, because it goes on with a request that was
 * there already, are sent if it takes its time with that.
 */
static void
watch_held(struct acceptor *a)
{
	struct worker *w = a->w;

	if (!atomic_load_explicit(&w->holding, memory_order_relaxed))
		return;
	if (a->held_ms == CLOCK_NEVER) {
		a->held_ms = a->now_ms;
		return;
	}
	if (a->now_ms <= a->held_ms)
		return;
	a->held_ms = CLOCK_NEVER;
	atomic_store(&w->holding, false);
	for (size_t i = 0; i < (size_t)w->settings->threads; i++) {
		struct client *c = pool_held(w->pool, i);

		if (c != NULL)
			loan_flush(w, c);
	}
}

static void
watch_requests(struct acceptor *a)
{
	if (a->now_ms < a->watch_ms)
		return;
	a->watch_ms = watchdog_look(a->w->watchdog, a->now_ms)
	    ? a->now_ms + WATCHDOG_LOOK_MS
	    : CLOCK_NEVER;
}

/* --- events --------------------------------------------------------------- */

static uint32_t
bits_of(uint32_t events)
{
	uint32_t bits = 0;

	if (events & EPOLLIN)
		bits |= EVENT_READ;
	if (events & EPOLLOUT)
		bits |= EVENT_WRITE;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		bits |= EVENT_GONE;
	if (events & (EPOLLHUP | EPOLLERR))
		bits |= EVENT_LOST;
	return bits;
}

static void
client_event(struct acceptor *a, struct client *c, uint32_t events)
{
	uint32_t bits = bits_of(events);

	/* Only the acceptor makes it non-zero, so zero is certain. */
	if (atomic_load_explicit(&c->owner, memory_order_acquire) != 0) {
		uint32_t before = atomic_fetch_or(&c->owner, bits);

		if (bits & EVENT_GONE)
			a->somebody_left = true;
		if (before & OWNED_BY_POOL) {
			/* Who clears the word will see the bits. */
			if (bits & EVENT_WRITE)
				loan_flush(a->w, c);
			return;
		}
		/* It was released in between: POOL to ACCEPTOR. */
		atomic_store_explicit(&c->owner, 0, memory_order_relaxed);
	}
	if (c->state == CLIENT_CLOSED)
		return; /* an event of this batch made it so */
	client_take_events(c, bits);
	tend_client(a, c);
}

static void
dispatch(struct acceptor *a, const struct epoll_event *ev)
{
	struct source *s = ev->data.ptr;
	uint64_t count;

	switch (s->kind) {
	case SOURCE_CLIENT:
		client_event(a, (struct client *)(void *)s, ev->events);
		return;
	case SOURCE_LISTENER:
		accept_some(a, (struct listening *)(void *)s);
		return;
	case SOURCE_LEFT:
		spread_look(a);
		return;
	case SOURCE_WAKE:
		if (read(a->w->wake_fd, &count, sizeof(count)) < 0)
			return; /* it stays readable: the next round tries */
		return;
	}
}

/* --- deadlines ------------------------------------------------------------ */

static struct client *
client_of(struct timer *t)
{
	return (struct client *)(void *)((char *)t -
	    offsetof(struct client, timer));
}

static void
run_timers(struct acceptor *a)
{
	struct timer *t;

	while ((t = wheel_due(&a->wheel, a->now_ms)) != NULL) {
		struct client *c = client_of(t);

		if (atomic_load_explicit(&c->owner, memory_order_acquire) !=
		    0) {
			/*
			 * The pool has it, and says nothing when it releases
			 * it, from now on for at least this long.
			 */
			int64_t wait = a->w->settings->keepalive_ms;

			wheel_set(&a->wheel, t,
			    a->now_ms + (wait > WHEEL_TICK_MS ? wait
							     : WHEEL_TICK_MS));
		} else if (c->state == CLIENT_CLOSED) {
			continue;
		} else if (c->deadline_ms > a->now_ms) {
			if (c->state == CLIENT_IDLE)
				c->conn.transport->idle(&c->conn);
			wheel_set(&a->wheel, t, c->deadline_ms);
		} else {
			tend_expired(a, c);
		}
	}
}

/* --- leaving -------------------------------------------------------------- */

/*
 * The arbiter's clock began to run a moment before ours, and at its end comes
 * a SIGKILL, after which nothing can be logged.
 */
static int64_t
drain_ms(const struct worker *w)
{
	int64_t whole = w->settings->graceful_timeout_ms, early = whole / 10;

	return whole - (early < DRAIN_EARLY_MS ? early : DRAIN_EARLY_MS);
}

static void
begin_drain(struct acceptor *a)
{
	struct worker *w = a->w;

	if (a->drain_end_ms != CLOCK_NEVER)
		return;
	signals_tell();
	a->drain_end_ms = a->now_ms + drain_ms(w);
	a->idle_close_ms = a->now_ms + DRAIN_IDLE_MS;
	a->patience_end_ms = a->now_ms + DRAIN_HEAD_MS;
	atomic_store(&w->draining, true);
	/* Otherwise it is the arbiter who says that the service stops. */
	if (getppid() != w->heritage->arbiter)
		atomic_store(&w->score->stopping, true);
	atomic_store_explicit(&w->score->state, WORKER_DRAINING,
	    memory_order_relaxed);
	scoreboard_notify(w->heritage->board);
	accept_stop(a);
}

/* Whether c, which the acceptor owns, keeps a worker that leaves too long. */
static bool
has_to_go(const struct acceptor *a, const struct client *c)
{
	const struct settings *s = a->w->settings;
	bool patient = a->now_ms < a->patience_end_ms;
	int64_t wait;

	switch (c->state) {
	case CLIENT_IDLE:
		/* One that has just got here has its request on the way. */
		wait = c->fresh ? s->header_timeout_ms : s->keepalive_ms;
		return !patient ||
		    c->deadline_ms - wait + DRAIN_IDLE_MS <= a->now_ms;
	case CLIENT_HANDSHAKE:
	case CLIENT_PROXY:
		return c->fresh || !patient;
	case CLIENT_HEAD:
		return !patient;
	default:
		return false;
	}
}

/* Clients that are between two requests and will not be missed. */
static void
close_idle(struct acceptor *a)
{
	struct client *c, *next;

	if (a->now_ms < a->idle_close_ms)
		return;
	a->idle_close_ms = a->now_ms + WHEEL_TICK_MS;
	for (c = a->open; c != NULL; c = next) {
		next = c->next_open;
		if (atomic_load_explicit(&c->owner, memory_order_acquire) ==
			0 &&
		    has_to_go(a, c)) {
			c->fresh = false;
			tend_expired(a, c);
		}
	}
}

static void
reopen_logs(struct acceptor *a)
{
	struct err err;

	if (log_reopen(&err) != 0)
		log_error("%s", err.text);
	if (a->w->heritage->access != NULL &&
	    access_reopen(a->w->heritage->access, &err) != 0)
		log_error("%s", err.text);
	worker_tell(a->w, BICORN_REOPEN);
}

static bool
served_enough(const struct worker *w)
{
	return w->max_requests > 0 &&
	    atomic_load_explicit(&w->served, memory_order_relaxed) >=
		w->max_requests;
}

/* Asked about once a second: it is a system call. */
static bool
is_orphan(struct acceptor *a)
{
	if (a->now_ms < a->parent_ms)
		return false;
	a->parent_ms = a->now_ms + BEAT_MS - WHEEL_TICK_MS;
	return getppid() != a->w->heritage->arbiter;
}

bool
acceptor_has_to_act(const struct acceptor *a, int64_t now_ms)
{
	return signals_seen(SIGNALS_REOPEN) || signals_seen(SIGNALS_DUMP) ||
	    signals_seen(SIGNALS_QUIT) || signals_seen(SIGNALS_DRAIN) ||
	    now_ms >= a->parent_ms ||
	    (served_enough(a->w) &&
		atomic_load_explicit(&a->w->score->state,
		    memory_order_relaxed) == WORKER_READY);
}

/*
 * Nothing is left but requests that nothing ends.  In this order: one that
 * did end is no longer stuck before its connection is closed.
 */
static bool
only_stuck_left(const struct acceptor *a)
{
	size_t open = atomic_load(&a->w->score->connections);
	size_t stuck = watchdog_stuck(a->w->watchdog);

	return stuck > 0 && open <= stuck;
}

/* True when it is time to go. */
static bool
heed_signals(struct acceptor *a)
{
	struct worker *w = a->w;

	if (signals_take(SIGNALS_REOPEN))
		reopen_logs(a);
	if (signals_take(SIGNALS_DUMP))
		watchdog_dump(w->watchdog);
	if (signals_seen(SIGNALS_QUIT)) {
		signals_tell();
		worker_tell(w, BICORN_WORKER_INT);
		return true;
	}
	if (signals_seen(SIGNALS_DRAIN) || is_orphan(a))
		begin_drain(a);
	else if (served_enough(w) && worker_retire(w))
		log_info("Autorestarting worker after current request.");
	if (a->drain_end_ms == CLOCK_NEVER)
		return false;
	accept_rest(a);
	close_idle(a);
	return (a->open == NULL && a->listening_count == 0) ||
	    a->now_ms >= a->drain_end_ms ||
	    only_stuck_left(a);
}

/* --- the loop ------------------------------------------------------------- */

static int
wait_limit(const struct acceptor *a)
{
	int64_t next = a->idle_close_ms < a->drain_end_ms ? a->idle_close_ms
							  : a->drain_end_ms;

	if (a->drain_end_ms != CLOCK_NEVER && a->listening_count > 0)
		next = a->now_ms + WHEEL_TICK_MS;
	if (a->resume_ms > a->now_ms && a->resume_ms < next)
		next = a->resume_ms;
	if (a->evict_ms > a->now_ms && a->evict_ms < next)
		next = a->evict_ms;
	if (a->patient_ms != CLOCK_NEVER)
		next = a->patient_ms + PATIENT_MS;
	else if (queue_length(a->w->queue) > 0 &&
	    next > a->now_ms + QUEUE_LOOK_MS)
		next = a->now_ms + QUEUE_LOOK_MS;
	if (a->held_ms != CLOCK_NEVER && a->held_ms + PATIENT_MS < next)
		next = a->held_ms + PATIENT_MS;
	if (a->watch_ms < next)
		next = a->watch_ms;
	if (a->w->statsd != NULL && a->metrics_ms < next)
		next = a->metrics_ms;
	if (next == CLOCK_NEVER || next > a->now_ms + BEAT_MS)
		return BEAT_MS;
	return next > a->now_ms ? (int)(next - a->now_ms) : 0;
}

/* Without events there are still deadlines to keep. */
static int
wait_events(struct acceptor *a, struct epoll_event *events, bool may_wait)
{
	const struct timespec pause = { .tv_nsec = FAILED_WAIT_NS };
	int n = epoll_wait(a->epoll, events, EVENTS_MAX, may_wait
		? wheel_wait(&a->wheel, a->now_ms, wait_limit(a))
		: 0);

	if (n >= 0 || errno == EINTR)
		return n;
	must(errno != EBADF && errno != EINVAL);
	nanosleep(&pause, NULL);
	return 0;
}

static void
tell_time(struct acceptor *a)
{
	int64_t before_ms = a->now_ms;

	a->now_us = clock_us();
	a->now_ms = a->now_us / 1000;
	atomic_store_explicit(&a->looked_us, a->now_us, memory_order_relaxed);
	if (a->now_ms == before_ms)
		return;
	a->crowd = a->asked < 2 * a->arrived
	    ? (unsigned)(a->arrived / (a->now_ms - before_ms))
	    : 0;
	a->pace = (unsigned)(a->asked / (a->now_ms - before_ms));
	a->asked = a->arrived = 0;
}

/*
 * Where many clients ask at once, the next look at them is put off until a
 * moment after this one began: to be woken for each costs more than a short
 * request does.
 */
static void
gather(struct acceptor *a)
{
	int64_t until_us = a->now_us + GATHER_US;
	const struct timespec until = {
		.tv_sec = until_us / 1000000,
		.tv_nsec = until_us % 1000000 * 1000,
	};

	if (a->crowd >= CROWD)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

void
acceptor_round(struct acceptor *a, enum round how)
{
	struct epoll_event events[EVENTS_MAX];
	bool asleep, may_wait;
	int n;

	if (how != ROUND_LOOK)
		gather(a);
	asleep = how == ROUND_LEAD && queue_lead(a->w->queue);
	may_wait = how == ROUND_WAIT || asleep; /* who has nothing to do */
	n = wait_events(a, events, may_wait);
	tell_time(a);
	a->handed = 0;
	atomic_store_explicit(&a->w->score->beat_ms, a->now_ms,
	    memory_order_relaxed);
	for (int i = 0; i < n; i++)
		dispatch(a, &events[i]);
	take_returned(a);
	run_timers(a);
	expire_queue(a);
	watch_requests(a);
	if (asleep)
		queue_led(a->w->queue); /* it takes some of that itself */
	push_batch(a);
	sweep_queue(a);
	watch_queue(a);
	watch_held(a);
	atomic_store_explicit(&a->w->score->queued,
	    (uint32_t)queue_length(a->w->queue), memory_order_relaxed);
	if (a->now_ms >= a->status_ms)
		status_update(a);
	reclaim(a); /* no event of this round is left to name them */
	accept_adjust(a);
	if (a->w->statsd != NULL && a->now_ms >= a->metrics_ms) {
		statsd_flush(a->w->statsd);
		a->metrics_ms = a->now_ms + METRICS_MS;
	}
}

void
acceptor_listen(struct acceptor *a)
{
	accept_adjust(a);
}

static void
cut_off(struct worker *w, struct client *c, int64_t now_us)
{
	if (c->left_us != 0) {
		tally(w, COUNT_BROKEN);
		tally_sent(w, c, now_us);
	}
	record_sent(w, c, false);
}

/* The process ends before a thread could take these. */
static void
refuse_queued(struct acceptor *a)
{
	struct client *c = queue_expire(a->w->queue, INT64_MAX), *next;

	for (; c != NULL; c = next) {
		next = c->next;
		/* QUEUE to ACCEPTOR. */
		client_take_events(c, atomic_exchange_explicit(&c->owner, 0,
		    memory_order_acquire));
		c->in->refusal = 503;
		c->in->reason = "the server stops";
		c->in->overload = COUNT_REFUSED_OTHER;
		refuse_client(a->w, c, a->now_ms);
	}
}

/* ... and before the application has begun to answer these. */
static void
refuse_running(struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;

	for (size_t i = 0; i < scoreboard_threads(h->board); i++) {
		struct score_thread *line = scoreboard_thread(h->board,
		    h->slot, i);

		if (atomic_load(&line->started_ms) != 0)
			serve_given_up(pool_exchange(a->w->pool, i),
			    atomic_load(&line->requests), 503,
			    "the server stops");
	}
}

/*
 * The process ends under clients that have not taken all of an answer, which
 * is told of them as of others.  What the pool has is the pool's.
 */
static void
cut_all_off(struct acceptor *a)
{
	struct client *c = take_list(&a->w->returned);
	int64_t now_us = clock_us();

	for (; c != NULL; c = c->next)
		cut_off(a->w, c, now_us);
	for (c = a->open; c != NULL; c = c->next_open)
		if (atomic_load_explicit(&c->owner, memory_order_acquire) ==
		    0)
			cut_off(a->w, c, now_us);
}

/*
 * Where the processors are busy, this thread waits until one of those that
 * answer sleeps or has had its slice, in place of interrupting it for every
 * event: it then finds several at once.  Where one is free it runs at once.
 * No thread begins after this, which would inherit it.
 */
static void
be_modest(bool modest)
{
	const struct sched_param none = { .sched_priority = 0 };
	int from = modest ? SCHED_OTHER : SCHED_BATCH;
	int to = modest ? SCHED_BATCH : SCHED_OTHER;

	/* Another one was chosen from without, and is left alone. */
	if (sched_getscheduler(0) == from)
		sched_setscheduler(0, to, &none);
}

bool
acceptor_run(struct acceptor *a)
{
	be_modest(true);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	while (!heed_signals(a)) {
		bool led = lead_rest(a);

		if (!led)
			queue_rest(a->w->queue, REST_MAX_US);
		acceptor_round(a, led ? ROUND_LOOK : ROUND_WAIT);
	}
	be_modest(false);
	refuse_queued(a);
	refuse_running(a);
	cut_all_off(a);
	return a->open == NULL;
}

void
acceptor_free(struct acceptor **ap)
{
	struct acceptor *a = *ap;
	struct client *c;

	*ap = NULL;
	if (a == NULL)
		return;
	while ((c = a->open) != NULL) {
		a->open = c->next_open;
		if (c->peer != NULL)
			peers_leave(a->peers, c->peer);
		record_sent(a->w, c, false);
		inbound_drop(a->w, c);
		outbound_drop(&c->out, &a->w->keep);
		conn_close(&c->conn);
		free(c);
	}
	while ((c = a->spare) != NULL) {
		a->spare = c->next;
		free(c);
	}
	fd_close(&a->epoll);
	peers_free(&a->peers);
	free(a->listening);
	free(a);
}
