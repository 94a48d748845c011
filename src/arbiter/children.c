/* SPDX-License-Identifier: MIT */
/* The workers of a generation: forked, dismissed, collected. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/death.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "base/clock.h"
#include "log/log.h"
#include "worker/helper.h"
#include "worker/scoreboard.h"

/* When a fork failed, or there was no slot. */
#define FORK_RETRY_MS 1000

static struct child *
free_slot(const struct generation *g)
{
	for (size_t i = 0; i < g->room; i++)
		if (g->children[i].pid == 0)
			return &g->children[i];
	return NULL;
}

static size_t
slot_of(const struct generation *g, const struct child *c)
{
	return (size_t)(c - g->children);
}

static void
announce_slot(const struct arbiter *a, struct generation *g,
    const struct child *c)
{
	struct score_worker *w;

	scoreboard_clear(g->board, slot_of(g, c));
	w = scoreboard_worker(g->board, slot_of(g, c));
	atomic_store(&w->generation, g->number);
	atomic_store(&w->number, c->number);
	atomic_store(&w->forked_ms, c->forked_ms);
	atomic_store(&w->stopping, a->stop != STOP_NOT);
	atomic_store(&w->state, WORKER_BOOTING);
}

/* Before the fork, when the child has no pid yet, and after it. */
static void
tell_fork(struct generation *g, const struct child *c,
    enum bicorn_moment moment)
{
	const struct helper_message m = {
		.moment = moment,
		.worker = (int32_t)c->pid,
		.number = c->number,
		.workers = (uint32_t)g->wanted,
	};

	hooks_tell(g->hooks, &m);
}

static pid_t
make_process(struct arbiter *a, struct generation *g, size_t slot)
{
	pid_t pid;

	if (g->settings->preload_app)
		return template_fork(g, slot);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child_run(a, g, slot);
	return pid;
}

/* False when no worker could be made now. */
static bool
fork_one(struct arbiter *a, struct generation *g, int64_t now_ms)
{
	struct child *c = free_slot(g);
	pid_t pid;

	if (hooks_are_booting(g->hooks))
		return false;
	if (g->settings->preload_app && !template_is_ready(a, g, now_ms))
		return false;
	if (c == NULL) { /* too many are still leaving */
		g->backoff.next_ms = now_ms + FORK_RETRY_MS;
		return false;
	}
	*c = (struct child){
		.number = ++a->workers,
		.forked_ms = now_ms,
		.kill_ms = CLOCK_NEVER,
		.retire_ms = CLOCK_NEVER,
	};
	announce_slot(a, g, c);
	tell_fork(g, c, BICORN_PRE_FORK);
	pid = make_process(a, g, slot_of(g, c));
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		scoreboard_clear(g->board, slot_of(g, c));
		g->backoff.next_ms = now_ms + FORK_RETRY_MS;
		return false;
	}
	c->pid = pid;
	atomic_store(&scoreboard_worker(g->board, slot_of(g, c))->pid, pid);
	tell_fork(g, c, BICORN_FORKED);
	return true;
}

/*
 * One that does not serve yet has nothing to finish and just ends.  It has no
 * handlers; but Python brings one for SIGINT, whose exception would be told
 * as the application's failure to load.
 */
static void
dismiss(struct child *c, int number, int64_t kill_ms)
{
	if (c->pid == 0)
		return;
	if (c->ready_ms == 0 && number == SIGINT)
		number = SIGTERM;
	c->leaving = true;
	if (kill_ms < c->kill_ms)
		c->kill_ms = kill_ms;
	kill(c->pid, number);
}

void
children_dismiss(struct generation *g, int number, int64_t kill_ms)
{
	for (size_t i = 0; i < g->room; i++)
		dismiss(&g->children[i], number, kill_ms);
}

/* One that does not serve yet is missed by nobody, then the oldest goes. */
static bool
goes_before(const struct child *a, const struct child *b)
{
	if ((a->ready_ms == 0) != (b->ready_ms == 0))
		return a->ready_ms == 0;
	return a->number < b->number;
}

static struct child *
first_to_go(struct generation *g)
{
	struct child *first = NULL;

	for (size_t i = 0; i < g->room; i++) {
		struct child *c = &g->children[i];

		if (c->pid != 0 && !c->leaving &&
		    (first == NULL || goes_before(c, first)))
			first = c;
	}
	return first;
}

void
children_maintain(struct arbiter *a, struct generation *g, int64_t now_ms)
{
	size_t target = generation_target(g), active = generation_active(g);

	while (active < target && backoff_over(&g->backoff, now_ms) &&
	    fork_one(a, g, now_ms))
		active++;
	while (active > generation_keeps(g)) {
		dismiss(first_to_go(g), SIGTERM,
		    now_ms + g->settings->graceful_timeout_ms);
		active--;
	}
}

void
children_reopen(struct generation *g)
{
	g->template.reopen = true;
	for (size_t i = 0; i < g->room; i++) {
		struct child *c = &g->children[i];

		/* One that boots has no handler yet: it would die of it. */
		if (c->pid != 0 && c->ready_ms == 0)
			c->reopen = true;
		else if (c->pid != 0)
			kill(c->pid, SIGUSR1);
	}
}

/* --- deaths --------------------------------------------------------------- */

static void
tell_death(const struct death *d)
{
	const struct helper_message m = {
		.moment = BICORN_CHILD_EXIT,
		.worker = (int32_t)d->was.pid,
		.number = d->was.number,
		.status = d->status,
		.workers = (uint32_t)d->g->wanted,
	};

	hooks_tell(d->g->hooks, &m);
}

static void
bury(struct arbiter *a, struct death *d, int64_t now_ms)
{
	struct child *c = &d->g->children[d->slot];

	watch_state(d->g, d->slot, now_ms); /* its last words */
	d->was = *c;
	death_note(a, d, now_ms);
	tell_death(d);
	c->pid = 0;
	death_heed(a, d);
}

/* Whose it was; false: a stranger's. */
static bool
find_child(struct arbiter *a, pid_t pid, struct death *d)
{
	struct generation *lists[] = { a->serving, a->candidate, a->retired };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (d->g = lists[i]; d->g != NULL; d->g = d->g->next)
			for (d->slot = 0; d->slot < d->g->room; d->slot++)
				if (d->g->children[d->slot].pid == pid)
					return true;
	return false;
}

void
children_reap(struct arbiter *a, int64_t now_ms)
{
	struct death d;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, &d.status, WNOHANG);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return;
		d.code = WIFEXITED(d.status) ? WEXITSTATUS(d.status) : -1;
		d.number = WIFSIGNALED(d.status) ? WTERMSIG(d.status) : 0;
		if (control_reaped(a, pid, now_ms) ||
		    reading_ended(a, pid, d.status))
			continue;
		if (find_child(a, pid, &d))
			bury(a, &d, now_ms);
		else if (!template_ended(a, pid, d.status, now_ms) &&
		    !upgrade_ended(a, pid, d.status) &&
		    !hooks_ended(a, pid, d.status))
			log_debug("Reaped process %d, a stranger", (int)pid);
	}
}
