/* SPDX-License-Identifier: MIT */
#include "arbiter/upgrade.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/activation.h"
#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/hooks.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/process.h"
#include "log/log.h"
#include "net/listen.h"
#include "score/ledger.h"
#include "tls/ticket_keys.h"
#include "worker/helper.h"

/* For the hook in front of it. */
#define PRE_EXEC_MS 5000

#define SELF "/proc/self/exe"

/* --- which executable ----------------------------------------------------- */

static bool
is_this_one(const char *path)
{
	struct stat named, real;

	return path[0] == '/' && stat(path, &named) == 0 &&
	    stat(SELF, &real) == 0 && named.st_dev == real.st_dev &&
	    named.st_ino == real.st_ino;
}

static char *
join(const char *dir, size_t len, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%.*s/%s", (int)len, dir, name) < 0)
		return NULL;
	return path;
}

/* As the shell found it. */
static char *
search(const char *name)
{
	const char *dirs = getenv("PATH");

	while (dirs != NULL && *dirs != '\0') {
		size_t len = strcspn(dirs, ":");
		char *path = join(dirs, len, name);

		if (path != NULL && is_this_one(path))
			return path;
		free(path);
		dirs += len + (dirs[len] == ':');
	}
	return NULL;
}

/*
 * The name under which it was started, symbolic links and all: what stands
 * there later is the new version.
 */
static char *
find_executable(const char *argv0)
{
	char cwd[PATH_MAX], real[PATH_MAX];
	char *path;
	ssize_t n;

	if (strchr(argv0, '/') == NULL)
		path = search(argv0);
	else if (argv0[0] == '/')
		path = strdup(argv0);
	else
		path = getcwd(cwd, sizeof(cwd)) != NULL ?
			   join(cwd, strlen(cwd), argv0) :
			   NULL;
	if (path != NULL && is_this_one(path))
		return path;
	free(path);
	n = readlink(SELF, real, sizeof(real) - 1);
	if (n < 0)
		return NULL;
	real[n] = '\0';
	return strdup(real);
}

/* --- beginning and end ---------------------------------------------------- */

/* Sockets of a gunicorn count as those of a service manager do. */
static int
inherit_of_gunicorn(struct arbiter *a, struct err *err)
{
	char *fds = a->upgrade.legacy.fds, *fd;

	while ((fd = strsep(&fds, ",")) != NULL)
		if (strtol(fd, NULL, 10) > 2 &&
		    activation_add_fd(&a->inherited, strtol(fd, NULL, 10),
			err) != 0)
			return -1;
	return 0;
}

static int
inherit(struct arbiter *a, struct err *err)
{
	const struct legacy *l = &a->upgrade.legacy;
	const char *at = NULL;
	char *spec;

	if (l->fds != NULL)
		return inherit_of_gunicorn(a, err);
	while ((spec = legacy_next(l, "inherited", &at)) != NULL) {
		int rc = activation_add_spec(&a->inherited, spec, err);

		free(spec);
		if (rc != 0)
			return -1;
	}
	return 0;
}

static void
restore_tickets(struct arbiter *a)
{
	int fd = (int)legacy_number(&a->upgrade.legacy, "tickets");
	struct certificates_watch *w = &a->certificates;
	struct err err;

	if (fd < 0)
		return;
	w->ticket_keys = ticket_keys_new(&err);
	if (w->ticket_keys == NULL)
		fd_close(&fd);
	if (w->ticket_keys == NULL ||
	    ticket_keys_restore(w->ticket_keys, fd, &err) != 0)
		log_warning("%s", err.text);
}

int
upgrade_init(struct arbiter *a, struct err *err)
{
	struct upgrade *u = &a->upgrade;
	long long n;

	u->counters = -1;
	u->path = find_executable(a->argv[0]);
	if (legacy_take(&u->legacy, err) != 0 || inherit(a, err) != 0)
		return -1;
	u->predecessor = u->legacy.from;
	/* It is what the service manager knows, as long as it lives. */
	a->notify.mute = u->predecessor != 0;
	u->counters = (int)legacy_number(&u->legacy, "counters");
	if (u->counters >= 0)
		fd_cloexec(u->counters, true);
	restore_tickets(a);
	n = legacy_number(&u->legacy, "generations");
	a->generations = n > 0 ? (unsigned)n : 0;
	n = legacy_number(&u->legacy, "workers");
	a->workers = n > 0 ? (unsigned)n : 0;
	return 0;
}

void
upgrade_fini(struct arbiter *a)
{
	struct upgrade *u = &a->upgrade;

	free(u->path);
	u->path = NULL;
	fd_close(&u->counters);
	legacy_fini(&u->legacy);
	sockets_forget(&u->sockets);
}

