/* SPDX-License-Identifier: MIT */
/*
 * Reloading: the new settings are read aside, and a candidate generation
 * boots by them.  The one that serves is not touched before every worker of
 * the candidate is READY; when anything fails before, it just serves on.
 */
#include <stdio.h>
#include <string.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "arbiter/limits.h"
#include "arbiter/logs.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/title.h"
#include "conf/conf.h"
#include "conf/table.h"
#include "log/log.h"
#include "score/ledger.h"
#include "worker/helper.h"

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What cannot change while it runs stays as it was. */
static void
keep_fixed(const struct arbiter *a, struct settings *s)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const char *name = setting_table[i].name;

		if (setting_table[i].when == WHEN_RESTART &&
		    !same_text(settings_text(s, name),
			settings_text(a->serving->settings, name)))
			log_warning("%s was changed: that counts from the next "
				    "start on",
			    name);
	}
	s->uid = a->uid;
	s->gid = a->gid;
	s->reuse_port = a->serving->settings->reuse_port;
}

static void
get_peers(const struct arbiter *a, struct sockets_peers *out)
{
	out->sets[0] = &a->serving->sockets;
	out->sets[1] = a->candidate != NULL ? &a->candidate->sockets : NULL;
}

/* s is taken. */
static int
make_candidate(struct arbiter *a, struct settings *s,
    struct generation **out, struct err *err)
{
	struct sockets_peers peers;
	struct generation *g;

	*out = NULL;
	get_peers(a, &peers);
	keep_fixed(a, s);
	if (generation_new(a->generations + 1, s, &g, err) != 0)
		return -1;
	if (sockets_open(&g->sockets, &a->inherited, s, &peers, err) == 0 &&
	    certificates_load(a, g, err) == 0 &&
	    hooks_launch(a, g, err) == 0 &&
	    logs_open(s, a->serving->settings, err) == 0) {
		*out = g;
		return 0;
	}
	sockets_close(&g->sockets, &peers);
	hooks_give_up(g->hooks);
	generation_free(&g);
	return -1;
}

static void
refuse(struct arbiter *a, const char *why)
{
	snprintf(a->reload_error, sizeof(a->reload_error), "%.*s",
	    (int)sizeof(a->reload_error) - 1, why);
	ledger_count(&a->ledger->failed_reloads, 1);
	/* While another candidate boots, the reload is not over. */
	if (a->started && a->candidate == NULL && !a->reading.busy)
		notify_ready(&a->notify, clock_ms());
	log_error("Reload failed: %s; generation %u serves on", why,
	    a->serving->number);
}

static void
tell_reload(struct generation *g)
{
	const struct helper_message m = {
		.moment = BICORN_ON_RELOAD,
		.workers = (uint32_t)g->wanted,
	};

	hooks_tell(g->hooks, &m);
}

/* There is a candidate. */
static void
begin(struct arbiter *a, struct generation *g)
{
	struct generation *replaced = a->candidate;

	a->generations = g->number;
	a->candidate = g; /* what it shares with the other one stays open */
	if (replaced != NULL) {
		log_info("Another reload: generation %u is given up",
		    replaced->number);
		stop_replaced(a, replaced);
	}
	/* Before everybody is there, nobody has a place to give. */
	if (a->serving->complete)
		g->step = (size_t)g->settings->reload_step;
	a->serving->handed = 0;
	certificates_watch_files(a);
	control_began(a, g);
	generation_log_settings(g->settings);
	limits_raise(g->settings);
}

/* Reads the settings, as far as that goes now, and begins with them. */
static void
go_on(struct arbiter *a)
{
	struct generation *g = NULL;
	struct settings *s;
	struct err err;

	switch (reading_step(a, &s, &err)) {
	case READING_WAITS:
		return;
	case READING_DONE:
		if (make_candidate(a, s, &g, &err) == 0)
			begin(a, g);
		break;
	case READING_FAILED:
		break;
	}
	if (g == NULL)
		refuse(a, err.text);
	control_reloads(a, g, err.text);
}

void
reload_begin(struct arbiter *a)
{
	struct err err;

	log_info("Hang up: Master");
	if (a->reading.busy)
		log_info("Another reload: the settings are read once more");
	if (a->started)
		notify_reloading(&a->notify);
	if (pidfile_restore(&a->pidfile, &err) != 0)
		log_error("%s", err.text);
	control_restore(a);
	reading_begin(a);
	go_on(a);
}

void
reload_forget(struct arbiter *a)
{
	if (!a->reading.busy)
		return;
	reading_drop(a);
	control_reloads(a, NULL, "it is stopping");
}

static void
tell_number(struct generation *g, size_t before)
{
	const struct helper_message m = {
		.moment = BICORN_NWORKERS_CHANGED,
		.workers = (uint32_t)g->wanted,
		.workers_before = (uint32_t)before,
	};

	if (g->wanted != before)
		hooks_tell(g->hooks, &m);
}

void
reload_finish(struct arbiter *a)
{
	struct generation *old = a->serving;

	a->serving = a->candidate;
	a->candidate = NULL;
	a->serving->step = 0;
	a->reload_error[0] = '\0';
	ledger_count(&a->ledger->reloads, 1);
	title_set(a->title, "bicorn: master [%s]",
	    generation_name(a->serving));
	generation_announce(a->serving);
	sockets_give(&a->serving->sockets, a->serving->settings);
	certificates_watch_files(a);
	hooks_drop(&a->hooks);
	a->hooks = hooks_hold(a->serving->hooks);
	tell_number(a->serving, old->wanted);
	stop_retire(a, old);
}

void
reload_abandon(struct arbiter *a, const char *why)
{
	struct generation *g = a->candidate;
	struct err err;

	if (g->failed)
		return; /* that is known */
	if (logs_open(a->serving->settings, g->settings, &err) != 0)
		log_error("%s", err.text);
	if (a->serving->handed > 0) {
		g->failed = true;
		a->serving->handed = 0;
	} else {
		stop_retire(a, g);
	}
	certificates_watch_files(a);
	refuse(a, why);
}

/* The candidate's helper: without it no worker is made. */
static void
watch_hooks(struct arbiter *a)
{
	struct generation *g = a->candidate;
	struct err err;

	if (g == NULL || !hooks_are_booting(g->hooks))
		return;
	switch (hooks_watch(g, clock_ms(), &err)) {
	case 1:
		hooks_tell_listeners(g->hooks, &g->sockets);
		tell_reload(g);
		break;
	case -1:
		reload_abandon(a, err.text);
		break;
	default:
		break;
	}
}

/*
 * The places of the old workers go to the new ones as these get READY, so
 * that there are never fewer than before.  When it fails half-way, the new
 * ones stay until the old are back.
 */
void
reload_continue(struct arbiter *a, int64_t now_ms)
{
	struct generation *g;

	if (a->reading.busy)
		go_on(a);
	watch_hooks(a);
	g = a->candidate;
	if (a->serving != NULL &&
	    (generation_full(a->serving) || a->serving->wanted == 0))
		stop_lingering(a);
	if (g == NULL || a->serving == NULL || g->step == 0)
		return;
	if (!g->failed) {
		a->serving->handed = generation_ready(g);
	} else if (generation_full(a->serving)) {
		stop_retire(a, g);
		notify_ready(&a->notify, now_ms);
	}
}
