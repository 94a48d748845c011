/* SPDX-License-Identifier: MIT */
#include "arbiter/death.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "arbiter/arbiter_private.h"
#include "base/process.h"
#include "base/sender.h"
#include "log/log.h"
#include "score/ledger.h"
#include "worker/scoreboard.h"
#include "worker/worker.h"

/* Before anything has worked, so many failed boots are enough. */
#define BOOTS_MAX 6

#define TEXT_MAX 320

/* --- in words ------------------------------------------------------------- */

static const char *
killed_for(const struct child *c)
{
	if (c->late)
		return "it was not ready within boot_timeout";
	return c->silent ? "it was silent" : "it did not leave in time";
}

/* SIGKILL, which was not the arbiter's. */
static void
describe_kill(struct arbiter *a, const struct death *d, int64_t now_ms,
    char out[TEXT_MAX])
{
	int pid = (int)d->was.pid;

	if (oom_claim(&a->oom, now_ms))
		snprintf(out, TEXT_MAX,
		    "Worker (pid:%d) was sent SIGKILL! Out of memory: the "
		    "kernel's OOM killer did it (oom_kill in %.150s).",
		    pid, a->oom.path);
	else if (a->oom.path[0] != '\0')
		snprintf(out, TEXT_MAX,
		    "Worker (pid:%d) was sent SIGKILL by some other process: "
		    "the arbiter did not do it, nor has the kernel's OOM "
		    "killer.",
		    pid);
	else
		snprintf(out, TEXT_MAX,
		    "Worker (pid:%d) was sent SIGKILL! Perhaps out of memory?",
		    pid);
}

static void
describe_signal(const struct death *d, char out[TEXT_MAX])
{
	const char *name = process_signal(d->number);
	const char *core = WCOREDUMP(d->status) ? " (core dumped)" : "";

	if (name == NULL)
		snprintf(out, TEXT_MAX, "Worker (pid:%d) was sent signal %d!%s",
		    (int)d->was.pid, d->number, core);
	else
		snprintf(out, TEXT_MAX, "Worker (pid:%d) was sent SIG%s!%s",
		    (int)d->was.pid, name, core);
}

/* " after SIGTERM by pid 12 (bash), user 0", when it has noted one. */
static void
describe_sender(const struct score_worker *w, char *out, size_t room)
{
	int number = atomic_load(&w->signal);
	const struct sender sender = {
		.code = atomic_load(&w->signal_code),
		.pid = atomic_load(&w->signal_pid),
		.uid = atomic_load(&w->signal_uid),
	};
	const char *name = number > 0 ? process_signal(number) : NULL;
	char text[SENDER_TEXT_MAX];

	out[0] = '\0';
	if (name == NULL)
		return;
	sender_text(&sender, text);
	snprintf(out, room, " after SIG%s by %s", name, text);
}

static void
describe_exit(const struct death *d, char out[TEXT_MAX])
{
	const struct score_worker *w = scoreboard_worker(d->g->board, d->slot);
	char sender[SENDER_TEXT_MAX + 32];

	describe_sender(w, sender, sizeof(sender));
	snprintf(out, TEXT_MAX, "Worker (pid:%d) exited with code %d%s.",
	    (int)d->was.pid, d->code, sender);
}

static enum log_level
level_of(const struct death *d)
{
	bool asked = d->was.leaving;

	if (d->number == SIGKILL && d->was.killed)
		return d->was.late ? LEVEL_ERROR : LEVEL_WARNING;
	if (d->number == SIGKILL || d->code > 0)
		return LEVEL_ERROR;
	if (d->number == 0)
		return asked ? LEVEL_DEBUG : LEVEL_INFO;
	if (asked && (d->number == SIGTERM || d->number == SIGINT))
		return LEVEL_DEBUG;
	return d->number == SIGTERM ? LEVEL_INFO : LEVEL_WARNING;
}

static void
describe(struct arbiter *a, const struct death *d, int64_t now_ms,
    char out[TEXT_MAX])
{
	if (d->number == SIGKILL && d->was.killed)
		snprintf(out, TEXT_MAX,
		    "Worker (pid:%d) was sent SIGKILL by the arbiter: %s.",
		    (int)d->was.pid, killed_for(&d->was));
	else if (d->number == SIGKILL)
		describe_kill(a, d, now_ms, out);
	else if (d->number != 0)
		describe_signal(d, out);
	else
		describe_exit(d, out);
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
		log_error("Worker (pid:%d) was running: %s (for %.1f s)",
		    (int)d->was.pid, what,
		    (double)(now_ms - started_ms) / 1000);
		count++;
	}
	return count;
}

/*
 * What else it had: requests without a thread, which have no name here, and
 * connections that were idle, in the middle of a request or taking a response.
 * The worker's own counts, as they were when it died.
 */
static unsigned
log_rest(const struct death *d, unsigned running)
{
	const struct score_worker *w = scoreboard_worker(d->g->board, d->slot);
	unsigned queued = atomic_load(&w->load.queued);
	unsigned open = atomic_load(&w->connections);
	unsigned others = open > running + queued ? open - running - queued : 0;

	if (queued > 0)
		log_error("Worker (pid:%d) had %u request%s queued that did "
			  "not run, and %u other connection%s",
		    (int)d->was.pid, queued, queued == 1 ? "" : "s", others,
		    others == 1 ? "" : "s");
	else if (others > 0 && !(d->was.leaving && running == 0))
		log_info("Worker (pid:%d) had no request queued, and %u other "
			 "connection%s",
		    (int)d->was.pid, others, others == 1 ? "" : "s");
	return queued;
}

/* --- counting ------------------------------------------------------------- */