/* --- the listeners -------------------------------------------------------- */

static int
adopt(struct sockets *k, const char *line, const struct settings *s,
    struct err *err)
{
	unsigned long long dev, ino;
	struct listener *l;
	int fd, used = 0;

	if (sscanf(line, "%d %llu %llu %n", &fd, &dev, &ino, &used) < 3 ||
	    used == 0)
		return 0;
	if (listen_adopt(line + used, fd, &l, err) != 0)
		return -1;
	l->dev = (dev_t)dev;
	l->ino = (ino_t)ino;
	l->settings = s;
	k->items[k->count++] = l;
	return 0;
}

int
upgrade_sockets(struct arbiter *a, const struct settings *s, struct err *err)
{
	struct upgrade *u = &a->upgrade;
	const char *at = NULL;
	size_t count = 0;
	char *line;

	while ((line = legacy_next(&u->legacy, "listener", &at)) != NULL) {
		free(line);
		count++;
	}
	u->sockets.items = calloc(count + 1, sizeof(struct listener *));
	if (u->sockets.items == NULL) {
		err_sys(err, "listeners");
		return -1;
	}
	for (at = NULL; count > 0; count--) {
		int rc;

		line = legacy_next(&u->legacy, "listener", &at);
		if (line == NULL)
			break;
		rc = adopt(&u->sockets, line, s, err);
		free(line);
		if (rc != 0)
			return -1;
	}
	return 0;
}

void
upgrade_done(struct arbiter *a)
{
	sockets_forget(&a->upgrade.sockets);
}

/* --- the old one ---------------------------------------------------------- */

static void
save_counters(struct arbiter *a)
{
	struct score_counts live;
	int fd = a->upgrade.counters;

	memset(&live, 0, sizeof(live));
	account_live(a, &live);
	if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
	    ledger_save(a->ledger, &live, fd) != 0)
		log_warning("The counters could not be handed over: %s",
		    strerror(errno));
}

static bool
has_spec(const struct sockets *k, const char *spec)
{
	for (size_t i = 0; i < k->count; i++)
		if (strcmp(k->items[i]->spec, spec) == 0)
			return true;
	return false;
}

static void
bequeath(struct bequest *b, const struct listener *l)
{
	bequest_add_fd(b, "listener", l->fd, "%llu %llu %s",
	    (unsigned long long)l->dev, (unsigned long long)l->ino, l->spec);
}

/*
 * What a candidate has besides: its settings are most likely those that the
 * new arbiter reads, and nobody else could have the address.
 */
static void
bequeath_candidates(const struct arbiter *a, struct bequest *b)
{
	const struct generation *g = a->candidate;

	for (size_t i = 0; g != NULL && i < g->sockets.count; i++) {
		const struct listener *l = g->sockets.items[i];

		if (!l->held && !has_spec(&a->serving->sockets, l->spec))
			bequeath(b, l);
	}
}

static void
write_will(struct arbiter *a, struct bequest *b, int tickets)
{
	const struct sockets *k = &a->serving->sockets;

	bequest_add(b, "generations", "%u", a->generations);
	bequest_add(b, "workers", "%u", a->workers);
	for (size_t i = 0; i < k->count; i++) {
		if (a->inherited.count > 0)
			bequest_add(b, "inherited", "%s", k->items[i]->spec);
		bequeath(b, k->items[i]);
	}
	bequeath_candidates(a, b);
	if (a->upgrade.counters >= 0)
		bequest_add_fd(b, "counters", a->upgrade.counters, "%s", "");
	if (tickets >= 0)
		bequest_add_fd(b, "tickets", tickets, "%s", "");
}

/* The keys of session tickets, so that clients may come back; or -1. */
static int
save_tickets(const struct arbiter *a)
{
	const struct bulletin *keys = a->certificates.ticket_keys;
	struct err err;
	int fd = -1;

	if (keys == NULL || ticket_keys_save(keys, &fd, &err) == 0)
		return fd;
	log_warning("%s", err.text);
	return -1;
}

/* The process that becomes the new arbiter. */
static _Noreturn void
become(struct arbiter *a, struct bequest *b, pid_t old)
{
	struct err err;

	signals_fini(&a->signals);
	signal(SIGPIPE, SIG_DFL);
	if (origin_enter(&a->origin, &err) != 0 ||
	    bequest_send(b, old, &err) != 0) {
		log_error("%s", err.text);
		_exit(1);
	}
	notify_environment(&a->notify);
	if (a->upgrade.path != NULL)
		execv(a->upgrade.path, a->argv);
	log_warning("Upgrade: cannot run %s (%s), so this version again",
	    a->upgrade.path != NULL ? a->upgrade.path : "the executable",
	    strerror(errno));
	execv(SELF, a->argv);
	log_error("Upgrade: cannot run " SELF ": %s", strerror(errno));
	_exit(1);
}

