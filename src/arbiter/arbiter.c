/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's loop: it sleeps until a signal, a worker's report or a
 * deadline, takes notice of all of them, and does what is due.
 */
#include "arbiter/arbiter.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "arbiter/logs.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/title.h"
#include "log/access.h"
#include "log/log.h"
#include "worker/helper.h"
#include "worker/scoreboard.h"

/* Having overslept by so much, we were stopped and not just busy. */
#define OVERSLEPT_MS 2000

/* In an upgrade, how often to look whether the old arbiter is gone. */
#define PARENT_MS 200

#define SLEEP_MAX_MS (3600 * 1000)

/* For on_exit. */
#define ON_EXIT_MS 5000

/* --- signals -------------------------------------------------------------- */

static void
tell_number(struct generation *g, size_t before, size_t now)
{
	const struct helper_message m = {
		.moment = BICORN_NWORKERS_CHANGED,
		.workers = (uint32_t)now,
		.workers_before = (uint32_t)before,
	};

	hooks_tell(g->hooks, &m);
}

/* To the newest generation: the one that will be there in a moment. */
static void
change_workers(struct arbiter *a, int by)
{
	struct generation *g = a->candidate != NULL && !a->candidate->failed ?
	    a->candidate : a->serving;

	if (g == NULL || (by < 0 && g->wanted <= 1))
		return;
	if (by > 0 && g->wanted >= g->limit) {
		log_warning("No more than %zu workers before a reload",
		    g->limit);
		return;
	}
	tell_number(g, g->wanted, g->wanted + (size_t)by);
	g->wanted += (size_t)by;
	if (g->backoff.failures == 0)
		g->backoff.next_ms = 0;
}

void
arbiter_reopen_logs(struct arbiter *a)
{
	struct generation *lists[] = { a->serving, a->candidate, a->retired };
	struct err err;

	/* First here: a worker without privileges cannot make the file. */
	if (log_reopen(&err) != 0)
		log_error("%s", err.text);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (struct generation *g = lists[i]; g != NULL; g = g->next) {
			if (g->access != NULL &&
			    access_reopen(g->access, &err) != 0)
				log_error("%s", err.text);
			children_reopen(g);
		}
}

/*
 * A terminal sends it whenever it changes its size: it means something to
 * daemons, and during an upgrade when a process sent it.
 */
static bool
heeds_winch(const struct arbiter *a)
{
	return a->daemonised ||
	    (a->upgrade.successor != 0 && a->signals.sender.code <= 0);
}

static void
leave_without_workers(struct arbiter *a)
{
	if (!heeds_winch(a)) {
		log_debug("SIGWINCH ignored: not a daemon");
		return;
	}
	if (a->serving != NULL)
		a->serving->wanted = 0;
}

static void
act_on_signal(struct arbiter *a, int number)
{
	switch (number) {
	case SIGTERM:
		stop_begin(a, STOP_GRACEFUL);
		break;
	case SIGINT:
	case SIGQUIT:
		stop_begin(a, STOP_QUICK);
		break;
	case SIGHUP:
		if (a->stop == STOP_NOT)
			reload_begin(a);
		break;
	case SIGTTIN:
		change_workers(a, 1);
		break;
	case SIGTTOU:
		change_workers(a, -1);
		break;
	case SIGUSR1:
		arbiter_reopen_logs(a);
		break;
	case SIGUSR2:
		upgrade_begin(a);
		break;
	case SIGWINCH:
		leave_without_workers(a);
		break;
	}
}

static void
log_taken(const struct arbiter *a, int number)
{
	char name[16], sender[SENDER_TEXT_MAX];

	if (number == SIGCHLD || (number == SIGWINCH && !heeds_winch(a)))
		return;
	sender_text(&a->signals.sender, sender);
	log_info("Handling signal: %s, sent by %s", signals_name(number, name),
	    sender);
}

static void
take_signals(struct arbiter *a)
{
	int number;

	while ((number = signals_next(&a->signals)) != 0) {
		log_taken(a, number);
		act_on_signal(a, number);
	}
}

/* --- the loop ------------------------------------------------------------- */

