/* SPDX-License-Identifier: MIT */
#include "arbiter/control.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/channel.h"
#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/privileges.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/title.h"
#include "conf/conf.h"
#include "conf/table.h"
#include "log/log.h"
#include "net/listen.h"
#include "score/ledger.h"
#include "worker/scoreboard.h"

/* What others may not do with the paths of unix sockets. */
#define PAGE_MASK 0117
#define SOCKET_MASK 0177

/* One that died is forked again no sooner. */
#define AGAIN_MS 1000
/* Sockets that somebody else still has are tried again so often. */
#define LATE_MS 2000
/* At the end it has to be gone by then. */
#define CLOSE_TRIES 100
#define CLOSE_STEP_US 10000

/* --- sockets -------------------------------------------------------------- */

/* Others could read what only the operator is to see. */
static int
refuse_public(const char *spec, struct err *err)
{
	err_set(err,
	    "admin_bind = %s: others could read it; must be 127.0.0.1:PORT, "
	    "[::1]:PORT or unix:PATH, unless admin_public is true",
	    spec);
	return -1;
}

/* Is it asked for, and not there? */
static int
check_built_in(const struct settings *s, struct err *err)
{
	if (admin_is_built_in() ||
	    (s->admin_bind.count == 0 && s->control_socket == NULL))
		return 0;
	err_set(err, "%s: this bicorn was built without jansson, and has no "
		     "admin listener and no control socket",
	    s->admin_bind.count > 0 ? "admin_bind" : "control_socket");
	return -1;
}

/* What is wrong with a listener is said of bind. */
static void
name_setting(struct err *err, const char *name)
{
	const struct err said = *err;
	size_t len = strlen("bind = ");

	if (strncmp(said.text, "bind = ", len) == 0)
		err_set(err, "%s = %s", name, said.text + len);
	else
		err_prefix(err, "%s: ", name);
}

int
control_check(const struct settings *s, struct err *err)
{
	bool local;

	if (check_built_in(s, err) != 0)
		return -1;
	for (size_t i = 0; i < s->admin_bind.count; i++) {
		if (listen_check(s->admin_bind.items[i], &local, err) != 0) {
			name_setting(err, "admin_bind");
			return -1;
		}
		if (!local && !s->admin_public)
			return refuse_public(s->admin_bind.items[i], err);
	}
	return 0;
}

static int
open_one(const struct settings *s, const char *spec, mode_t mask,
    struct listener **out, struct err *err)
{
	const struct listen_options options = {
		.backlog = 64,
		.umask = mask,
		.uid = s->uid,
		.gid = s->gid,
	};

	return listen_open(spec, &options, out, err);
}

static int
open_pages(struct control *c, const struct settings *s, struct err *err)
{
	c->pages = calloc(s->admin_bind.count + 1, sizeof(*c->pages));
	if (c->pages == NULL) {
		err_sys(err, "admin_bind");
		return -1;
	}
	for (size_t i = 0; i < s->admin_bind.count; i++) {
		struct listener **l = &c->pages[c->page_count];

		if (open_one(s, s->admin_bind.items[i], PAGE_MASK, l,
			err) != 0) {
			name_setting(err, "admin_bind");
			return -1;
		}
		c->page_count++;
		if (!(*l)->is_unix && !listen_is_loopback((*l)->host) &&
		    !s->admin_public)
			return refuse_public(s->admin_bind.items[i], err);
	}
	return 0;
}

static int
open_socket(struct control *c, const struct settings *s, struct err *err)
{
	char *spec = NULL;
	int rc;

	if (s->control_socket == NULL)
		return 0;
	if (asprintf(&spec, "unix:%s", s->control_socket) < 0) {
		err_sys(err, "control_socket");
		return -1;
	}
	rc = open_one(s, spec, SOCKET_MASK, &c->socket, err);
	if (rc != 0)
		name_setting(err, "control_socket");
	free(spec);
	return rc;
}

