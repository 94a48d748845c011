/* SPDX-License-Identifier: MIT */
#include "worker/queue.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/lock.h"
#include "base/must.h"
#include "worker/client.h"
#include "worker/scoreboard.h"
#include "worker/worker_private.h"

/*
 * Waking is what costs: a futex call and a switch of threads, more than a
 * short request.  So one thread is woken at a time, and only if those that
 * are up will not get to what waits within PATIENCE_US, going by how long
 * clients took of late.  A thread that was woken and leaves clients behind
 * decides anew.  Where the guess is wrong, because all that are up are stuck
 * in requests much longer than usual, the acceptor nudges a moment later.
 */
#define PATIENCE_US 100
/*
 * Where the threads share an interpreter's lock, a second one that is up adds
 * switches and no speed, unless the first often waits for something else: in
 * one of so many parts of its time.
 */
#define WAITS_SELDOM 8
/*
 * Elsewhere more threads than processors get into each other's way only where
 * requests are short, and those that are up get on: they are up because there
 * are many, not because one of them takes long.  One more may be up where they
 * are so short that those who look for work and find none would leave a
 * processor without any.
 */
#define TINY_US 8
/*
 * With so much to do ahead of it the acceptor need not look for more, and it
 * is called when there is only so much left.
 */
#define REST_US 500
#define ROUSE_US 100
/* While both lines are busy, one in so many is taken from the second. */
#define SECOND_EACH 8

/* Clients, oldest first, linked through client.next. */
struct line {
	struct client *head;
	struct client *tail; /* meaningless while head is NULL */
};

struct queue {
	/* Constant once there are threads. */
	unsigned threads;
	bool serial;
	unsigned processors; /* that this pool may use */
	int leader_fd; /* wakes who waits for events */
	struct score_load *load; /* where the counts are */

	atomic_bool waits; /* requests wait for something */

	struct lock lock;  /* rank LOCK_QUEUE: taken last, held briefly */
	struct cond ready; /* one wake at a time, all on close */

	/* Guarded by lock, as the counts, which are also read without it. */
	struct line first;  /* what the acceptor brought */
	struct line second; /* pipelined behind what was just answered */
	_Atomic uint64_t taken; /* clients, ever; read without the lock */
	unsigned turn;      /* counts what is taken while both are busy */
	bool waking; /* a sleeper was woken and has not yet run */
	bool leading; /* one of those that sleep waits for events */
	bool stalled; /* nobody took one between two pushes */
	uint64_t pushed; /* what `taken` was at the last of them */
	bool resting; /* somebody is in queue_rest() */
	struct cond drained; /* what rests is to get on */
	bool closed;

	struct score_load own; /* for a queue that nobody else looks at */
};

struct queue *
queue_new(unsigned threads, struct score_load *load)
{
	struct queue *q;

	/* Aligned as the counts want it. */
	if (posix_memalign((void **)&q, _Alignof(struct queue),
		sizeof(*q)) != 0)
		return NULL;
	memset(q, 0, sizeof(*q));
	q->threads = q->processors = threads;
	q->load = load != NULL ? load : &q->own;
	lock_init(&q->lock, LOCK_QUEUE);
	cond_init(&q->ready);
	cond_init(&q->drained);
	return q;
}

static size_t
length_of(const struct queue *q)
{
	return atomic_load_explicit(&q->load->queued, memory_order_relaxed);
}

static int64_t
busy_of(const struct queue *q)
{
	return atomic_load_explicit(&q->load->busy_us_16,
	    memory_order_relaxed);
}

static void
length_set(struct queue *q, size_t length)
{
	atomic_store_explicit(&q->load->queued, (uint32_t)length,
	    memory_order_relaxed);
}

static unsigned
sleeping_of(const struct queue *q)
{
	return atomic_load_explicit(&q->load->sleeping, memory_order_relaxed);
}