/* NULL, or why it cannot be. */
static const char *
objection(const struct arbiter *a)
{
	if (a->stop != STOP_NOT || a->serving == NULL)
		return "we are about to stop";
	if (a->upgrade.successor != 0)
		return "one is under way: end the old arbiter or the new one";
	if (a->upgrade.predecessor != 0)
		return "the arbiter before this one is still there";
	if (a->pid == 1)
		return "process 1 cannot leave without ending the container";
	return NULL;
}

void
upgrade_begin(struct arbiter *a)
{
	const char *why = objection(a);
	const struct helper_message before = { .moment = BICORN_PRE_EXEC };
	struct bequest b = { .fds = NULL };
	int tickets;
	pid_t pid;

	if (why != NULL) {
		log_warning("No upgrade: %s", why);
		return;
	}
	fd_close(&a->upgrade.counters);
	a->upgrade.counters = memfd_create("bicorn-counters", MFD_CLOEXEC);
	if (a->upgrade.counters >= 0)
		save_counters(a); /* should we not come to our end in order */
	tickets = save_tickets(a);
	write_will(a, &b, tickets);
	hooks_ask(a->hooks, &before, PRE_EXEC_MS);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become(a, &b, a->pid);
	if (pid < 0)
		log_error("Upgrade: fork: %s", strerror(errno));
	else
		log_info("Upgrade: the new arbiter is pid %d", (int)pid);
	a->upgrade.successor = pid > 0 ? pid : 0;
	bequest_fini(&b);
	fd_close(&tickets);
}

static void
describe_end(int status, char *out, size_t room)
{
	if (WIFEXITED(status))
		snprintf(out, room, "exited with code %d", WEXITSTATUS(status));
	else if (process_signal(WTERMSIG(status)) != NULL)
		snprintf(out, room, "was sent SIG%s",
		    process_signal(WTERMSIG(status)));
	else
		snprintf(out, room, "was sent signal %d", WTERMSIG(status));
}

bool
upgrade_ended(struct arbiter *a, pid_t pid, int status)
{
	struct generation *g = a->serving;
	bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	char how[64];

	if (pid <= 0 || pid != a->upgrade.successor)
		return false;
	a->upgrade.successor = 0;
	pidfile_forget_second(&a->pidfile, pid);
	describe_end(status, how, sizeof(how));
	log_at(failed ? LEVEL_ERROR : LEVEL_INFO,
	    "Upgrade: the new arbiter (pid:%d) %s; this one %s", (int)pid, how,
	    a->stop == STOP_NOT ? "serves on" : "is stopping");
	if (failed)
		snprintf(a->reload_error, sizeof(a->reload_error),
		    "the new arbiter %s", how);
	/* Those who were sent home for its sake are needed again. */
	if (g != NULL && g->wanted == 0)
		g->wanted = (size_t)g->settings->workers;
	return true;
}

void
upgrade_leave(struct arbiter *a)
{
	if (a->upgrade.successor == 0)
		return;
	if (a->upgrade.counters >= 0)
		save_counters(a);
	notify_heir(&a->notify, a->upgrade.successor);
}

/* --- the new one ---------------------------------------------------------- */

static void
load_counters(struct arbiter *a)
{
	int fd = a->upgrade.counters;

	if (fd >= 0 &&
	    (lseek(fd, 0, SEEK_SET) != 0 || ledger_load(a->ledger, fd) != 0))
		log_warning("The counters of the arbiter before are lost: %s",
		    strerror(errno));
	fd_close(&a->upgrade.counters);
}

static void
own_sockets(struct generation *g)
{
	for (; g != NULL; g = g->next)
		for (size_t i = 0; i < g->sockets.count; i++)
			g->sockets.items[i]->borrowed = false;
}

void
upgrade_continue(struct arbiter *a)
{
	struct err err;

	if (a->upgrade.predecessor == 0 ||
	    getppid() == a->upgrade.predecessor)
		return;
	a->upgrade.predecessor = 0;
	log_info("Master has been promoted.");
	if (pidfile_promote(&a->pidfile, &err) != 0)
		log_error("%s", err.text);
	load_counters(a);
	own_sockets(a->serving);
	own_sockets(a->candidate);
	own_sockets(a->retired);
	a->notify.mute = false;
	a->notify.status[0] = '\0';
	if (a->started)
		notify_ready(&a->notify, clock_ms());
	if (a->stop != STOP_NOT)
		notify_stopping(&a->notify);
}