static bool
is_wanted(const struct control *c)
{
	return c->page_count > 0 || c->socket != NULL;
}

int
control_open(struct arbiter *a, struct err *err)
{
	const struct settings *s = a->serving->settings;
	struct control *c = &a->control;

	if (a->upgrade.predecessor != 0)
		return 0;
	c->opened = true;
	if (s->admin_bind.count == 0 && s->control_socket == NULL)
		return 0;
	if (check_built_in(s, err) != 0)
		return -1;
	c->owner = s->uid != (uid_t)-1 ? s->uid : geteuid();
	if (open_pages(c, s, err) != 0 || open_socket(c, s, err) != 0)
		return -1;
	for (size_t i = 0; i < c->page_count; i++)
		log_info("Admin listening at: %s", c->pages[i]->name);
	return 0;
}

static void
close_sockets(struct control *c, bool for_good)
{
	for (size_t i = 0; i < c->page_count; i++)
		listen_close(&c->pages[i], for_good);
	c->page_count = 0;
	free(c->pages);
	c->pages = NULL;
	if (c->socket != NULL)
		listen_close(&c->socket, for_good);
}

void
control_forget(struct arbiter *a)
{
	fd_close(&a->control.fd);
	close_sockets(&a->control, false);
}

/* --- generations ---------------------------------------------------------- */

/* The settings as others may read them; -1 when that cannot be had. */
static int
settings_file(const struct settings *s)
{
	int fd = memfd_create("bicorn-settings", MFD_CLOEXEC);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	int copy;

	if (out == NULL) {
		fd_close(&fd);
		return -1;
	}
	settings_print(s, out);
	fputc('\0', out);
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const char *name = setting_table[i].name;
		const char *text = settings_text(s, name);

		fprintf(out, text != NULL ? "%s\t%s\n" : "%s\n", name, text);
	}
	fflush(out);
	copy = dup(fd);
	fclose(out);
	return copy;
}

/* One that does not take it is in trouble: it is given up and made anew. */
static void
send_message(struct arbiter *a, const struct channel_message *m)
{
	if (a->control.fd >= 0 && !channel_send(a->control.fd, m) &&
	    a->control.pid > 0)
		kill(a->control.pid, SIGKILL);
}

void
control_began(struct arbiter *a, const struct generation *g)
{
	struct channel_message m = {
		.kind = CHANNEL_GENERATION,
		.id = g->number,
		.board = scoreboard_fd(g->board),
	};

	if (a->control.fd < 0)
		return;
	if (m.board < 0) {
		if (errno == EFBIG)
			log_warning("Admin: generation %u cannot be shown "
				    "(ulimit -f)", g->number);
		else
			log_warning("Admin: generation %u cannot be shown: "
				    "memfd_create: %s",
			    g->number, strerror(errno));
		return;
	}
	m.settings = settings_file(g->settings);
	if (m.settings >= 0)
		send_message(a, &m);
	fd_close(&m.settings);
}

void
control_ended(struct arbiter *a, const struct generation *g)
{
	const struct channel_message m = {
		.kind = CHANNEL_GONE,
		.id = g->number,
	};

	send_message(a, &m);
}

/* --- the process ---------------------------------------------------------- */

/*
 * It leaves when the arbiter does: what is sent to the whole group, as from
 * a terminal, is not for it.
 */
static void
heed_nothing(struct arbiter *a)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP,
		SIGUSR1, SIGUSR2 };

	signals_restore(&a->signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], SIG_IGN);
}

