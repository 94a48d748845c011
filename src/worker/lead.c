/* SPDX-License-Identifier: MIT */
#include "worker/lead.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "app/module.h"
#include "base/clock.h"
#include "worker/acceptor_private.h"
#include "worker/later.h"
#include "worker/queue.h"
#include "worker/worker_private.h"

/*
 * The pool leads while requests keep a thread for less than this on average,
 * or than that where one at a time gets on, and this many come in a
 * millisecond.
 */
#define SHORT_US 100
#define SHORT_SERIAL_US 250
#define PACE 4
/* So often the acceptor looks in: nobody waits for longer until it leads. */
#define LOOK_US 500
/* ... but while there is more than that to do for those that are up. */
#define LOOK_BUSY_US 2000
/* It leads again when fewer requests than this came in so many looks. */
#define FEW 8
#define FEW_LOOKS 8
/* It asks the leader to let go so often. */
#define DEMAND_US 50

static bool
take(struct worker *w, enum leader who)
{
	uint32_t none = LEADER_NONE;

	return atomic_load_explicit(&w->leader, memory_order_relaxed) ==
	    LEADER_NONE &&
	    atomic_compare_exchange_strong_explicit(&w->leader, &none, who,
		memory_order_seq_cst, memory_order_relaxed);
}

static void
let_go(struct worker *w)
{
	atomic_store_explicit(&w->leader, LEADER_NONE, memory_order_release);
}

/* --- a pool thread -------------------------------------------------------- */

bool
lead_take(struct worker *w, void *thread)
{
	struct acceptor *a;

	if (atomic_load_explicit(&w->leader_called, memory_order_relaxed) ||
	    !take(w, LEADER_POOL))
		return false;
	a = w->acceptor;
	/*
	 * What others want is not kept meanwhile.  They, and the clients, have
	 * their turn, after which more requests are found at once.
	 */
	if (APP_HAS(w->app.ops, thread_idle)) {
		w->app.ops->thread_idle(w->app.instance, thread);
		sched_yield();
	}
	while (queue_length(w->queue) == 0 &&
	    !atomic_load_explicit(&w->leader_called, memory_order_relaxed))
		acceptor_round(a, ROUND_LEAD);
	let_go(w);
	return true;
}

void
lead_look(struct worker *w, int64_t now_us)
{
	struct acceptor *a;

	if (atomic_load_explicit(&w->leader, memory_order_relaxed) !=
		LEADER_NONE)
		return;
	a = w->acceptor;
	if (now_us - atomic_load_explicit(&a->looked_us,
			 memory_order_relaxed) < LOOK_US ||
	    atomic_load_explicit(&w->leader_called, memory_order_relaxed) ||
	    !take(w, LEADER_POOL))
		return;
	acceptor_round(a, ROUND_LOOK);
	let_go(w);
}

/* --- the acceptor --------------------------------------------------------- */

static void
sleep_us(int64_t us)
{
	const struct timespec t = { .tv_nsec = us * 1000 };

	nanosleep(&t, NULL); /* a signal ends it */
}

static void
take_back(struct worker *w)
{
	atomic_store_explicit(&w->leader_called, true, memory_order_relaxed);
	while (!take(w, LEADER_ACCEPTOR)) {
		worker_wake(w);
		sleep_us(DEMAND_US);
	}
	atomic_store_explicit(&w->leader_called, false, memory_order_relaxed);
}

static bool
is_worth_it(const struct acceptor *a)
{
	int64_t busy_us = queue_busy_us(a->w->queue);
	bool serial = (a->w->app.traits & BICORN_TRAIT_SERIAL) != 0;

	return a->pace >= PACE &&
	    busy_us < (serial ? SHORT_SERIAL_US : SHORT_US) &&
	    (a->handed > 0 || queue_length(a->w->queue) > 0) &&
	    a->drain_end_ms == CLOCK_NEVER;
}

/* Nobody has looked at what comes for long. */
static bool
is_overdue(const struct acceptor *a, int64_t now_us)
{
	int64_t since_us = now_us -
	    atomic_load_explicit(&a->looked_us, memory_order_relaxed);

	/* Answers that are held are looked after in a round: watch_held(). */
	return since_us >= LOOK_BUSY_US ||
	    (since_us >= LOOK_US &&
		(queue_ahead_us(a->w->queue) < LOOK_US ||
		    atomic_load_explicit(&a->w->holding,
			memory_order_relaxed)));
}

bool
lead_rest(struct acceptor *a)
{
	struct worker *w = a->w;
	uint64_t taken = queue_taken(w->queue);
	unsigned looks = 0;
	bool acts = false;

	if (!is_worth_it(a)) {
		/* Nobody looks after those any more. */
		later_take_over(w, INT64_MAX);
		return false;
	}
	let_go(w);
	for (;;) {
		int64_t now_us;

		/* They may have gone to sleep before they could lead. */
		if (queue_all_asleep(w->queue) && take(w, LEADER_ACCEPTOR))
			break;
		sleep_us(LOOK_US);
		now_us = clock_us();
		later_take_over(w, now_us - 2 * LOOK_US);
		acts = acceptor_has_to_act(a, now_us / 1000);
		if (acts)
			break;
		if (++looks % FEW_LOOKS == 0) {
			uint64_t before = taken;

			taken = queue_taken(w->queue);
			if (taken - before < FEW)
				break;
		}
		if (is_overdue(a, now_us) && take(w, LEADER_ACCEPTOR))
			break;
	}
	if (atomic_load_explicit(&w->leader, memory_order_relaxed) !=
	    LEADER_ACCEPTOR)
		take_back(w);
	if (acts) /* it may be the end */
		later_take_over(w, INT64_MAX);
	return true;
}
