/* SPDX-License-Identifier: MIT */
/* Stopping, and generations that leave. */
#include <signal.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "base/clock.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/scoreboard.h"

/* How long a quick stop waits for the workers. */
#define QUICK_MS 2000

/*
 * Its sockets are closed first: once the last worker has closed them too,
 * new clients are refused and not left waiting.
 */
void
stop_retire(struct arbiter *a, struct generation *g)
{
	struct sockets_peers peers = { { NULL, NULL } };

	if (g == a->serving)
		a->serving = NULL;
	if (g == a->candidate)
		a->candidate = NULL;
	if (a->serving != NULL)
		peers.sets[0] = &a->serving->sockets;
	if (a->candidate != NULL)
		peers.sets[1] = &a->candidate->sockets;
	/* The new arbiter of an upgrade has the same paths. */
	if (a->upgrade.successor == 0 && a->upgrade.predecessor == 0)
		sockets_quiet(&g->sockets, &peers);
	if (a->upgrade.successor != 0)
		sockets_forget(&g->sockets);
	else
		sockets_close(&g->sockets, &peers);
	if (a->serving != NULL)
		sockets_settle(&a->serving->sockets, a->serving->settings);
	template_end(g);
	hooks_give_up(g->hooks);
	g->retired = true;
	g->next = a->retired;
	a->retired = g;
	/* In a hurry, a TERM in front would hide the INT that follows. */
	if (a->stop < STOP_QUICK && !g->lingers)
		children_dismiss(g, SIGTERM,
		    clock_ms() + g->settings->graceful_timeout_ms);
}

/*
 * A candidate that has taken places of those that serve: until they have
 * them back, or the next candidate has, its workers are needed.
 */
void
stop_replaced(struct arbiter *a, struct generation *g)
{
	g->lingers = g->failed ||
	    (a->serving != NULL && a->serving->handed > 0);
	if (a->serving != NULL)
		a->serving->handed = 0;
	stop_retire(a, g);
}

void
stop_lingering(struct arbiter *a)
{
	int64_t now_ms = clock_ms();

	for (struct generation *g = a->retired; g != NULL; g = g->next) {
		if (!g->lingers)
			continue;
		g->lingers = false;
		children_dismiss(g, SIGTERM,
		    now_ms + g->settings->graceful_timeout_ms);
	}
}

/* Workers that have no handler yet would dump their core on SIGQUIT. */
static void
dismiss_all(struct arbiter *a, enum arbiter_stop how)
{
	int64_t now_ms = clock_ms();

	if (how == STOP_GRACEFUL)
		stop_lingering(a);
	for (struct generation *g = a->retired; g != NULL; g = g->next) {
		if (how == STOP_QUICK)
			children_dismiss(g, SIGINT, now_ms + QUICK_MS);
		if (how == STOP_NOW)
			children_dismiss(g, 0, now_ms); /* watch.c kills */
	}
}

/* What health_path answers from now on. */
static void
announce_stop(struct arbiter *a)
{
	struct generation *lists[] = { a->serving, a->candidate, a->retired };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (struct generation *g = lists[i]; g != NULL; g = g->next)
			for (size_t slot = 0; slot < g->room; slot++)
				atomic_store(&scoreboard_worker(g->board,
						  slot)->stopping,
				    true);
	notify_stopping(&a->notify);
}

/* Whether clients get some time to notice.  Before the start there are none. */
static bool
delay(struct arbiter *a)
{
	int64_t ms;

	if (a->serving == NULL || !a->started)
		return false;
	ms = a->serving->settings->shutdown_delay_ms;
	if (ms == 0)
		return false;
	log_info("Serving for another %g s", (double)ms / 1000);
	a->stop = STOP_LATER;
	a->stop_ms = clock_ms() + ms;
	if (a->candidate != NULL)
		stop_replaced(a, a->candidate);
	return true;
}

void
stop_continue(struct arbiter *a, int64_t now_ms)
{
	if (a->stop == STOP_LATER && now_ms >= a->stop_ms)
		stop_begin(a, STOP_GRACEFUL);
}

void
stop_begin(struct arbiter *a, enum arbiter_stop how)
{
	reload_forget(a);
	if (a->stop == STOP_NOT && a->upgrade.successor == 0) {
		announce_stop(a);
		if (how == STOP_GRACEFUL && delay(a))
			return;
	}
	/* Whoever asks again is in a hurry. */
	if (a->stop == STOP_GRACEFUL && how == STOP_GRACEFUL)
		how = STOP_QUICK;
	else if (a->stop >= STOP_QUICK)
		how = STOP_NOW;
	a->stop = how;
	if (a->candidate != NULL)
		stop_retire(a, a->candidate);
	if (a->serving != NULL)
		stop_retire(a, a->serving);
	dismiss_all(a, how);
}

void
stop_halt(struct arbiter *a, int exit_code, const char *reason)
{
	a->exit_code = exit_code;
	a->reason = reason;
	stop_begin(a, STOP_QUICK);
}