static void
sleeping_set(struct queue *q, unsigned sleeping)
{
	atomic_store_explicit(&q->load->sleeping, sleeping,
	    memory_order_relaxed);
}

void
queue_set_serial(struct queue *q)
{
	q->serial = true;
}

void
queue_set_processors(struct queue *q, unsigned count)
{
	q->processors = count;
}

void
queue_set_leader_fd(struct queue *q, int fd)
{
	q->leader_fd = fd;
}

/* True when another thread would get into the way of those that are up. */
static bool
are_enough(const struct queue *q)
{
	unsigned up = q->threads - sleeping_of(q);
	int64_t busy = busy_of(q);

	if (up == 0 || atomic_load_explicit(&q->waits, memory_order_relaxed))
		return false;
	if (q->serial)
		return true;
	return !q->stalled && busy < PATIENCE_US * 16 &&
	    up >= q->processors + (busy < TINY_US * 16);
}

enum wake {
	WAKE_NOBODY,
	WAKE_SLEEPER,
	WAKE_LEADER, /* nobody else sleeps */
};

static enum wake claim_wake_locked(struct queue *q, int64_t patience_us)
    REQUIRES(q->lock);

/* Whom the caller has to wake after dropping the lock. */
static enum wake
claim_wake_locked(struct queue *q, int64_t patience_us)
{
	unsigned up = q->threads - sleeping_of(q);

	if (q->waking || length_of(q) == 0 || sleeping_of(q) == 0)
		return WAKE_NOBODY;
	if (patience_us >= 0 && are_enough(q))
		return WAKE_NOBODY;
	if (up > 0 && (int64_t)length_of(q) * busy_of(q) <=
	    patience_us * 16 * up)
		return WAKE_NOBODY;
	q->waking = true;
	return q->leading && sleeping_of(q) == 1 ? WAKE_LEADER : WAKE_SLEEPER;
}

/* Without the lock, which spares the sleeper a trip into it. */
static void
wake(struct queue *q, enum wake whom)
{
	switch (whom) {
	case WAKE_NOBODY:
		break;
	case WAKE_SLEEPER:
		cond_wake_one(&q->ready);
		break;
	case WAKE_LEADER:
		fd_wake(q->leader_fd);
		break;
	}
}

static void note_busy_locked(struct queue *q, int64_t busy_us)
    REQUIRES(q->lock);

/* A moving average over about 16 clients. */
static void
note_busy_locked(struct queue *q, int64_t busy_us)
{
	if (busy_us >= 0)
		atomic_store_explicit(&q->load->busy_us_16,
		    busy_of(q) + busy_us - busy_of(q) / 16,
		    memory_order_relaxed);
}

static void
append(struct line *l, struct client *first, struct client *last)
{
	last->next = NULL;
	if (l->head == NULL)
		l->head = first;
	else
		l->tail->next = first;
	l->tail = last;
}

static void
push(struct queue *q, struct line *l, struct client *first,
    struct client *last, size_t count)
{
	enum wake whom;

	lock_take(&q->lock);
	must(!q->closed);
	q->stalled = length_of(q) > 0 && queue_taken(q) == q->pushed;
	q->pushed = queue_taken(q);
	append(l, first, last);
	length_set(q, length_of(q) + count);
	whom = claim_wake_locked(q, PATIENCE_US);
	lock_drop(&q->lock);
	wake(q, whom);
}

void
queue_push(struct queue *q, struct client *first, struct client *last,
    size_t count)
{
	push(q, &q->first, first, last, count);
}

void
queue_push_again(struct queue *q, struct client *c)
{
	push(q, &q->second, c, c, 1);
}

static struct client *take_locked(struct queue *q) REQUIRES(q->lock);

