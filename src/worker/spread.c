/* SPDX-License-Identifier: MIT */
/*
 * Which connections this worker takes, and which it leaves to another: by
 * the scoreboard, where each worker's queue counts and each thread says since
 * when it is busy.  Nothing is written for that but when a connection is
 * left.  The acceptor's thread.
 *
 * A connection is left to a worker that has less to do, or no more and clearly
 * fewer connections, or a free thread and less than half the connections; by
 * this order no two workers leave the same connection to each other, and no
 * number of them does for long.  Work that is done within a moment does not
 * count: it is over before somebody else is awake.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/acceptor_private.h"
#include "worker/heritage.h"
#include "worker/scoreboard.h"
#include "worker/worker_private.h"

/*
 * A request that has run for so long may run for long, as may any where such
 * requests were the rule of late, or none was seen.
 */
#define LONG_MS 2
#define LONG_AVERAGE_US 1000

/* Fewer connections than this are no crowd. */
#define CROWD_LEAST 4
/* What makes a crowd is left so often. */
#define CROWD_PATIENCE 4

/* Left by us, and then by those to whom it was left, so often. */
#define CIRCLE_MOST 3

/* The others have so long to take what was left to them. */
#define PAUSE_LEFT_MS 5

/* Who has shown no sign of life for so long takes nothing. */
#define ABSENT_MS 1500

/*
 * Without a free thread, connections wait in the backlog for whichever
 * worker has one first, but no longer than this: from then on they are taken
 * and queued, so that limits and deadlines of the queue, and health_path,
 * have their say.
 */
#define PAUSE_STARVED_MS 20
#define STARVED_MAX_MS 100

/* What there is to do in a worker. */
struct share {
	uint32_t busy;        /* requests; 0 while all of them are short */
	uint32_t connections; /* that it holds */
};

static bool
expects_long(const struct score_load *load)
{
	int64_t busy_us_16 = atomic_load_explicit(&load->busy_us_16,
	    memory_order_relaxed);

	return busy_us_16 == 0 || busy_us_16 >= LONG_AVERAGE_US * 16;
}

/* Whether a thread of that worker has been busy for some time. */
static bool
has_long(const struct acceptor *a, size_t slot)
{
	struct scoreboard *b = a->w->heritage->board;

	for (size_t i = 0; i < scoreboard_threads(b); i++) {
		int64_t started = atomic_load_explicit(
		    &scoreboard_thread(b, slot, i)->started_ms,
		    memory_order_relaxed);

		if (started != 0 && a->now_ms - started >= LONG_MS)
			return true;
	}
	return false;
}

/* Requests that wait or run, however short. */
static uint32_t
all_requests(const struct acceptor *a, const struct score_load *load)
{
	uint32_t threads = (uint32_t)a->w->settings->threads;
	uint32_t sleeping = atomic_load_explicit(&load->sleeping,
	    memory_order_relaxed);

	return atomic_load_explicit(&load->queued, memory_order_relaxed) +
	    threads - (sleeping < threads ? sleeping : threads);
}

static uint32_t
busy_of(const struct acceptor *a, size_t slot)
{
	const struct score_worker *s = scoreboard_worker(
	    a->w->heritage->board, slot);
	uint32_t all = all_requests(a, &s->load);

	if (all == 0 || expects_long(&s->load))
		return all;
	return has_long(a, slot) ? all : 0;
}

/*
 * What was accepted in this round has not asked for anything yet: it counts
 * as a request.
 */
static struct share
share_of_self(const struct acceptor *a)
{
	struct share mine = {
		.busy = busy_of(a, a->w->heritage->slot),
		.connections = atomic_load_explicit(
		    &a->w->score->connections, memory_order_relaxed),
	};

	if (mine.busy > 0)
		mine.busy += a->taken;
	return mine;
}

/* Whether that worker could take a connection. */
static bool
is_peer(const struct acceptor *a, const struct score_worker *s, size_t slot)
{
	const struct heritage *h = a->w->heritage;
	int64_t beat_ms = atomic_load_explicit(&s->beat_ms,
	    memory_order_relaxed);

	return a->now_ms - beat_ms < ABSENT_MS && slot != h->slot &&
	    atomic_load_explicit(&s->state, memory_order_relaxed) ==
	    WORKER_READY &&
	    atomic_load_explicit(&s->generation, memory_order_relaxed) ==
	    h->generation;
}

/* The least there is elsewhere. */
struct others {
	size_t count;
	uint32_t busy;        /* at most: short requests are counted */
	uint32_t connections; /* the fewest ... */
	size_t slot;          /* ... and who has them */
};

static struct others
look_around(const struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;
	struct others o = { 0, UINT32_MAX, UINT32_MAX, 0 };

	for (size_t i = 0; i < scoreboard_workers(h->board); i++) {
		const struct score_worker *s = scoreboard_worker(h->board, i);
		uint32_t busy, connections;

		if (!is_peer(a, s, i))
			continue;
		o.count++;
		busy = all_requests(a, &s->load);
		if (busy < o.busy)
			o.busy = busy;
		connections = atomic_load_explicit(&s->connections,
		    memory_order_relaxed);
		if (connections < o.connections) {
			o.connections = connections;
			o.slot = i;
		}
	}
	return o;
}