_Noreturn static void
run(struct arbiter *a, int channel)
{
	const struct settings *s = a->serving != NULL
	    ? a->serving->settings
	    : a->retired->settings;
	const char *name = generation_name(
	    a->serving != NULL ? a->serving : a->retired);
	const struct admin_options o = {
		.listeners = a->control.pages,
		.listener_count = a->control.page_count,
		.control = a->control.socket,
		.ledger = a->ledger,
		.channel = channel,
		.name = name,
		.page_controls = s->admin_control,
		.any_host = s->admin_public,
		.owner = a->control.owner,
	};
	const struct privileges kept = {
		.uid = s->uid,
		.gid = s->gid,
		.no_new_privs = true,
	};
	struct err err;

	heed_nothing(a);
	fd_close(&a->control.fd);
	child_let_go(a);
	prctl(PR_SET_NAME, "bicorn-admin");
	title_set(a->title, "bicorn: admin [%s]", name);
	if (privileges_drop(&kept, &err) != 0) {
		log_error("Admin: %s", err.text);
		_exit(1);
	}
	/* After the drop, which would undo it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(getppid() == a->pid ? admin_main(&o) : 0);
}

static void
tell_all(struct arbiter *a)
{
	if (a->serving != NULL)
		control_began(a, a->serving);
	if (a->candidate != NULL)
		control_began(a, a->candidate);
	for (const struct generation *g = a->retired; g != NULL; g = g->next)
		control_began(a, g);
}

/* The arbiter before is gone. */
static void
open_late(struct arbiter *a, int64_t now_ms)
{
	struct control *c = &a->control;
	struct err err;

	if (c->opened || a->upgrade.predecessor != 0 || a->serving == NULL ||
	    now_ms < c->again_ms || control_open(a, &err) == 0)
		return;
	log_error("%s", err.text);
	close_sockets(c, true);
	c->opened = false;
	c->again_ms = now_ms + LATE_MS;
}

void
control_maintain(struct arbiter *a, int64_t now_ms)
{
	struct control *c = &a->control;
	int ends[2] = { -1, -1 };

	open_late(a, now_ms);
	if (!is_wanted(c) || c->pid != 0 || now_ms < c->again_ms ||
	    (a->serving == NULL && a->retired == NULL))
		return;
	c->again_ms = now_ms + AGAIN_MS;
	if (channel_open(ends) != 0) {
		log_error("Admin: %s", strerror(errno));
		return;
	}
	fflush(NULL);
	c->pid = fork();
	if (c->pid == 0) {
		fd_close(&ends[0]);
		run(a, ends[1]);
	}
	fd_close(&ends[1]);
	c->fd = ends[0];
	if (c->pid < 0) {
		log_error("Admin: fork: %s", strerror(errno));
		c->pid = 0;
		fd_close(&c->fd);
		return;
	}
	tell_all(a);
}

int64_t
control_deadline(const struct arbiter *a)
{
	const struct control *c = &a->control;
	bool late = !c->opened && a->upgrade.predecessor == 0 &&
	    a->serving != NULL;

	return late || (is_wanted(c) && c->pid == 0) ? c->again_ms
						     : CLOCK_NEVER;
}

bool
control_reaped(struct arbiter *a, pid_t pid, int64_t now_ms)
{
	struct control *c = &a->control;

	if (c->pid == 0 || pid != c->pid)
		return false;
	log_warning("The admin process (pid:%d) ended; it is started again",
	    (int)pid);
	c->pid = 0;
	c->reload_count = 0;
	fd_close(&c->fd);
	c->again_ms = now_ms + AGAIN_MS;
	return true;
}

static void
end_process(struct control *c)
{
	fd_close(&c->fd); /* it leaves when it sees that */
	for (int i = 0; c->pid > 0; i++) {
		if (waitpid(c->pid, NULL, i < CLOSE_TRIES ? WNOHANG : 0) != 0)
			c->pid = 0;
		else if (i + 1 == CLOSE_TRIES)
			kill(c->pid, SIGKILL);
		else
			usleep(CLOSE_STEP_US);
	}
}

void
control_close(struct arbiter *a)
{
	end_process(&a->control);
	close_sockets(&a->control, true);
}

static bool
open_if_lost(struct listener **at, const struct settings *s, const char *name,
    mode_t mask)
{
	struct listener *again;
	struct err err;

	if (*at == NULL || !listen_is_lost(*at))
		return false;
	if (open_one(s, (*at)->spec, mask, &again, &err) != 0) {
		name_setting(&err, name);
		log_error("%s", err.text);
		return false;
	}
	log_warning("%s = %s: the path is gone; it is made again", name,
	    again->spec);
	listen_close(at, false);
	*at = again;
	return true;
}

void
control_restore(struct arbiter *a)
{
	struct control *c = &a->control;
	bool again = false;

	/* Who waits for an answer has a connection to that process. */
	if (a->serving == NULL || c->reload_count > 0)
		return;
	for (size_t i = 0; i < c->page_count; i++)
		if (open_if_lost(&c->pages[i], a->serving->settings,
			"admin_bind", PAGE_MASK))
			again = true;
	if (open_if_lost(&c->socket, a->serving->settings, "control_socket",
		SOCKET_MASK))
		again = true;
	if (!again)
		return;
	end_process(c);
	c->again_ms = 0;
}

/* --- commands ------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static bool
fail(struct channel_message *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->text, sizeof(m->text), fmt, ap);
	va_end(ap);
	return false;
}

static bool
done(struct channel_message *m, const char *text)
{
	snprintf(m->text, sizeof(m->text), "%s", text);
	return true;
}

static void
reply(struct arbiter *a, struct channel_message *m)
{
	m->kind = CHANNEL_REPLY;
	m->board = m->settings = -1;
	send_message(a, m);
}

void
control_reloads(struct arbiter *a, const struct generation *g,
    const char *why)
{
	struct control *c = &a->control;

	if (c->reload_count > 0)
		account_state(a); /* whoever looks next is to see it */
	for (size_t i = 0; i < c->reload_count; i++) {
		struct channel_message m = { .id = c->reloads[i] };

		m.ok = g != NULL;
		if (g != NULL)
			snprintf(m.text, sizeof(m.text), "generation %u boots",
			    g->number);
		else
			fail(&m, "%s", why);
		reply(a, &m);
	}
	c->reload_count = 0;
}