/* Why it is gone: enum restart_id. */
static int
reason_of(const struct arbiter *a, const struct death *d)
{
	if (d->was.silent)
		return RESTART_TIMEOUT;
	if (d->was.late || (d->was.ready_ms == 0 && !d->was.leaving))
		return RESTART_BOOT;
	if (d->number == SIGKILL && !d->was.killed)
		return RESTART_KILLED;
	if (d->was.why != 0)
		return d->was.why - 1;
	if (d->was.leaving && a->stop != STOP_NOT)
		return RESTART_STOP;
	if (d->was.leaving)
		return d->g->retired ? RESTART_RELOAD : RESTART_SCALE;
	return d->number != 0 ? RESTART_SIGNALED : RESTART_EXITED;
}

/* Neither we nor another process ended it. */
static bool
by_itself(const struct death *d)
{
	return !d->was.silent && d->number != SIGKILL && d->number != SIGTERM &&
	    d->number != SIGINT && d->number != SIGQUIT &&
	    atomic_load(&scoreboard_worker(d->g->board, d->slot)->signal) == 0;
}

/* How soon the next one comes, and when there will be none. */
static void
log_delay(const struct arbiter *a, const struct backoff *b,
    const struct settings *s, int64_t now_ms)
{
	char most[48] = "";

	if (s->crash_limit > 0)
		snprintf(most, sizeof(most), " of %lld",
		    (long long)s->crash_limit);
	log_warning("Workers do not last: attempt %u%s in %.1f s. The last "
		    "one: %s",
	    b->waves + 1, most,
	    (double)(b->next_ms > now_ms ? b->next_ms - now_ms : 0) / 1000,
	    a->last_death);
}

/* It was the last attempt, see crash_loop(): nobody is left who serves. */
static bool
is_enough(const struct generation *g, size_t ready)
{
	return g->settings->crash_limit > 0 &&
	    g->backoff.waves >= (uint64_t)g->settings->crash_limit &&
	    ready == 0;
}

/* It still counts among those of its generation when its death is noted. */
static size_t
others_ready(const struct death *d)
{
	return generation_ready(d->g) -
	    (d->was.ready_ms != 0 && !d->was.leaving);
}

static void
count(struct arbiter *a, const struct death *d, unsigned running,
    int64_t now_ms)
{
	const struct backoff_death how = {
		.was_ready = d->was.ready_ms != 0,
		.lived_ms = now_ms - d->was.ready_ms,
		.by_itself = running == 0 && by_itself(d),
	};
	struct backoff *b = &d->g->backoff;
	unsigned waves = b->waves;

	if (d->was.leaving && !d->was.silent)
		return;
	backoff_died(b, how, now_ms);
	if (a->started && d->g == a->serving && b->waves > waves &&
	    b->waves > 1 &&
	    (a->candidate != NULL || !is_enough(d->g, others_ready(d))))
		log_delay(a, b, d->g->settings, now_ms);
}

void
death_note(struct arbiter *a, struct death *d, int64_t now_ms)
{
	char text[TEXT_MAX];
	unsigned running, queued;

	memcpy(d->why, scoreboard_worker(d->g->board, d->slot)->why,
	    sizeof(d->why));
	d->why[sizeof(d->why) - 1] = '\0';
	describe(a, d, now_ms, text);
	log_at(level_of(d), "%s", text);
	running = log_requests(d, now_ms);
	queued = log_rest(d, running);
	/* Only its own words are better than ours. */
	snprintf(a->last_death, sizeof(a->last_death), "%.*s",
	    (int)sizeof(a->last_death) - 1,
	    d->why[0] != '\0' ? d->why : text);
	count(a, d, running, now_ms);
	account_death(a, d->g, d->slot, reason_of(a, d),
	    running + queued);
}

/* --- consequences --------------------------------------------------------- */

static void
give_up(struct arbiter *a, int exit_code, const char *what)
{
	snprintf(a->reason_text, sizeof(a->reason_text), "%s %.*s", what,
	    (int)sizeof(a->last_death), a->last_death);
	stop_halt(a, exit_code, a->reason_text);
}

/* A worker that was not told to leave has died before it was READY. */
static void
boot_failed(struct arbiter *a, const struct death *d)
{
	char why[NOTIFY_STATUS_MAX];

	if (d->g == a->candidate) {
		snprintf(why, sizeof(why),
		    "worker (pid:%d) did not boot%s%.160s",
		    (int)d->was.pid,
		    d->was.late ? " within boot_timeout" : ": ",
		    d->was.late ? "" : a->last_death);
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
	else if (d->code == WORKER_EXIT_BOOT)
		stop_halt(a, WORKER_EXIT_BOOT, "Worker failed to boot.");
	else if (d->g->backoff.failures >= BOOTS_MAX)
		give_up(a, WORKER_EXIT_BOOT, "Worker failed to boot.");
}

/* One after the other dies, and nobody is left who serves. */
static void
crash_loop(struct arbiter *a, const struct death *d)
{
	struct generation *g = d->g;
	char what[96];

	if (a->stop != STOP_NOT || g != a->serving || a->candidate != NULL ||
	    !is_enough(g, generation_ready(g)))
		return;
	snprintf(what, sizeof(what),
	    "Workers do not last: given up after %u attempt%s.",
	    g->backoff.waves, g->backoff.waves == 1 ? "" : "s");
	give_up(a,
	    d->code == WORKER_EXIT_APP ? WORKER_EXIT_APP : WORKER_EXIT_BOOT,
	    what);
}

void
death_heed(struct arbiter *a, const struct death *d)
{
	if (d->was.ready_ms == 0 && !d->was.leaving)
		boot_failed(a, d);
	if (!d->was.leaving)
		crash_loop(a, d);
}
