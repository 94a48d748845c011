/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a line of JSON in, a line of JSON out.
 *
 *	{"command": "scale", "argument": 4}
 *	{"ok": true, "data": ...}  or  {"ok": false, "error": "..."}
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "admin/admin_private.h"
#include "log/log.h"
#include "worker/scoreboard.h"

/* A worker whose acceptor lives shows its stacks within a second or so. */
#define STACKS_WAIT_MS 5000

bool
control_admits(const struct admin *a, int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return false;
	if (who.uid == 0 || who.uid == a->o->owner)
		return true;
	log_warning("Control socket: user %u (pid:%d) is not allowed",
	    (unsigned)who.uid, (int)who.pid);
	return false;
}

/* --- answers -------------------------------------------------------------- */

/* Takes the answer. */
static bool
put_line(struct peer *p, json_t *line)
{
	char *text = line != NULL
	    ? json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII |
			  JSON_REAL_PRECISION(10))
	    : NULL;
	bool ok = text != NULL && buf_str(&p->out, text) &&
	    buf_str(&p->out, "\n");

	json_decref(line);
	free(text);
	return ok;
}

static bool
put_data(struct peer *p, json_t *data)
{
	return data != NULL &&
	    put_line(p, json_pack("{s:b,s:o}", "ok", 1, "data", data));
}

static bool
put_error(struct peer *p, const char *text)
{
	return put_line(p, json_pack("{s:b,s:o}", "ok", 0, "error",
			       view_text(text, strlen(text))));
}

void
control_reply(struct admin *a, struct peer *p, bool ok, const char *text)
{
	(void)a;
	if (ok)
		put_data(p, json_pack("{s:o}", "message",
			    view_text(text, strlen(text))));
	else
		put_error(p, text);
}

/* --- stacks --------------------------------------------------------------- */

static void
ask_worker(struct admin *a, struct peer *p, struct scoreboard *b, size_t slot)
{
	struct score_worker *w = scoreboard_worker(b, slot);

	if (p->asked_count == ASKED_MAX)
		return;
	if (++a->dumps == 0)
		++a->dumps;
	p->asked[p->asked_count++] =
	    (struct asked){ atomic_load(&w->pid), a->dumps };
	atomic_store(&w->dump_wanted, a->dumps);
}

static bool
ask_stacks(struct admin *a, struct peer *p, pid_t pid)
{
	struct scoreboard *b;
	size_t slot;

	p->asked_count = 0;
	if (p->asked == NULL)
		p->asked = calloc(ASKED_MAX, sizeof(*p->asked));
	if (p->asked == NULL)
		return false;
	if (pid != 0 && !view_find(&a->view, pid, &b, &slot))
		return put_error(p, "there is no worker of that pid");
	if (pid != 0)
		ask_worker(a, p, b, slot);
	for (size_t i = 0; i < a->view.count && pid == 0; i++) {
		b = a->view.generations[i].board;
		for (slot = 0; slot < scoreboard_workers(b); slot++)
			if (atomic_load(&scoreboard_worker(b, slot)->state) >=
			    WORKER_READY)
				ask_worker(a, p, b, slot);
	}
	p->wait = WAIT_STACKS;
	p->wait_ms = a->now_ms + STACKS_WAIT_MS;
	return true;
}

static bool
is_there(const struct admin *a, const struct asked *q)
{
	struct scoreboard *b;
	size_t slot;

	return !view_find(&a->view, q->pid, &b, &slot) ||
	    atomic_load(&scoreboard_worker(b, slot)->dumped) == q->number;
}

static json_t *
stacks_of(const struct admin *a, const struct asked *q)
{
	json_t *one = json_object();
	struct scoreboard *b;
	size_t slot, len;

	json_object_set_new(one, "pid", json_integer(q->pid));
	if (!view_find(&a->view, q->pid, &b, &slot)) {
		json_object_set_new(one, "error", json_string("it is gone"));
		return one;
	}
	if (!is_there(a, q)) {
		json_object_set_new(one, "error",
		    json_string("it does not answer"));
		return one;
	}
	len = atomic_load(&scoreboard_worker(b, slot)->dump_len);
	if (len > SCORE_DUMP_MAX)
		len = SCORE_DUMP_MAX;
	json_object_set_new(one, "stacks",
	    view_text(scoreboard_dump(b, slot), len));
	return one;
}