/* The next one, or NULL. */
static struct client *
take_locked(struct queue *q)
{
	struct line *l = &q->first;
	struct client *c;

	if (l->head == NULL ||
	    (q->second.head != NULL && ++q->turn % SECOND_EACH == 0))
		l = &q->second;
	c = l->head;
	if (c == NULL)
		return NULL;
	l->head = c->next;
	q->stalled = false;
	length_set(q, length_of(q) - 1);
	atomic_store_explicit(&q->taken,
	    atomic_load_explicit(&q->taken, memory_order_relaxed) + 1,
	    memory_order_relaxed);
	return c;
}

int64_t
queue_ahead_us(const struct queue *q)
{
	unsigned up = q->threads - sleeping_of(q);

	return (int64_t)length_of(q) * busy_of(q) / (16 * (up > 0 ? up : 1));
}

static bool claim_rouse_locked(struct queue *q) REQUIRES(q->lock);

/* Whether the caller, after dropping the lock, has to end queue_rest(). */
static bool
claim_rouse_locked(struct queue *q)
{
	if (!q->resting || queue_ahead_us(q) > ROUSE_US)
		return false;
	q->resting = false;
	return true;
}

/* Drops the lock, and wakes whom it takes. */
static void leave(struct queue *q) LOCK_ATTR(release_capability(q->lock));

static void
leave(struct queue *q)
{
	enum wake whom = claim_wake_locked(q, PATIENCE_US);
	bool rouse = claim_rouse_locked(q);

	lock_drop(&q->lock);
	wake(q, whom);
	if (rouse)
		cond_wake_one(&q->drained);
}

struct client *
queue_take(struct queue *q, int64_t busy_us)
{
	struct client *c;

	lock_take(&q->lock);
	note_busy_locked(q, busy_us);
	c = take_locked(q);
	leave(q);
	return c;
}

void
queue_yield(const struct queue *q)
{
	if (busy_of(q) > 0 && busy_of(q) < PATIENCE_US * 16)
		sched_yield();
}

struct client *
queue_pop(struct queue *q)
{
	struct client *c;

	lock_take(&q->lock);
	while (length_of(q) == 0 && !q->closed) {
		sleeping_set(q, sleeping_of(q) + 1);
		cond_wait(&q->ready, &q->lock);
		sleeping_set(q, sleeping_of(q) - 1);
		q->waking = false;
	}
	c = take_locked(q);
	leave(q);
	return c;
}

bool
queue_lead(struct queue *q)
{
	bool empty;

	lock_take(&q->lock);
	empty = length_of(q) == 0 && !q->closed;
	if (empty) {
		must(!q->leading);
		q->leading = true;
		sleeping_set(q, sleeping_of(q) + 1);
	}
	lock_drop(&q->lock);
	return empty;
}

void
queue_led(struct queue *q)
{
	lock_take(&q->lock);
	q->leading = false;
	q->waking = false;
	sleeping_set(q, sleeping_of(q) - 1);
	lock_drop(&q->lock);
}

bool
queue_all_asleep(const struct queue *q)
{
	return length_of(q) == 0 && sleeping_of(q) == q->threads;
}

int64_t
queue_busy_us(const struct queue *q)
{
	return busy_of(q) / 16;
}

void
queue_rest(struct queue *q, int64_t limit_us)
{
	if (queue_ahead_us(q) < REST_US)
		return;
	lock_take(&q->lock);
	q->resting = queue_ahead_us(q) >= REST_US;
	if (q->resting) {
		cond_wait_us(&q->drained, &q->lock, limit_us);
		q->resting = false;
	}
	lock_drop(&q->lock);
}

/*
 * Takes those of l of which `which` is true, up to the first of which it is
 * not when `in_order`, and puts them at *end.  Returns the new end.
 */
static struct client **
take_some(struct queue *q, struct line *l,
    bool (*which)(const struct client *c, int64_t when_ms), int64_t when_ms,
    bool in_order, struct client **end)
{
	struct client **at = &l->head;

	while (*at != NULL) {
		struct client *c = *at;

		if (which(c, when_ms)) {
			*at = c->next;
			*end = c;
			end = &c->next;
			length_set(q, length_of(q) - 1);
		} else if (in_order) {
			break;
		} else {
			l->tail = c;
			at = &c->next;
		}
	}
	return end;
}

