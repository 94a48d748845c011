/* SPDX-License-Identifier: MIT */
/*
 * Watching the workers over the scoreboard: what they report, and whether
 * they still show signs of life.
 */
#include <signal.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "base/clock.h"
#include "log/log.h"
#include "worker/scoreboard.h"

/* Heartbeats are looked at no more often than this. */
#define LOOK_MS 1000

/* A worker beats about once a second: a shorter limit kills healthy ones. */
#define TIMEOUT_MIN_MS 2000

/* After SIGABRT, for a last word. */
#define ABORT_MS 1000

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static struct score_worker *
score_of(const struct generation *g, size_t slot)
{
	return scoreboard_worker(g->board, slot);
}

/* When the worker counts as silent; CLOCK_NEVER: it cannot. */
static int64_t
silent_at(const struct arbiter *a, const struct generation *g, size_t slot)
{
	const struct child *c = &g->children[slot];
	int64_t limit = g->settings->timeout_ms, beat;

	if (limit == 0 || c->pid == 0 || c->ready_ms == 0 || c->silent ||
	    c->killed)
		return CLOCK_NEVER;
	if (limit < TIMEOUT_MIN_MS)
		limit = TIMEOUT_MIN_MS;
	beat = atomic_load(&score_of(g, slot)->beat_ms);
	if (beat == 0)
		return CLOCK_NEVER;
	if (beat < a->awake_ms) /* while we slept, nobody was watched */
		beat = a->awake_ms;
	return beat + limit;
}

/* When the worker has booted for too long; CLOCK_NEVER: it cannot. */
static int64_t
late_at(const struct arbiter *a, const struct generation *g, size_t slot)
{
	const struct child *c = &g->children[slot];
	int64_t limit = g->settings->boot_timeout_ms;

	if (limit == 0 || c->pid == 0 || c->ready_ms != 0 || c->leaving ||
	    c->killed)
		return CLOCK_NEVER;
	/* While we slept, it did as well. */
	return limit +
	    (c->forked_ms < a->awake_ms ? a->awake_ms : c->forked_ms);
}

static void
became_ready(struct generation *g, struct child *c, int64_t now_ms)
{
	c->ready_ms = now_ms;
	g->proven = true;
	recycle_born(g, c, now_ms);
	if (c->reopen)
		kill(c->pid, SIGUSR1);
	c->reopen = false;
}

void
watch_state(struct generation *g, size_t slot, int64_t now_ms)
{
	struct child *c = &g->children[slot];
	int state = atomic_load(&score_of(g, slot)->state);

	if (state >= WORKER_READY && c->ready_ms == 0)
		became_ready(g, c, now_ms);
	/* It leaves on its own. */
	if (state == WORKER_DRAINING && !c->leaving) {
		c->leaving = true;
		c->kill_ms = now_ms + g->settings->graceful_timeout_ms;
	}
}

static void
act_on_deadlines(struct arbiter *a, struct generation *g, size_t slot,
    int64_t now_ms)
{
	struct child *c = &g->children[slot];

	if (now_ms >= silent_at(a, g, slot)) {
		log_critical("WORKER TIMEOUT (pid:%d)", (int)c->pid);
		kill(c->pid, SIGABRT);
		c->silent = true;
		c->leaving = true;
		c->kill_ms = now_ms + ABORT_MS;
	}
	if (now_ms >= late_at(a, g, slot)) {
		c->late = true;
		c->kill_ms = now_ms;
	}
	if (now_ms >= c->kill_ms) {
		c->killed = true;
		c->kill_ms = CLOCK_NEVER;
		kill(c->pid, SIGKILL);
	}
}

/*
 * One that boots has boot_timeout to watch over it, unless those before it
 * have failed: then nobody knows whether it ever comes to serving.
 */
static bool
is_alive(const struct arbiter *a, const struct generation *g, size_t slot,
    int64_t now_ms)
{
	const struct child *c = &g->children[slot];

	if (c->pid == 0 || (c->leaving && !c->retiring) || c->killed)
		return false;
	if (c->ready_ms == 0)
		return g->backoff.failures == 0;
	return now_ms < silent_at(a, g, slot);
}

bool
watch_alive(const struct arbiter *a, const struct generation *g,
    int64_t now_ms)
{
	if (g->wanted == 0)
		return true; /* they were sent home */
	for (size_t i = 0; i < g->room; i++)
		if (is_alive(a, g, i, now_ms))
			return true;
	return false;
}

/* The successors are there: who waited for them may go. */
static void
relieve(struct generation *g, int64_t now_ms)
{
	for (size_t i = 0; i < g->room; i++) {
		struct child *c = &g->children[i];

		if (c->pid == 0 || !c->retiring)
			continue;
		c->retiring = false;
		c->kill_ms = earlier(c->kill_ms,
		    now_ms + g->settings->graceful_timeout_ms);
		kill(c->pid, SIGTERM);
	}
}

/*
 * A file of the application has changed.  All workers see the same change,
 * which reloads once.
 */
static void
watch_files(struct arbiter *a, struct generation *g, size_t slot)
{
	int64_t changed_ns = atomic_load(&score_of(g, slot)->changed_ns);

	if (g->retired || changed_ns <= a->changed_ns)
		return;
	a->changed_ns = changed_ns;
	a->changed = true;
}

void
watch_generation(struct arbiter *a, struct generation *g, int64_t now_ms)
{
	for (size_t i = 0; i < g->room; i++) {
		if (g->children[i].pid == 0)
			continue;
		watch_state(g, i, now_ms);
		watch_files(a, g, i);
		act_on_deadlines(a, g, i, now_ms);
	}
	template_watch(g, now_ms);
	if (generation_full(g))
		relieve(g, now_ms);
}

int64_t
watch_deadline(const struct arbiter *a, const struct generation *g)
{
	int64_t due = CLOCK_NEVER, silent = CLOCK_NEVER;
	for (size_t i = 0; i < g->room; i++) {
		if (g->children[i].pid == 0)
			continue;
		due = earlier(due, g->children[i].kill_ms);
		due = earlier(due, late_at(a, g, i));
		silent = earlier(silent, silent_at(a, g, i));
	}
	if (silent < a->looked_ms + LOOK_MS)
		silent = a->looked_ms + LOOK_MS;
	due = earlier(due, recycle_deadline(g));
	due = earlier(due, template_deadline(g));
	due = earlier(due, hooks_deadline(g->hooks));
	if (!g->retired && !template_is_booting(g) &&
	    !hooks_are_booting(g->hooks) &&
	    generation_active(g) < generation_target(g))
		due = earlier(due, g->backoff.next_ms);
	return earlier(due, silent);
}