/* The answer comes by control_reloads(). */
static bool
reload(struct arbiter *a, struct channel_message *m)
{
	struct control *c = &a->control;

	if (c->reload_count == CONTROL_RELOADS)
		return fail(m, "too many reloads are under way");
	c->reloads[c->reload_count++] = m->id;
	m->kind = CHANNEL_COMMAND;
	reload_begin(a);
	return true;
}

/* The one that will be there in a moment: not one that is given up. */
static struct generation *
newest(const struct arbiter *a)
{
	return a->candidate != NULL && !a->candidate->failed ? a->candidate :
							       a->serving;
}

static bool
scale(struct arbiter *a, struct channel_message *m, int64_t wanted)
{
	struct generation *g = newest(a);

	if (wanted < 1 || wanted > (int64_t)g->limit)
		return fail(m, "workers must be 1..%zu before a reload",
		    g->limit);
	g->wanted = (size_t)wanted;
	if (g->backoff.failures == 0)
		g->backoff.next_ms = 0;
	snprintf(m->text, sizeof(m->text), "%zu workers", g->wanted);
	return true;
}

static bool
scale_by(struct arbiter *a, struct channel_message *m)
{
	const struct generation *g = newest(a);

	return scale(a, m, (int64_t)g->wanted + (m->argument < 0 ? -1 : 1));
}

static bool
retire(struct arbiter *a, struct channel_message *m)
{
	struct generation *g = a->serving;

	for (size_t i = 0; i < g->room; i++) {
		struct child *c = &g->children[i];

		if (c->pid == 0 || c->pid != m->argument)
			continue;
		if (c->leaving || c->ready_ms == 0)
			return fail(m, "worker %d is %s", (int)c->pid,
			    c->leaving ? "leaving already" : "not ready yet");
		c->why = 1 + RESTART_OPERATOR;
		log_info("Worker (pid:%d) is replaced: the operator wants it",
		    (int)c->pid);
		return done(m, "it leaves when its successor is ready");
	}
	return fail(m, "there is no worker of pid %lld that serves",
	    (long long)m->argument);
}

