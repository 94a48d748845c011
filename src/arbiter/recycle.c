/* SPDX-License-Identifier: MIT */
/*
 * Replacing workers that have done enough: that asked for it themselves, are
 * old or have grown.  Each serves until its successor is READY (watch.c), and
 * only so many are replaced at a time, so that boots do not take the machine
 * away from those that serve.
 */
#include <sys/random.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "base/clock.h"
#include "base/process.h"
#include "log/log.h"
#include "score/ledger.h"
#include "worker/scoreboard.h"

/* The memory of the workers is looked at so often. */
#define SAMPLE_MS 2000

/* Workers that were forked together do not go together. */
#define LIFETIME_JITTER 10 /* a tenth */

static int64_t
draw_lifetime(const struct settings *s)
{
	int64_t limit = s->max_worker_lifetime_ms;
	uint64_t jitter = 0;

	if (getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) < 0)
		jitter = 0; /* early in the boot of a machine */
	return limit -
	    (int64_t)(jitter % ((uint64_t)limit / LIFETIME_JITTER + 1));
}

void
recycle_born(struct generation *g, struct child *c, int64_t now_ms)
{
	const struct settings *s = g->settings;

	if (s->max_worker_lifetime_ms > 0)
		c->retire_ms = now_ms + draw_lifetime(s);
	if (s->max_worker_memory_bytes == 0)
		return;
	c->born_heavy = (int64_t)process_memory(c->pid) >
	    s->max_worker_memory_bytes;
	/* Another one would be no lighter. */
	if (c->born_heavy && !g->warned_heavy) {
		log_warning("A worker that has served nobody takes more than "
			    "max_worker_memory: it is not replaced for that");
		g->warned_heavy = true;
	}
}

static void
sample(struct generation *g, int64_t now_ms)
{
	int64_t limit = g->settings->max_worker_memory_bytes;

	if (limit == 0 || now_ms < g->sample_ms)
		return;
	g->sample_ms = now_ms + SAMPLE_MS;
	for (size_t i = 0; i < g->room; i++) {
		struct child *c = &g->children[i];

		if (c->pid != 0 && c->ready_ms != 0 && !c->leaving &&
		    !c->born_heavy)
			c->memory = (int64_t)process_memory(c->pid);
	}
}

/* Whether it is to be replaced; says why. */
static bool
is_due(struct generation *g, struct child *c, int64_t now_ms)
{
	size_t slot = (size_t)(c - g->children);
	const struct score_worker *w = scoreboard_worker(g->board, slot);
	int64_t limit = g->settings->max_worker_memory_bytes;

	if (c->pid == 0 || c->ready_ms == 0 || c->leaving)
		return false;
	if (atomic_load(&w->state) == WORKER_RETIRING) {
		/* It said so itself, as after max_requests. */
		c->why = 1 + (atomic_load(&w->stuck) ? RESTART_STUCK :
						       RESTART_MAX_REQUESTS);
		return true;
	}
	if (c->why != 0)
		return true; /* somebody asked for it */
	if (now_ms >= c->retire_ms) {
		c->why = 1 + RESTART_LIFETIME;
		log_info("Worker (pid:%d) is replaced: it has served for %lld "
			 "s (max_worker_lifetime)",
		    (int)c->pid, (long long)(now_ms - c->ready_ms) / 1000);
		return true;
	}
	if (limit > 0 && c->memory > limit) {
		c->why = 1 + RESTART_MEMORY;
		log_info("Worker (pid:%d) is replaced: it takes %lld MB of "
			 "memory (max_worker_memory)",
		    (int)c->pid, (long long)(c->memory >> 20));
		return true;
	}
	return false;
}

/* How many more may be replaced now. */
static size_t
places(const struct generation *g)
{
	size_t limit = (size_t)g->settings->max_recycling, taken = 0;

	if (!g->complete || g->retired)
		return 0;
	for (size_t i = 0; i < g->room; i++)
		taken += g->children[i].pid != 0 && g->children[i].retiring;
	return taken < limit ? limit - taken : 0;
}

void
recycle_due(struct generation *g, int64_t now_ms)
{
	size_t left = places(g);

	sample(g, now_ms);
	for (size_t i = 0; i < g->room && left > 0; i++) {
		struct child *c = &g->children[i];

		if (!is_due(g, c, now_ms))
			continue;
		c->leaving = c->retiring = true;
		left--;
	}
}

int64_t
recycle_deadline(const struct generation *g)
{
	int64_t due = CLOCK_NEVER;

	if (!g->complete || g->retired)
		return CLOCK_NEVER;
	if (g->settings->max_worker_memory_bytes > 0)
		due = g->sample_ms;
	/* Without a place, the end of a replacement wakes us. */
	for (size_t i = 0; i < g->room && places(g) > 0; i++) {
		const struct child *c = &g->children[i];

		if (c->pid != 0 && c->ready_ms != 0 && !c->leaving &&
		    c->retire_ms < due)
			due = c->retire_ms;
	}
	return due;
}
