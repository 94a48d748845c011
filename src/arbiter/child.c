/* SPDX-License-Identifier: MIT */
/*
 * What a worker does between the fork and worker_main(): it lets go of the
 * arbiter's things and of its privileges.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "arbiter/privileges.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/title.h"
#include "log/access.h"
#include "log/log.h"
#include "log/statsd.h"
#include "worker/heritage.h"
#include "worker/scoreboard.h"
#include "worker/worker.h"

static int
stdin_from_null(struct err *err)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0) {
		err_sys(err, "/dev/null");
		return -1;
	}
	fd_close(&fd);
	return 0;
}

/*
 * Sockets of other generations above all: as long as somebody has one open,
 * its clients wait instead of being refused.
 */
static void
forget_others(struct arbiter *a, const struct generation *mine)
{
	struct generation *g, *next;

	if (a->serving != mine)
		generation_free(&a->serving);
	if (a->candidate != mine)
		generation_free(&a->candidate);
	for (g = a->retired; g != NULL; g = next) {
		next = g->next;
		generation_free(&g);
	}
	fd_close(&a->certificates.fd);
	reading_forget(a);
	hooks_forget(mine->hooks);
	hooks_forget(a->hooks);
	fd_close(&a->origin.fd);
	fd_close(&a->daemon.report);
	fd_close(&a->upgrade.counters);
	notify_close(&a->notify);
}

/* Settings stay: others point into them. */
static void
forget_ends(struct generation *g)
{
	for (; g != NULL; g = g->next) {
		sockets_forget(&g->sockets);
		/* A helper leaves when nobody has the other end any more. */
		hooks_forget(g->hooks);
		template_forget(g);
	}
}

void
child_let_go(struct arbiter *a)
{
	struct err ignored;

	forget_ends(a->serving);
	forget_ends(a->candidate);
	forget_ends(a->retired);
	hooks_forget(a->hooks);
	reading_forget(a);
	fd_close(&a->certificates.fd);
	fd_close(&a->upgrade.counters);
	fd_close(&a->origin.fd);
	fd_close(&a->daemon.report);
	notify_close(&a->notify);
	(void)stdin_from_null(&ignored);
}

/* NAME=VALUE, or NAME that is to go, as the settings file left them. */
static int
take_over(const struct strlist *list, struct err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *equals = strchr(list->items[i], '=');
		char *name = strndup(list->items[i], equals != NULL ?
			(size_t)(equals - list->items[i]) :
			strlen(list->items[i]));
		int rc = -1;

		if (name != NULL && equals != NULL)
			rc = setenv(name, equals + 1, 1);
		else if (name != NULL)
			rc = unsetenv(name);
		free(name);
		if (rc != 0) {
			err_sys(err, "environment of the settings file");
			return -1;
		}
	}
	return 0;
}

int
child_environment(const struct settings *s, struct err *err)
{
	if (take_over(&s->file_env, err) != 0)
		return -1;
	for (size_t i = 0; i < s->raw_env.count; i++) {
		const char *item = s->raw_env.items[i];
		const char *equals = strchr(item, '=');
		char *name;
		int rc;

		if (equals == NULL || equals == item) {
			err_set(err, "raw_env = %s: must be NAME=VALUE", item);
			return -1;
		}
		name = strndup(item, (size_t)(equals - item));
		rc = name != NULL ? setenv(name, equals + 1, 1) : -1;
		free(name);
		if (rc != 0) {
			err_sys(err, "raw_env = %s", item);
			return -1;
		}
	}
	return 0;
}

/*
 * The sockets of reuse_port are each worker's own: one that was forked from a
 * template has to make them without privileges.
 */
static int
prepare(struct arbiter *a, struct generation *g, enum child_kind kind,
    struct err *err)
{
	const struct settings *s = g->settings;
	const struct privileges kept = {
		.uid = s->uid,
		.gid = s->gid,
		.initgroups = s->initgroups,
		.no_new_privs = !s->allow_new_privs,
	};

	if (stdin_from_null(err) != 0 || child_environment(s, err) != 0 ||
	    (kind == CHILD_WORKER &&
		sockets_again(&g->sockets, s, err) != 0) ||
	    certificates_confine(a, g, err) != 0 ||
	    privileges_drop(&kept, err) != 0)
		return -1;
	/* Many write "umask = 0" down, and nobody means files for everybody. */
	if (s->umask_mode != 0)
		umask(s->umask_mode);
	if (s->capture_output &&
	    (access_leave_stdout(g->access, err) != 0 || log_capture(err) != 0))
		return -1;
	return 0;
}

/* After the drop of privileges, which would undo it. */
static int
follow_arbiter(struct err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0)
		return 0;
	err_sys(err, "prctl");
	return -1;
}

static void
name_process(struct arbiter *a, const struct generation *g, const char *what)
{
	char name[16];

	snprintf(name, sizeof(name), "bicorn-%s", what);
	prctl(PR_SET_NAME, name);
	title_set(a->title, "bicorn: %s [%s]", what, generation_name(g));
}

int
child_settle(struct arbiter *a, struct generation *g, enum child_kind kind,
    struct err *err)
{
	name_process(a, g, kind == CHILD_TEMPLATE ? "template" : "worker");
	statsd_forget(log_statsd());
	if (kind == CHILD_FORKED)
		return sockets_again(&g->sockets, g->settings, err) == 0
		    ? follow_arbiter(err)
		    : -1;
	signals_restore(&a->signals);
	forget_others(a, g);
	control_forget(a);
	return prepare(a, g, kind, err) == 0 ? follow_arbiter(err) : -1;
}

static _Noreturn void
serve(struct arbiter *a, struct generation *g, size_t slot,
    enum child_kind kind, struct worker *preloaded)
{
	const struct heritage h = {
		.settings = g->settings,
		.listeners = g->sockets.items,
		.listener_count = g->sockets.count,
		.access = g->access,
		.vault = g->certificates.vault,
		.tickets = a->certificates.ticket_keys,
		.board = g->board,
		.slot = slot,
		.generation = g->number,
		.arbiter = a->pid,
		.title = a->title,
		.name = generation_name(g),
	};
	struct err err;
	int code;

	if (child_settle(a, g, kind, &err) != 0) {
		log_error("%s", err.text);
		scoreboard_why(g->board, slot, err.text);
		code = WORKER_EXIT_BOOT;
	} else if (getppid() != a->pid) {
		code = WORKER_EXIT_OK; /* it died before it was watched */
	} else {
		log_info("Booting worker with pid: %d", (int)getpid());
		code = worker_main(&h, preloaded);
	}
	fflush(NULL); /* what the application has printed */
	_exit(code);
}

_Noreturn void
child_run(struct arbiter *a, struct generation *g, size_t slot)
{
	serve(a, g, slot, CHILD_WORKER, NULL);
}

_Noreturn void
child_serve(struct arbiter *a, struct generation *g, size_t slot,
    struct worker *preloaded)
{
	serve(a, g, slot, CHILD_FORKED, preloaded);
}