static bool
is_older(const struct client *c, int64_t before_ms)
{
	return atomic_load_explicit(&c->queued_ms, memory_order_relaxed) <
	    before_ms;
}

struct client *
queue_expire(struct queue *q, int64_t before_ms)
{
	struct client *taken, **end = &taken;

	lock_take(&q->lock);
	end = take_some(q, &q->first, is_older, before_ms, true, end);
	end = take_some(q, &q->second, is_older, before_ms, true, end);
	*end = NULL;
	lock_drop(&q->lock);
	return taken;
}

struct client *
queue_vanished(struct queue *q, int64_t now_ms)
{
	struct client *taken, **end = &taken;

	lock_take(&q->lock);
	end = take_some(q, &q->first, client_vanished, now_ms, false, end);
	end = take_some(q, &q->second, client_vanished, now_ms, false, end);
	*end = NULL;
	lock_drop(&q->lock);
	return taken;
}

struct client *
queue_doubtful(struct queue *q, int64_t now_ms)
{
	struct client *taken, **end = &taken;

	lock_take(&q->lock);
	end = take_some(q, &q->first, client_doubtful, now_ms, false, end);
	*end = NULL;
	lock_drop(&q->lock);
	return taken;
}

/* Both are in the order of their time. */
static void
merge(struct queue *q, struct line *l, struct client *chain)
{
	struct client **at = &l->head;

	while (chain != NULL) {
		struct client *c = chain;
		int64_t when = atomic_load_explicit(&c->queued_ms,
		    memory_order_relaxed);

		while (*at != NULL && is_older(*at, when))
			at = &(*at)->next;
		chain = c->next;
		if (*at == NULL)
			l->tail = c;
		c->next = *at;
		*at = c;
		at = &c->next;
		length_set(q, length_of(q) + 1);
	}
}

void
queue_put_back(struct queue *q, struct client *chain)
{
	enum wake whom;

	if (chain == NULL)
		return;
	lock_take(&q->lock);
	must(!q->closed);
	merge(q, &q->first, chain);
	whom = claim_wake_locked(q, PATIENCE_US);
	lock_drop(&q->lock);
	wake(q, whom);
}

bool
queue_is_patient(const struct queue *q)
{
	return length_of(q) > 0 && sleeping_of(q) > 0;
}

uint64_t
queue_taken(const struct queue *q)
{
	return atomic_load_explicit(&q->taken, memory_order_relaxed);
}

uint64_t
queue_goal(const struct queue *q)
{
	/* Where one goes alone it is enough that it goes. */
	return queue_taken(q) + (q->serial && are_enough(q) ? 1 : length_of(q));
}

void
queue_note_waits(struct queue *q, int64_t waited_us, int64_t busy_us)
{
	bool often = waited_us * WAITS_SELDOM >= busy_us;

	if (often != atomic_load_explicit(&q->waits, memory_order_relaxed))
		atomic_store_explicit(&q->waits, often, memory_order_relaxed);
}

void
queue_nudge(struct queue *q)
{
	enum wake whom;

	lock_take(&q->lock);
	whom = claim_wake_locked(q, -1);
	lock_drop(&q->lock);
	wake(q, whom);
}

size_t
queue_length(const struct queue *q)
{
	return length_of(q);
}

void
queue_close(struct queue *q)
{
	lock_take(&q->lock);
	q->closed = true;
	lock_drop(&q->lock);
	cond_wake_all(&q->ready);
}

void
queue_free(struct queue **qp)
{
	struct queue *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	must(length_of(q) == 0 && sleeping_of(q) == 0);
	cond_fini(&q->drained);
	cond_fini(&q->ready);
	lock_fini(&q->lock);
	free(q);
}
