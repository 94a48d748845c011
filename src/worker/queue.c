/* SPDX-License-Identifier: MIT */
#include "worker/queue.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/lock.h"
#include "base/must.h"
#include "worker/client.h"

/*
 * Waking is what costs: a futex call and a switch of threads, more than a
 * short request.  So a push wakes one thread at most, and none while one
 * that was woken is still on its way; that one, when it takes a client and
 * leaves others behind, wakes the next.  Under load no thread sleeps and
 * nothing is woken at all.
 */
struct queue {
	struct lock lock;  /* rank LOCK_QUEUE: taken last, held briefly */
	struct cond ready; /* one wake at a time, all on close */

	/* Guarded by lock; length is also read without it. */
	struct client *head; /* oldest; linked through client.next */
	struct client *tail; /* meaningless while head is NULL */
	_Atomic size_t length;
	unsigned sleeping;
	bool waking; /* a sleeper was woken and has not yet run */
	bool closed;
};

struct queue *
queue_new(void)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	lock_init(&q->lock, LOCK_QUEUE);
	cond_init(&q->ready);
	return q;
}

/* Whether the caller, after dropping the lock, has to wake a sleeper. */
static bool
claim_wake_locked(struct queue *q) REQUIRES(q->lock);

static bool
claim_wake_locked(struct queue *q)
{
	if (q->waking || q->sleeping == 0 || q->head == NULL)
		return false;
	q->waking = true;
	return true;
}

static size_t
length_of(const struct queue *q)
{
	return atomic_load_explicit(&q->length, memory_order_relaxed);
}

static void
length_set(struct queue *q, size_t length)
{
	atomic_store_explicit(&q->length, length, memory_order_relaxed);
}

void
queue_push(struct queue *q, struct client *first, struct client *last,
    size_t count)
{
	bool wake;

	last->next = NULL;
	lock_take(&q->lock);
	must(!q->closed);
	if (q->head == NULL)
		q->head = first;
	else
		q->tail->next = first;
	q->tail = last;
	length_set(q, length_of(q) + count);
	wake = claim_wake_locked(q);
	lock_drop(&q->lock);

	/* Waking after the drop spares the sleeper a trip into the lock. */
	if (wake)
		cond_wake_one(&q->ready);
}

struct client *
queue_pop(struct queue *q)
{
	struct client *c;
	bool wake;

	lock_take(&q->lock);
	while (q->head == NULL && !q->closed) {
		q->sleeping++;
		cond_wait(&q->ready, &q->lock);
		q->sleeping--;
		q->waking = false;
	}
	c = q->head;
	if (c != NULL) {
		q->head = c->next;
		length_set(q, length_of(q) - 1);
	}
	wake = claim_wake_locked(q);
	lock_drop(&q->lock);
	if (wake)
		cond_wake_one(&q->ready);
	return c;
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
	must(q->head == NULL && q->sleeping == 0);
	cond_fini(&q->ready);
	lock_fini(&q->lock);
	free(q);
}