void
control_stacks(struct admin *a, struct peer *p)
{
	json_t *all;

	for (size_t i = 0; i < p->asked_count && a->now_ms < p->wait_ms; i++)
		if (!is_there(a, &p->asked[i]))
			return;
	all = json_array();
	for (size_t i = 0; i < p->asked_count; i++)
		json_array_append_new(all, stacks_of(a, &p->asked[i]));
	p->wait = WAIT_NOTHING;
	p->deadline_ms = a->now_ms + PEER_SEND_MS;
	put_data(p, all);
}

/* --- commands ------------------------------------------------------------- */

static bool
to_arbiter(struct admin *a, struct peer *p, enum channel_command command,
    int64_t argument)
{
	return admin_command(a, p, command, argument) ||
	    put_error(p, "the arbiter does not answer");
}

static bool
set_log_level(struct admin *a, struct peer *p, const json_t *argument)
{
	const char *name = json_string_value(argument);
	enum log_level level;

	if (name == NULL || !log_level_parse(name, &level))
		return put_error(p, "log-level: must be debug, info, "
				    "warning, error or critical");
	return to_arbiter(a, p, COMMAND_LOG_LEVEL, level);
}

/* Only looks. */
static bool
show(struct admin *a, struct peer *p, const char *what, json_int_t number,
    bool *known_out)
{
	*known_out = true;
	view_look(&a->view);
	if (strcmp(what, "status") == 0)
		return put_data(p, view_status(&a->view));
	if (strcmp(what, "workers") == 0)
		return put_data(p, view_workers(&a->view));
	if (strcmp(what, "requests") == 0)
		return put_data(p, view_requests(&a->view));
	if (strcmp(what, "settings") == 0)
		return put_data(p, view_settings(&a->view));
	if (strcmp(what, "stacks") == 0)
		return number == (pid_t)number
		    ? ask_stacks(a, p, (pid_t)number)
		    : put_error(p, "there is no worker of that pid");
	*known_out = false;
	return true;
}

static const struct {
	const char *name;
	enum channel_command command;
	bool takes_number;
} commands[] = {
	{ "reload", COMMAND_RELOAD, false },
	{ "reopen", COMMAND_REOPEN, false },
	{ "scale", COMMAND_SCALE, true },
	{ "retire", COMMAND_RETIRE, true },
	{ "stop", COMMAND_STOP, false },
	{ "stop-quick", COMMAND_QUIT, false },
};

static bool
run(struct admin *a, struct peer *p, const json_t *line)
{
	const char *what = json_string_value(json_object_get(line, "command"));
	const json_t *argument = json_object_get(line, "argument");
	json_int_t number = json_integer_value(argument);
	bool known, ok;

	if (what == NULL)
		return put_error(p, "a command is {\"command\": NAME}");
	ok = show(a, p, what, number, &known);
	if (known)
		return ok;
	if (strcmp(what, "log-level") == 0)
		return set_log_level(a, p, argument);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(what, commands[i].name) != 0)
			continue;
		if (commands[i].takes_number && !json_is_integer(argument))
			return put_error(p, "it takes a number");
		return to_arbiter(a, p, commands[i].command, number);
	}
	return put_error(p, "there is no such command");
}

bool
control_serve(struct admin *a, struct peer *p)
{
	const char *end = memchr(p->in.data, '\n', p->in.len);
	json_error_t error;
	json_t *line;
	size_t len;
	bool ok;

	if (end == NULL)
		return p->in.len < REQUEST_MAX;
	len = (size_t)(end - p->in.data);
	line = json_loadb(p->in.data, len, JSON_REJECT_DUPLICATES, &error);
	ok = line != NULL ? run(a, p, line) :
			    put_error(p, "this is no line of JSON");
	json_decref(line);
	buf_drop(&p->in, len + 1);
	return ok;
}
