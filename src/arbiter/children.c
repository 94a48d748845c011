/* SPDX-License-Identifier: MIT */
/* The workers of a generation: forked, dismissed, collected. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "base/clock.h"
#include "log/log.h"
#include "score/ledger.h"
#include "worker/scoreboard.h"
#include "worker/worker.h"

/* Before anything has worked, so many failed boots are enough. */
#define BOOTS_MAX 6

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

/* False when no worker could be made now. */
static bool
fork_one(struct arbiter *a, struct generation *g, int64_t now_ms)
{
	struct child *c = free_slot(g);
	pid_t pid;

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
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child_run(a, g, slot_of(g, c));
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		scoreboard_clear(g->board, slot_of(g, c));
		g->backoff.next_ms = now_ms + FORK_RETRY_MS;
		return false;
	}
	c->pid = pid;
	atomic_store(&scoreboard_worker(g->board, slot_of(g, c))->pid, pid);
	return true;
}

static void
dismiss(struct child *c, int number, int64_t kill_ms)
{
	if (c->pid == 0)
		return;
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
	size_t target = g->wanted, active = generation_active(g);

	/*
	 * The first worker goes ahead alone: an application that does not
	 * load says so once and not once per worker.
	 */
	if (!g->proven && target > 1)
		target = 1;
	while (active < target && backoff_over(&g->backoff, now_ms) &&
	    fork_one(a, g, now_ms))
		active++;
	while (active > g->wanted) {
		dismiss(first_to_go(g), SIGTERM,
		    now_ms + g->settings->graceful_timeout_ms);
		active--;
	}
}

void
children_reopen(struct generation *g)
{
	for (size_t i = 0; i < g->room; i++) {
		struct child *c = &g->children[i];

		/* One that boots has no handler yet: it would die of it. */
		if (c->pid != 0 && c->ready_ms == 0)
			c->reopen = true;
		else if (c->pid != 0)
			kill(c->pid, SIGUSR1);
	}
}

/* --- deaths ---------------------------------------------------------------- */

/* How a worker ended. */
struct death {
	struct generation *g;
	size_t slot;
	struct child was; /* as it was: the slot is reused */
	int status;       /* of waitpid() */
	int code;         /* exit code, or -1 when a signal ended it */
	int number;       /* the signal, or 0 */
};

static const char *
killed_for(const struct child *c)
{
	if (c->late)
		return "it was not ready within boot_timeout";
	return c->silent ? "it was silent" : "it did not leave in time";
}

static void
log_signal(const struct death *d)
{
	const char *name = sigabbrev_np(d->number);
	const char *core = WCOREDUMP(d->status) ? " (core dumped)" : "";
	int pid = (int)d->was.pid;
	bool asked = d->was.leaving &&
	    (d->number == SIGTERM || d->number == SIGINT);

	if (d->number == SIGKILL && d->was.killed)
		log_at(d->was.late ? LEVEL_ERROR : LEVEL_WARNING,
		    "Worker (pid:%d) was sent SIGKILL by the arbiter: %s.",
		    pid, killed_for(&d->was));
	else if (d->number == SIGKILL)
		log_error("Worker (pid:%d) was sent SIGKILL! Perhaps out of "
			  "memory?",
		    pid);
	else if (name == NULL)
		log_warning("Worker (pid:%d) was sent signal %d!%s", pid,
		    d->number, core);
	else
		log_at(asked                    ? LEVEL_DEBUG :
			d->number == SIGTERM ? LEVEL_INFO :
					       LEVEL_WARNING,
		    "Worker (pid:%d) was sent SIG%s!%s", pid, name, core);
}

static void
log_death(const struct death *d)
{
	if (d->number != 0)
		log_signal(d);
	else if (d->code != 0)
		log_error("Worker (pid:%d) exited with code %d.",
		    (int)d->was.pid, d->code);
	else
		log_at(d->was.leaving ? LEVEL_DEBUG : LEVEL_INFO,
		    "Worker (pid:%d) exited with code 0.", (int)d->was.pid);
}

/*
 * What ran in it and has got no answer.  A worker that leaves in order, even
 * at the end of graceful_timeout, leaves the lines of what it gave up.
 */
static unsigned
log_requests(const struct death *d, int64_t now_ms)
{
	struct scoreboard *b = d->g->board;
	unsigned count = 0;

	for (size_t i = 0; i < scoreboard_threads(b); i++) {
		char what[1024];
		int64_t started_ms;

		if (!score_read(scoreboard_thread(b, d->slot, i), what,
			sizeof(what), &started_ms))
			continue;
		count++;
		log_error("Worker (pid:%d) was running: %s (for %.1f s)",
		    (int)d->was.pid, what,
		    (double)(now_ms - started_ms) / 1000);
	}
	return count;
}

/* Why it is gone: enum restart_id. */
static int
reason_of(const struct arbiter *a, const struct death *d)
{
	if (d->was.silent)
		return RESTART_TIMEOUT;
	if (d->was.late || (d->was.ready_ms == 0 && !d->was.leaving))
		return RESTART_BOOT;
	if (d->was.why != 0)
		return d->was.why - 1;
	if (d->was.leaving && a->stop != STOP_NOT)
		return RESTART_STOP;
	if (d->was.leaving)
		return d->g->retired ? RESTART_RELOAD : RESTART_SCALE;
	if (d->number == SIGKILL)
		return RESTART_KILLED;
	return d->number != 0 ? RESTART_SIGNALED : RESTART_EXITED;
}

static void
count_death(const struct death *d, int64_t now_ms)
{
	const struct backoff_death how = {
		.was_ready = d->was.ready_ms != 0,
		.lived_ms = now_ms - d->was.ready_ms,
	};

	if (!d->was.leaving || d->was.silent)
		backoff_died(&d->g->backoff, how, now_ms);
}

/* A worker that was not told to leave has died before it was READY. */
static void
boot_failed(struct arbiter *a, const struct death *d)
{
	char why[80];

	if (d->g == a->candidate) {
		snprintf(why, sizeof(why), "worker (pid:%d) did not boot%s",
		    (int)d->was.pid,
		    d->was.late ? " within boot_timeout" : "");
		reload_abandon(a, why);
		return;
	}
	if (a->started || a->candidate != NULL)
		return;
	if (d->code == WORKER_EXIT_APP)
		stop_halt(a, WORKER_EXIT_APP, "App failed to load.");
	else if (d->was.late)
		stop_halt(a, WORKER_EXIT_BOOT,
		    "Worker was not ready within boot_timeout.");
	else if (d->code == WORKER_EXIT_BOOT ||
	    d->g->backoff.failures >= BOOTS_MAX)
		stop_halt(a, WORKER_EXIT_BOOT, "Worker failed to boot.");
}

static void
bury(struct arbiter *a, struct death *d, int64_t now_ms)
{
	struct child *c = &d->g->children[d->slot];

	watch_state(d->g, d->slot, now_ms); /* its last words */
	d->was = *c;
	log_death(d);
	account_death(a, d->g, d->slot, reason_of(a, d),
	    log_requests(d, now_ms));
	count_death(d, now_ms);
	c->pid = 0;
	if (d->was.ready_ms == 0 && !d->was.leaving)
		boot_failed(a, d);
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
		if (find_child(a, pid, &d))
			bury(a, &d, now_ms);
		else
			log_debug("Reaped process %d, a stranger", (int)pid);
	}
}
