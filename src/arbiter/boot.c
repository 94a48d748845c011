/* SPDX-License-Identifier: MIT */
/* From the settings to the first generation. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "arbiter/activation.h"
#include "arbiter/arbiter.h"
#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "arbiter/limits.h"
#include "arbiter/logs.h"
#include "base/err.h"
#include "conf/conf.h"
#include "log/log.h"
#include "net/listen.h"
#include "score/ledger.h"
#include "worker/helper.h"
#include "worker/worker.h"

/* An address may be taken for a moment, by the one we replace. */
#define LISTEN_TRIES 5
#define LISTEN_RETRY_MS 1000

/* For on_starting, where boot_timeout sets no limit. */
#define STARTING_MS (3600 * 1000)

static int
open_surroundings(struct arbiter *a, const struct settings *s, struct err *err)
{
	struct err ignored = { "" };

	/* While this is still the process that it was meant for. */
	notify_open(&a->notify, &ignored);
	if (upgrade_init(a, err) != 0)
		return -1;
	if (origin_init(&a->origin, s->chdir, err) != 0 ||
	    origin_leave(&a->origin, err) != 0)
		return -1;
	/* The new arbiter of an upgrade is in the background as it is. */
	if (s->daemon && a->upgrade.predecessor == 0 &&
	    daemon_start(&a->daemon, s->enable_stdio_inheritance, err) != 0)
		return -1;
	a->daemonised = s->daemon;
	a->pid = getpid();
	oom_init(&a->oom);
	if (logs_open(s, NULL, err) != 0)
		return -1;
	a->log_elsewhere = !s->daemon && strcmp(s->errorlog, "-") != 0;
	if (signals_init(&a->signals, s->daemon, err) != 0)
		return -1;
	log_info("Starting bicorn %s", PACKAGE_VERSION);
	if (ignored.text[0] != '\0')
		log_warning("%s", ignored.text);
	generation_log_settings(s);
	limits_raise(s);
	limits_look(s);
	return 0;
}

/* Whether somebody wants us to stop; other signals come too early. */
static bool
is_stopped(struct arbiter *a)
{
	int number;

	while ((number = signals_next(&a->signals)) != 0)
		if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
			return true;
	return false;
}

static int
open_sockets(struct arbiter *a, struct generation *g, struct err *err)
{
	const struct sockets_peers none = { { &a->upgrade.sockets, NULL } };
	const struct settings *s = g->settings;

	if (upgrade_sockets(a, s, err) != 0)
		return -1;
	for (int tries = 1;; tries++) {
		if (sockets_open(&g->sockets, &a->inherited, s, &none,
			err) == 0)
			return 0;
		if (errno != EADDRINUSE || tries == LISTEN_TRIES)
			return -1;
		log_error("%s", err->text);
		log_error("Retrying in 1 second.");
		signals_wait(&a->signals, LISTEN_RETRY_MS);
		if (is_stopped(a)) {
			err->text[0] = '\0';
			return -1;
		}
	}
}

/* Which socket of the service manager is which. */
static void
announce_inherited(const struct sockets *k)
{
	for (size_t i = 0; i < k->count; i++) {
		const char *name = activation_name(k->items[i]->spec);

		if (name != NULL)
			log_info("Inherited socket %d, \"%s\": %s",
			    k->items[i]->fd, name, k->items[i]->name);
	}
}

static void
announce(const struct arbiter *a)
{
	announce_inherited(&a->serving->sockets);
	if (!a->serving->settings->listen_when_ready)
		generation_announce(a->serving);
	log_info("Using worker: gthread");
}

static int
open_pidfile(struct arbiter *a, const struct settings *s, struct err *err)
{
	if (a->upgrade.predecessor != 0)
		return pidfile_open_second(&a->pidfile, s->pidfile, err);
	return pidfile_open(&a->pidfile, s->pidfile, err);
}

/* on_starting comes before everything that others can see. */
static int
start_hooks(struct arbiter *a, struct generation *g, struct err *err)
{
	const struct helper_message starting = {
		.moment = BICORN_ON_STARTING,
		.workers = (uint32_t)g->wanted,
	};
	int64_t limit_ms = g->settings->boot_timeout_ms;

	if (hooks_start(a, g, err) != 0)
		return -1;
	a->hooks = hooks_hold(g->hooks);
	if (hooks_ask(g->hooks, &starting,
		limit_ms > 0 ? limit_ms : STARTING_MS) == 0)
		return 0;
	err_set(err, "on_starting failed");
	return -1;
}

int
boot_start(struct arbiter *a, struct settings *s, struct err *err)
{
	const struct sockets_peers none = { { NULL, NULL } };
	struct generation *g;

	a->uid = s->uid;
	a->gid = s->gid;
	a->ledger = ledger_new(err);
	if (a->ledger == NULL || open_surroundings(a, s, err) != 0 ||
	    open_pidfile(a, s, err) != 0 ||
	    activation_take(&a->inherited, err) != 0) {
		settings_free(&s);
		return -1;
	}
	if (generation_new(++a->generations, s, &g, err) != 0)
		return -1;
	if (start_hooks(a, g, err) != 0 || open_sockets(a, g, err) != 0 ||
	    certificates_load(a, g, err) != 0) {
		hooks_drop(&a->hooks);
		sockets_close(&g->sockets, &none);
		generation_free(&g);
		return -1;
	}
	hooks_tell_listeners(g->hooks, &g->sockets);
	upgrade_done(a);
	a->serving = g;
	certificates_watch_files(a);
	announce(a);
	return control_open(a, err);
}

void
boot_undo(struct arbiter *a)
{
	control_close(a);
	hooks_drop(&a->hooks);
	notify_close(&a->notify);
	upgrade_fini(a);
	pidfile_close(&a->pidfile);
	activation_free(&a->inherited);
	certificates_fini(&a->certificates);
	signals_end(&a->signals);
	origin_fini(&a->origin);
	ledger_free(&a->ledger);
}

int
arbiter_check(const struct settings *s, struct err *err)
{
	if (s->chdir != NULL && chdir(s->chdir) != 0) {
		err_sys(err, "chdir = %s", s->chdir);
		return -1;
	}
	if (generation_check_log(s, err) != 0 ||
	    control_check(s, err) != 0 || child_environment(s, err) != 0)
		return -1;
	return worker_check(s, err) == WORKER_EXIT_OK ? 0 : -1;
}