static bool
set_level(struct arbiter *a, struct channel_message *m)
{
	struct generation *lists[] = { a->serving, a->candidate, a->retired };

	if (m->argument < LEVEL_DEBUG || m->argument > LEVEL_CRITICAL)
		return fail(m, "there is no such level");
	log_level_set((enum log_level)m->argument);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (struct generation *g = lists[i]; g != NULL; g = g->next)
			atomic_store(&scoreboard_head(g->board)->log_level,
			    (uint32_t)m->argument + 1);
	return done(m, "until the next reload");
}

static bool
obey(struct arbiter *a, struct channel_message *m)
{
	if (m->command == COMMAND_STOP || m->command == COMMAND_QUIT) {
		stop_begin(a, m->command == COMMAND_STOP ? STOP_GRACEFUL :
							   STOP_QUICK);
		return done(m, "it stops");
	}
	if (m->command == COMMAND_LOG_LEVEL)
		return set_level(a, m);
	if (m->command == COMMAND_REOPEN) {
		arbiter_reopen_logs(a);
		return done(m, "the logs are opened again");
	}
	if (a->stop != STOP_NOT || a->serving == NULL)
		return fail(m, "it is stopping");
	switch (m->command) {
	case COMMAND_RELOAD:
		return reload(a, m);
	case COMMAND_SCALE:
		return scale(a, m, m->argument);
	case COMMAND_SCALE_BY:
		return scale_by(a, m);
	case COMMAND_RETIRE:
		return retire(a, m);
	default:
		return fail(m, "there is no such command");
	}
}

/* What the number behind a command says. */
static void
describe_argument(const struct channel_message *m, char *out, size_t room)
{
	static const char *const levels[] = { "debug", "info", "warning",
		"error", "critical" };
	long long number = (long long)m->argument;

	out[0] = '\0';
	if (m->command == COMMAND_SCALE || m->command == COMMAND_RETIRE)
		snprintf(out, room, " %lld", number);
	else if (m->command == COMMAND_SCALE_BY)
		snprintf(out, room, " %+lld", number);
	else if (m->command == COMMAND_LOG_LEVEL && number >= LEVEL_DEBUG &&
	    number <= LEVEL_CRITICAL)
		snprintf(out, room, " %s", levels[number - LEVEL_DEBUG]);
}

static void
log_command(const struct channel_message *m)
{
	static const char *const names[] = {
		[COMMAND_RELOAD] = "reload",
		[COMMAND_REOPEN] = "reopen",
		[COMMAND_SCALE] = "scale",
		[COMMAND_SCALE_BY] = "scale by",
		[COMMAND_RETIRE] = "retire",
		[COMMAND_STOP] = "stop",
		[COMMAND_QUIT] = "stop at once",
		[COMMAND_LOG_LEVEL] = "log level",
	};
	char argument[32];

	if (m->command >= sizeof(names) / sizeof(names[0]))
		return;
	describe_argument(m, argument, sizeof(argument));
	log_info("Handling command: %s%s", names[m->command], argument);
}

void
control_obey(struct arbiter *a)
{
	struct channel_message m;

	while (a->control.fd >= 0 &&
	    channel_receive(a->control.fd, &m) == CHANNEL_GOT) {
		fd_close(&m.board); /* it has none to send us */
		fd_close(&m.settings);
		if (m.kind != CHANNEL_COMMAND)
			continue;
		log_command(&m);
		m.kind = CHANNEL_REPLY;
		m.ok = obey(a, &m);
		account_state(a); /* whoever looks next is to see it */
		if (m.kind == CHANNEL_REPLY)
			reply(a, &m);
	}
}