/* So many more connections that a busy thread less does not make up for it. */
static bool
is_crowd(uint32_t connections, uint32_t beside)
{
	return connections > CROWD_LEAST + 2 * beside;
}

static bool
belongs_elsewhere(const struct acceptor *a, struct share mine,
    struct others o)
{
	uint32_t threads = (uint32_t)a->w->settings->threads;
	uint32_t fewest_busy;

	/* The others would leave it to this worker again. */
	if (mine.busy < threads && is_crowd(o.connections, mine.connections))
		return false;
	if (o.busy < mine.busy)
		return true;
	if (mine.connections <= o.connections + 1 + o.connections / 8)
		return false;
	fewest_busy = busy_of(a, o.slot);
	return fewest_busy <= mine.busy ||
	    (fewest_busy < threads &&
		is_crowd(mine.connections, o.connections));
}

static void
pause_for(struct acceptor *a, int64_t ms)
{
	a->resume_ms = a->now_ms + ms;
}

/*
 * The kernel wakes whoever has watched for the longest time: each of the
 * others gets its turn, however often one is told.
 */
static void
line_up(struct acceptor *a)
{
	int fd = scoreboard_left(a->w->heritage->board);
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE,
		.data.ptr = &a->left,
	};

	epoll_ctl(a->epoll, EPOLL_CTL_DEL, fd, NULL);
	if (epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
		log_debug("epoll: %s", strerror(errno)); /* it goes without */
}

/* One of the others wakes up and looks; this worker looks later. */
static void
leave(struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;

	line_up(a);
	if (a->left_ms == 0)
		a->left_ms = a->now_ms;
	a->left_times++;
	pause_for(a, PAUSE_LEFT_MS);
	scoreboard_leave(h->board, h->slot);
}

/*
 * True when there is no thread for another request, and it can wait for one
 * that becomes free anywhere.
 */
static bool
is_starved(struct acceptor *a, struct share mine)
{
	if (mine.busy < (uint32_t)a->w->settings->threads) {
		a->starved_ms = CLOCK_NEVER;
		return false;
	}
	if (a->starved_ms == CLOCK_NEVER)
		a->starved_ms = a->now_ms;
	return a->now_ms - a->starved_ms < STARVED_MAX_MS;
}

static void
wait_for_thread(struct acceptor *a)
{
	pause_for(a, PAUSE_STARVED_MS);
	a->starved = true;
	atomic_store(&a->w->starved, true);
}

/*
 * How often the same connection is left before it is taken after all: the
 * machine may be too busy for those to whom it was left.  Where it would only
 * wait here, it may as well wait for them.
 */
static unsigned
patience_of(const struct acceptor *a, struct share mine, struct others o)
{
	uint32_t threads = (uint32_t)a->w->settings->threads;

	if (mine.busy >= threads && o.busy < threads)
		return STARVED_MAX_MS / PAUSE_LEFT_MS;
	return is_crowd(mine.connections, o.connections) ? CROWD_PATIENCE : 1;
}

/*
 * Among three or more the order may be a circle, in which a connection would
 * go round as fast as the workers can wake each other: what comes back so
 * often is taken, and whatever the others say meanwhile, the time is limited
 * as well.
 */
static bool
is_patient(const struct acceptor *a, unsigned patience)
{
	return a->left_times < patience && a->circled < CIRCLE_MOST &&
	    (a->left_ms == 0 ||
		a->now_ms - a->left_ms < (int64_t)patience * PAUSE_LEFT_MS);
}

bool
spread_leaves(struct acceptor *a)
{
	struct share mine;
	struct others o;

	if (!a->spread)
		return false;
	mine = share_of_self(a);
	if (mine.busy == 0 && mine.connections == 0) {
		a->starved_ms = CLOCK_NEVER;
		return false;
	}
	o = look_around(a);
	if (o.count == 0)
		return false;
	if (is_patient(a, patience_of(a, mine, o)) &&
	    belongs_elsewhere(a, mine, o)) {
		/* Behind one that was taken there may be none to leave. */
		if (a->taken == 0)
			leave(a);
		return true;
	}
	if (is_starved(a, mine)) {
		wait_for_thread(a);
		return true;
	}
	a->left_times = 0;
	a->circled = 0;
	a->left_ms = 0;
	return false;
}

void
spread_look(struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;

	if (scoreboard_left_by(h->board) == h->slot)
		return; /* our own voice */
	/* Who left some to the others may be the one to whom they leave. */
	if (a->left_times > 0 && a->resume_ms > a->now_ms) {
		a->resume_ms = a->now_ms;
		a->circled++;
	}
	a->left_times = 0;
	accept_from_all(a);
}

void
spread_resume(struct acceptor *a)
{
	if (!a->starved || atomic_load(&a->w->starved))
		return;
	a->starved = false;
	if (a->resume_ms > a->now_ms)
		a->resume_ms = a->now_ms;
}
