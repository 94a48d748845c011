/* SPDX-License-Identifier: MIT */
#include "arbiter/generation.h"

#include <stdlib.h>
#include <unistd.h>

#include "arbiter/hooks.h"
#include "base/err.h"
#include "conf/conf.h"
#include "log/access.h"
#include "log/log.h"
#include "worker/scoreboard.h"

/*
 * Slots beyond the workers asked for: for replacements while others leave,
 * and for SIGTTIN.
 */
#define SPARE_SLOTS 64
#define SPARE_LIMIT 48

/* Python's logging may want lines that nobody else does. */
static bool
python_logs(const struct settings *s)
{
	return s->logger_class != NULL || s->logconfig != NULL ||
	    s->logconfig_dict != NULL || s->logconfig_json != NULL;
}

int
generation_check_log(const struct settings *s, struct err *err)
{
	if (access_format_check(s->access_log_format, err) == 0)
		return 0;
	settings_blame(s, "access_log_format", err);
	return -1;
}

static int
open_parts(struct generation *g, struct err *err)
{
	const struct settings *s = g->settings;
	bool to_syslog;

	g->children = calloc(g->room, sizeof(*g->children));
	if (g->children == NULL) {
		err_sys(err, "table of workers");
		return -1;
	}
	g->board = scoreboard_new(g->room, (size_t)s->threads, err);
	if (g->board == NULL)
		return -1;
	to_syslog = s->syslog && !s->disable_redirect_access_to_syslog;
	if (s->accesslog == NULL && !to_syslog && !python_logs(s))
		return 0;
	if (generation_check_log(s, err) != 0)
		return -1;
	return access_open(s->accesslog, to_syslog, s->access_log_format,
	    s->uid, s->gid, &g->access, err);
}

int
generation_new(unsigned number, struct settings *s,
    struct generation **out, struct err *err)
{
	struct generation *g = calloc(1, sizeof(*g));

	*out = NULL;
	if (g == NULL) {
		err_sys(err, "generation");
		settings_free(&s);
		return -1;
	}
	g->number = number;
	g->settings = s;
	g->wanted = (size_t)s->workers;
	g->room = 2 * g->wanted + SPARE_SLOTS;
	g->limit = g->wanted + SPARE_LIMIT;
	if (open_parts(g, err) != 0) {
		generation_free(&g);
		return -1;
	}
	*out = g;
	return 0;
}

void
generation_free(struct generation **gp)
{
	struct generation *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	template_forget(g);
	sockets_forget(&g->sockets);
	certificates_free(&g->certificates);
	access_free(&g->access);
	scoreboard_free(&g->board);
	hooks_drop(&g->hooks);
	free(g->children);
	settings_free(&g->settings);
	free(g);
}

size_t
generation_alive(const struct generation *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->room; i++)
		n += g->children[i].pid != 0;
	return n;
}

size_t
generation_active(const struct generation *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->room; i++)
		n += g->children[i].pid != 0 && !g->children[i].leaving;
	return n;
}

size_t
generation_ready(const struct generation *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->room; i++)
		n += g->children[i].pid != 0 && !g->children[i].leaving &&
		    g->children[i].ready_ms != 0;
	return n;
}

size_t
generation_keeps(const struct generation *g)
{
	return g->wanted > g->handed ? g->wanted - g->handed : 0;
}

/*
 * The first worker goes ahead alone: an application that does not load says
 * so once and not once per worker.
 */
size_t
generation_target(const struct generation *g)
{
	size_t ready = generation_ready(g), keeps = generation_keeps(g);
	bool doubtful = !g->proven || (g->backoff.waves > 0 && ready == 0);

	if (g->failed)
		return ready < keeps ? ready : keeps;
	if (doubtful && keeps > 1)
		return 1;
	if (g->step > 0 && ready + g->step < keeps)
		return ready + g->step;
	return keeps;
}

bool
generation_full(const struct generation *g)
{
	return generation_ready(g) >= generation_keeps(g) && g->wanted > 0;
}

const char *
generation_name(const struct generation *g)
{
	const struct settings *s = g->settings;

	if (s->proc_name != NULL)
		return s->proc_name;
	return s->app != NULL ? s->app : "bicorn";
}

void
generation_log_settings(const struct settings *s)
{
	if (s->file != NULL)
		log_info("Settings: %s", s->file);
	for (size_t i = 0; i < s->warnings.count; i++)
		log_warning("%s", s->warnings.items[i]);
}

void
generation_announce(const struct generation *g)
{
	char *names = sockets_names(&g->sockets);

	if (names != NULL)
		log_info("Listening at: %s (%d)", names, (int)getpid());
	free(names);
}