static void
take_event(const struct generation *g)
{
	uint64_t count;
	ssize_t n;

	if (g == NULL)
		return;
	n = read(scoreboard_event(g->board), &count, sizeof(count));
	(void)n; /* nothing there is fine: the slots tell */
}

static int64_t
next_deadline(const struct arbiter *a)
{
	const struct generation *lists[] = { a->serving, a->candidate,
		a->retired };
	int64_t due = notify_deadline(&a->notify, a->looked_ms);

	if (a->upgrade.predecessor != 0 && a->looked_ms + PARENT_MS < due)
		due = a->looked_ms + PARENT_MS;

	if (control_deadline(a) < due)
		due = control_deadline(a);
	if (a->stop == STOP_LATER && a->stop_ms < due)
		due = a->stop_ms;
	if (logs_deadline(a) < due)
		due = logs_deadline(a);
	if (a->certificates.due_ms < due)
		due = a->certificates.due_ms;
	if (reading_deadline(a) < due)
		due = reading_deadline(a);

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct generation *g = lists[i]; g != NULL;
		     g = g->next) {
			int64_t its = watch_deadline(a, g);

			due = its < due ? its : due;
		}
	return due;
}

/* Sleeps until something happens. */
static void
sleep_until(struct arbiter *a, int64_t due)
{
	struct pollfd fds[] = {
		{ .fd = a->signals.fd, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
		{ .fd = a->certificates.fd, .events = POLLIN },
		{ .fd = a->control.fd, .events = POLLIN },
		{ .fd = reading_fd(a), .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
	};
	int64_t ms;

	if (a->serving != NULL)
		fds[1].fd = scoreboard_event(a->serving->board);
	if (a->candidate != NULL) {
		fds[2].fd = scoreboard_event(a->candidate->board);
		fds[6].fd = hooks_fd(a->candidate->hooks);
	}
	if (due > a->looked_ms + SLEEP_MAX_MS)
		due = a->looked_ms + SLEEP_MAX_MS;
	ms = due - clock_ms();
	poll(fds, sizeof(fds) / sizeof(fds[0]), ms < 0 ? 0 : (int)ms);
	a->due_ms = due > a->looked_ms ? due : a->looked_ms;
	take_event(a->serving);
	take_event(a->candidate);
}

static void
free_retired(struct arbiter *a)
{
	struct generation **at = &a->retired, *g;

	while ((g = *at) != NULL) {
		if (generation_alive(g) > 0) {
			at = &g->next;
			continue;
		}
		*at = g->next;
		control_ended(a, g);
		generation_free(&g);
	}
}

static void
announce_ready(const struct generation *g)
{
	log_info("Ready: %zu worker%s", g->wanted, g->wanted == 1 ? "" : "s");
}

static void
tell_started(struct generation *g)
{
	const struct helper_message m = {
		.moment = BICORN_WHEN_READY,
		.workers = (uint32_t)g->wanted,
	};

	tell_number(g, 0, g->wanted);
	hooks_tell(g->hooks, &m);
}

/* Everybody is there for the first time: who waits for that may know it. */
static bool
is_on_file(struct arbiter *a)
{
	struct err err;

	if (pidfile_write(&a->pidfile, &err) == 0)
		return true;
	snprintf(a->reason_text, sizeof(a->reason_text), "%.*s",
	    (int)sizeof(a->reason_text) - 1, err.text);
	stop_halt(a, 1, a->reason_text);
	return false;
}

/* The generation in service has all its workers for the first time. */
static void
complete_serving(struct arbiter *a)
{
	a->serving->complete = true;
	if (!is_on_file(a))
		return;
	if (!a->started)
		tell_started(a->serving);
	a->started = true;
	if (a->serving->settings->listen_when_ready)
		generation_announce(a->serving);
	announce_ready(a->serving);
	notify_ready(&a->notify, clock_ms());
	daemon_ready(&a->daemon);
}

static void
complete_candidate(struct arbiter *a)
{
	a->candidate->complete = true;
	if (!is_on_file(a))
		return;
	a->started = true;
	reload_finish(a);
	announce_ready(a->serving);
	if (!a->reading.busy) /* another reload is under way */
		notify_ready(&a->notify, clock_ms());
	daemon_ready(&a->daemon);
}

static void
do_what_is_due(struct arbiter *a)
{
	struct generation *lists[] = { a->serving, a->candidate, a->retired };
	int64_t now_ms = clock_ms();

	/*
	 * When this process was stopped, its workers were too, most likely:
	 * they get the chance to show that they live.
	 */
	if (now_ms > a->due_ms + OVERSLEPT_MS)
		a->awake_ms = now_ms;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (struct generation *g = lists[i]; g != NULL; g = g->next)
			watch_generation(a, g, now_ms);
	a->looked_ms = now_ms;
	if (a->changed && a->stop == STOP_NOT && a->serving != NULL)
		reload_begin(a);
	a->changed = false;
	oom_look(&a->oom, now_ms);
	reload_continue(a, now_ms);
	if (a->candidate != NULL && !a->candidate->failed &&
	    generation_full(a->candidate))
		complete_candidate(a);
	if (a->serving != NULL && !a->serving->complete &&
	    generation_full(a->serving))
		complete_serving(a);
	if (a->serving != NULL) {
		recycle_due(a->serving, now_ms);
		children_maintain(a, a->serving, now_ms);
	}
	if (a->candidate != NULL)
		children_maintain(a, a->candidate, now_ms);
	certificates_due(a, now_ms);
	stop_continue(a, now_ms);
	free_retired(a);
	account_state(a);
	control_maintain(a, now_ms);
	tell_manager(a, now_ms);
	logs_tell(a, now_ms);
}

static bool
is_over(const struct arbiter *a)
{
	return a->stop > STOP_LATER && a->retired == NULL;
}

static void
loop(struct arbiter *a)
{
	do_what_is_due(a);
	while (!is_over(a)) {
		sleep_until(a, next_deadline(a));
		/* Who ended the old arbiter may ask for an upgrade at once. */
		upgrade_continue(a);
		take_signals(a);
		control_obey(a);
		children_reap(a, clock_ms());
		do_what_is_due(a);
	}
}

/* --- beginning and end ---------------------------------------------------- */

/* A terminal that does not show the log is told as well. */
static void
say_why(const struct arbiter *a, const char *text)
{
	log_error("%s", text);
	if (a->log_elsewhere)
		log_complain("error", text);
}

static void
say_goodbye(const struct arbiter *a)
{
	enum log_level level = a->reason != NULL ? LEVEL_ERROR : LEVEL_INFO;

	log_at(level, "Shutting down: Master%s",
	    a->upgrade.predecessor != 0 ? ".2" : "");
	if (a->reason != NULL)
		log_at(level, "Reason: %s", a->reason);
}

/* The last word: whoever hears it finds everything cleaned up. */
static void
report(struct arbiter *a)
{
	if (a->reason != NULL)
		daemon_failed(&a->daemon, a->exit_code, a->reason);
	else
		daemon_ready(&a->daemon);
}

int
arbiter_run(int argc, char *const *argv, struct settings *s,
    struct title *title)
{
	struct arbiter a = {
		.argc = argc,
		.argv = argv,
		.title = title,
		.origin.fd = -1,
		.signals.fd = -1,
		.daemon.report = -1,
		.notify.fd = -1,
		.upgrade.counters = -1,
		.control.fd = -1,
	};
	struct err err = { "" };

	certificates_init(&a.certificates);
	if (boot_start(&a, s, &err) == 0) {
		title_set(title, "bicorn: master [%s]",
		    generation_name(a.serving));
		loop(&a);
		say_goodbye(&a);
		upgrade_leave(&a);
	} else if (err.text[0] != '\0') {
		say_why(&a, err.text);
		notify_status(&a.notify, err.text);
		a.reason = err.text;
		a.exit_code = 1;
	}
	log_statsd_set(NULL); /* which sends the rest */
	hooks_finish(a.hooks, ON_EXIT_MS);
	boot_undo(&a);
	report(&a);
	return a.exit_code;
}
