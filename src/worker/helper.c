/* SPDX-License-Identifier: MIT */
#include "worker/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bicorn/app.h>

#include "app/module.h"
#include "app/target.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/log.h"
#include "net/listen.h"
#include "worker/exchange.h"
#include "worker/worker_private.h"

/* How long a settings file may take to run. */
#define EVALUATE_MS 30000

/* Having given its answer, the process has so long to end. */
#define LEAVE_MS 5000
#define WAIT_STEP_MS 1

/* What a settings file may say at most. */
#define ANSWER_MAX (4 << 20)
#define PART 65536

_Static_assert((int)CONF_SOURCE == (int)BICORN_VALUE_SOURCE &&
	(int)CONF_VARIABLE == (int)BICORN_VALUE_VARIABLE,
    "the kinds of values are the same");

/* --- the process that reads a settings file ------------------------------ */

/*
 * An answer is a sequence of terminated texts: for each value its name,
 * line, kind, how many texts follow, and these.  The last value is the end:
 * its name is "", its line is 1 for an error and its text is that.
 */
struct answer {
	struct bicorn_settings pub; /* first: a pointer to it is one to this */
	struct buf out;
	bool ok;
};

static bool
add_text(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text) + 1);
}

static bool
add_number(struct buf *b, unsigned long long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", n);
	return add_text(b, text);
}

static void
answer_take(struct bicorn_settings *pub, const char *name, unsigned line,
    enum bicorn_value kind, const char *const *texts, size_t count)
{
	struct answer *a = (struct answer *)(void *)pub;

	a->ok = a->ok && add_text(&a->out, name) && add_number(&a->out, line) &&
	    add_number(&a->out, kind) && add_number(&a->out, count);
	for (size_t i = 0; i < count; i++)
		a->ok = a->ok && add_text(&a->out, texts[i]);
}

static void
answer_end(struct answer *a, const char *error)
{
	const char *const texts[] = { error };

	answer_take(&a->pub, "", error[0] != '\0', BICORN_VALUE_NONE, texts,
	    1);
}

/* In the child: what the host makes of the file goes to fd. */
static void
read_settings(const struct settings *base, const char *name, int fd)
{
	char why[512] = "";
	struct err err = { "" };
	struct worker w = { .settings = base };
	struct app app;
	struct answer a = { .ok = true };

	lent_init(&w);
	a.pub = (struct bicorn_settings){
		.size = sizeof(a.pub),
		.server = &w.lent.table,
		.name = name,
		.error = why,
		.error_size = sizeof(why),
		.take = answer_take,
	};
	if (app_open_python(base, &app, &err) != 0)
		snprintf(why, sizeof(why), "%s: %s", name, err.text);
	else if (!APP_HAS(app.ops, settings))
		snprintf(why, sizeof(why), "%s: the WSGI host is too old",
		    name);
	else if (app.ops->settings(&a.pub) != 0 && why[0] == '\0')
		snprintf(why, sizeof(why), "%s: cannot be read", name);
	why[sizeof(why) - 1] = '\0';
	if (why[0] != '\0')
		a.out.len = 0;
	answer_end(&a, why);
	if (a.ok)
		(void)fd_write_all(fd, a.out.data, a.out.len);
}

/*
 * Gets rid of the arbiter's descriptors and of what it does with signals;
 * keep stays open, and where the log goes.
 */
static void
become_stranger(int keep)
{
	sigset_t none;
	int low = keep < log_fd() ? keep : log_fd();
	int high = keep < log_fd() ? log_fd() : keep;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (low > STDERR_FILENO + 1)
		fd_close_range(STDERR_FILENO + 1, (unsigned)low - 1);
	if (low < STDERR_FILENO)
		low = STDERR_FILENO;
	if (high > low + 1)
		fd_close_range((unsigned)low + 1, (unsigned)high - 1);
	if (high < STDERR_FILENO)
		high = STDERR_FILENO;
	fd_close_range((unsigned)high + 1, ~0u);
}

/* --- and its parent ------------------------------------------------------ */

/* There will be no answer. */
static void
give_up(struct helper_reading *r, int error)
{
	r->error = error;
	fd_close(&r->fd);
	if (r->pid > 0)
		kill(r->pid, SIGKILL);
	r->due_ms = CLOCK_NEVER;
}

/* False when there is nothing more for now. */
static bool
take_some(struct helper_reading *r, int64_t now_ms)
{
	ssize_t n;

	if (r->answer.len > ANSWER_MAX || !buf_reserve(&r->answer, PART)) {
		give_up(r, r->answer.len > ANSWER_MAX ? EMSGSIZE : ENOMEM);
		return false;
	}
	n = read(r->fd, r->answer.data + r->answer.len, PART);
	if (n > 0)
		r->answer.len += (size_t)n;
	if (n > 0 || (n < 0 && errno == EINTR))
		return true;
	if (n < 0 && errno != EAGAIN)
		give_up(r, errno);
	if (n == 0) {
		/* The file's code may have closed the pipe, and go on. */
		fd_close(&r->fd);
		r->due_ms = now_ms + LEAVE_MS;
	}
	return false;
}

void
helper_read_some(struct helper_reading *r, int64_t now_ms)
{
	while (r->fd >= 0 && take_some(r, now_ms))
		continue;
	if (now_ms >= r->due_ms)
		give_up(r, r->fd >= 0 ? ETIMEDOUT : r->error);
}

void
helper_read_ended(struct helper_reading *r, int status)
{
	r->pid = 0;
	r->status = status;
}

bool
helper_read_is_over(const struct helper_reading *r)
{
	return r->pid == 0 && r->fd < 0;
}

/* The next text of an answer; NULL: there is none. */
static const char *
next_text(struct span *rest)
{
	const char *text = rest->ptr;
	const char *end = rest->len > 0 ?
	    memchr(rest->ptr, '\0', rest->len) : NULL;

	if (end == NULL)
		return NULL;
	rest->len -= (size_t)(end + 1 - rest->ptr);
	rest->ptr = end + 1;
	return text;
}

static bool
next_number(struct span *rest, unsigned *out)
{
	const char *text = next_text(rest);
	unsigned long long n = 0;

	if (text == NULL || !span_uint(span_of(text), &n) || n > UINT32_MAX)
		return false;
	*out = (unsigned)n;
	return true;
}

/* One value of it.  1: another follows, 0: it was the last, -1. */
static int
deliver_one(struct span *rest, conf_take_fn take, void *arg, struct err *err)
{
	struct conf_value v = { .name = next_text(rest) };
	unsigned kind = 0, count = 0;
	const char **texts;
	int rc;

	if (v.name == NULL || !next_number(rest, &v.line) ||
	    !next_number(rest, &kind) || !next_number(rest, &count) ||
	    count > rest->len) {
		err_set(err, "it ended before it was read");
		return -1;
	}
	texts = calloc(count + 1u, sizeof(*texts));
	if (texts == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	for (unsigned i = 0; i < count; i++)
		if ((texts[i] = next_text(rest)) == NULL)
			texts[i] = "";
	v.kind = (enum conf_kind)kind;
	v.texts = (struct strlist){ texts, count };
	rc = 1;
	if (v.name[0] != '\0' || v.kind == CONF_SOURCE) {
		if (take(arg, &v, err) != 0)
			rc = -1;
	} else if (v.line != 0) {
		err_set(err, "%s", texts[0]);
		rc = -1;
	} else {
		rc = 0;
	}
	free(texts);
	return rc;
}

int
helper_read_deliver(const struct helper_reading *r, const char *name,
    conf_take_fn take, void *arg, struct err *err)
{
	struct span rest = { r->answer.data, r->answer.len };
	int rc = 1;

	if (r->error == ETIMEDOUT) {
		err_set(err, "%s: reading it takes more than %d s", name,
		    EVALUATE_MS / 1000);
		return -1;
	}
	if (r->error != 0) {
		errno = r->error;
		err_sys(err, "%s: cannot be read", name);
		return -1;
	}
	if (rest.len == 0 && WIFSIGNALED(r->status)) {
		err_set(err, "%s: reading it was ended by signal %d", name,
		    WTERMSIG(r->status));
		return -1;
	}
	if (rest.len == 0) {
		err_set(err, "%s: reading it ended without a result", name);
		return -1;
	}
	while (rc > 0)
		rc = deliver_one(&rest, take, arg, err);
	return rc;
}

void
helper_read_fini(struct helper_reading *r)
{
	if (r->pid > 0)
		kill(r->pid, SIGKILL);
	r->pid = 0;
	fd_close(&r->fd);
	buf_fini(&r->answer);
}

/* Whether there is nothing to wait for any more. */
static bool
is_gone(pid_t pid, int options, int *status)
{
	pid_t rc;

	do
		rc = waitpid(pid, status, options);
	while (rc < 0 && errno == EINTR);
	return rc != 0;
}

bool
helper_wait(pid_t pid, int64_t end_ms, int *status)
{
	*status = 0;
	while (!is_gone(pid, WNOHANG, status)) {
		if (clock_ms() >= end_ms) {
			kill(pid, SIGKILL);
			is_gone(pid, 0, status);
			return false;
		}
		poll(NULL, 0, WAIT_STEP_MS);
	}
	return true;
}

int
helper_read_start(struct helper_reading *r, const struct settings *base,
    const char *name, struct err *err)
{
	pid_t parent = getpid();
	int pipe_fds[2];

	*r = (struct helper_reading){ .fd = -1 };
	if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
		err_sys(err, "%s: pipe", name);
		return -1;
	}
	fflush(NULL);
	r->pid = fork();
	if (r->pid == 0) {
		become_stranger(pipe_fds[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			read_settings(base, name, pipe_fds[1]);
		fflush(NULL);
		_exit(0);
	}
	fd_close(&pipe_fds[1]);
	r->fd = pipe_fds[0];
	if (r->pid > 0 && fcntl(r->fd, F_SETFL, O_NONBLOCK) == 0) {
		r->due_ms = clock_ms() + EVALUATE_MS;
		return 0;
	}
	err_sys(err, "%s: fork", name);
	helper_read_fini(r);
	return -1;
}

/* Until there is something to do; after the answer its end is looked for. */
static void
wait_for(const struct helper_reading *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	int64_t left = r->due_ms - clock_ms();

	poll(&p, 1, r->fd < 0 ? WAIT_STEP_MS : left > 0 ? (int)left : 0);
}

int
helper_evaluate(void *own, const struct settings *base, const char *name,
    conf_take_fn take, void *arg, struct err *err)
{
	struct helper_reading r;
	int status = 0, rc;

	(void)own;
	if (helper_read_start(&r, base, name, err) != 0)
		return -1;
	while (!helper_read_is_over(&r)) {
		if (r.fd < 0 && is_gone(r.pid, WNOHANG, &status)) {
			helper_read_ended(&r, status);
			continue;
		}
		wait_for(&r);
		helper_read_some(&r, clock_ms());
	}
	rc = helper_read_deliver(&r, name, take, arg, err);
	helper_read_fini(&r);
	return rc;
}

/* --- the helper ---------------------------------------------------------- */

/* In the order of the moments from BICORN_ON_STARTING on. */
static const char *const hook_names[] = { "on_starting", "when_ready",
	"on_reload", "pre_fork", "child_exit", "nworkers_changed", "pre_exec",
	"on_exit" };

#define HOOK_NAMES (sizeof(hook_names) / sizeof(*hook_names))

/* One module that hears of moments. */
struct listener_module {
	struct app app;
	uint32_t events; /* 0: none, or there is no such module */
};

struct helper {
	struct worker w; /* for the functions lent to modules */
	struct listener **listeners; /* of w, as far as the arbiter told */
	char *text; /* into which they point */
	int arbiter;
	struct listener_module python; /* the settings file's hooks */
	struct listener_module native; /* an application in C */
};

static uint32_t
python_events(const struct settings *s)
{
	uint32_t events = 0;

	for (size_t i = 0; i < HOOK_NAMES; i++)
		if (settings_text(s, hook_names[i]) != NULL)
			events |= BICORN_MOMENT(BICORN_ON_STARTING + i);
	/* Each of them may ask which workers there are. */
	if (events != 0)
		events |= BICORN_MOMENT(BICORN_FORKED) |
		    BICORN_MOMENT(BICORN_CHILD_EXIT);
	return events;
}

static bool
is_native(const struct settings *s)
{
	struct target t;
	bool native;

	if (s->app == NULL || target_read(s->app, &t) != 0)
		return false;
	native = t.kind == TARGET_NATIVE;
	target_fini(&t);
	return native;
}

bool
helper_is_wanted(const struct settings *s)
{
	return python_events(s) != 0 || is_native(s);
}

static int
prepare_module(struct helper *h, struct listener_module *m,
    const char *target)
{
	char why[512] = "";
	struct bicorn_load l = {
		.size = sizeof(l),
		.server = &h->w.lent.table,
		.target = target,
		.error = why,
		.error_size = sizeof(why),
		.arbiter = h->arbiter,
	};
	int rc;

	if (!APP_HAS(m->app.ops, helper))
		return 0;
	rc = m->app.ops->helper(&l);
	m->app.instance = l.app;
	why[sizeof(why) - 1] = '\0';
	if (rc != BICORN_LOADED && why[0] != '\0')
		log_error("%s", why);
	else if (rc != BICORN_LOADED)
		log_error("%s: its helper() failed, and does not say why",
		    *target != '\0' ? target : h->w.settings->app);
	return rc;
}

static int
open_python(struct helper *h, struct err *err)
{
	const struct settings *s = h->w.settings;

	h->python.events = python_events(s);
	if (h->python.events == 0)
		return 0;
	if (app_open_python(s, &h->python.app, err) != 0)
		return BICORN_LOAD_FAILED;
	return prepare_module(h, &h->python, s->file);
}

/* That it cannot be opened is for the worker to find. */
static int
open_native(struct helper *h)
{
	struct err ignored;

	if (!is_native(h->w.settings) ||
	    app_open(h->w.settings, &h->native.app, &ignored) != 0 ||
	    !APP_HAS(h->native.app.ops, event))
		return 0;
	h->native.events = h->native.app.ops->events;
	return prepare_module(h, &h->native, "");
}

static int
tell(struct helper *h, const struct listener_module *m,
    const struct helper_message *message)
{
	const struct bicorn_event e = {
		.size = sizeof(e),
		.server = &h->w.lent.table,
		.moment = (enum bicorn_moment)message->moment,
		.arbiter = h->arbiter,
		.worker = message->worker,
		.number = message->number,
		.status = message->status,
		.workers = message->workers,
		.workers_before = message->workers_before,
	};

	if ((m->events & BICORN_MOMENT(message->moment)) == 0)
		return 0;
	return m->app.ops->event(m->app.instance, &e);
}

/* A message, and what stands behind it. */
struct packet {
	struct helper_message m;
	char text[HELPER_TEXT_MAX];
};

static bool
next_listener(struct span *rest, struct listener *l)
{
	unsigned is_unix, tls;

	l->fd = -1;
	l->name = (char *)next_text(rest);
	l->spec = (char *)next_text(rest);
	l->host = (char *)next_text(rest);
	if (!next_number(rest, &l->port) || !next_number(rest, &is_unix) ||
	    !next_number(rest, &tls))
		return false;
	l->is_unix = is_unix != 0;
	l->tls = tls != 0;
	return true;
}

/* They are told once, and kept until the helper ends. */
static void
take_listeners(struct helper *h, const char *text, size_t len)
{
	struct span rest = { text, len };
	struct listener l;
	size_t count = 0;

	while (next_listener(&rest, &l))
		count++;
	h->text = malloc(len);
	h->listeners = calloc(count, sizeof(*h->listeners));
	if (h->text == NULL || h->listeners == NULL)
		return;
	h->w.listeners = h->listeners;
	memcpy(h->text, text, len);
	rest = (struct span){ h->text, len };
	for (size_t i = 0; i < count; i++) {
		h->listeners[i] = calloc(1, sizeof(**h->listeners));
		if (h->listeners[i] == NULL ||
		    !next_listener(&rest, h->listeners[i]))
			return;
		h->w.listener_count = i + 1;
	}
}

/* A settings file may have handlers, which end a call: it is made again. */
static bool
reply(int fd, const struct helper_reply *r)
{
	ssize_t n;

	do
		n = send(fd, r, sizeof(*r), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*r);
}

/* The bytes of the next message; 0 when there will be none. */
static size_t
hear(int fd, struct packet *p)
{
	ssize_t n;

	do
		n = recv(fd, p, sizeof(*p), 0);
	while (n < 0 && errno == EINTR);
	return n >= (ssize_t)sizeof(p->m) ? (size_t)n : 0;
}

int
helper_main(const struct settings *s, int fd, pid_t arbiter)
{
	struct helper_reply r = { .moment = HELPER_HELLO };
	struct packet *p = malloc(sizeof(*p));
	struct helper h = { .arbiter = (int)arbiter };
	struct err err = { "" };
	size_t len;

	if (p == NULL)
		return 1;
	become_stranger(fd);
	/* The terminal's signals are for the arbiter, which tells us. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	h.w.settings = s;
	lent_init(&h.w);
	r.result = open_python(&h, &err);
	if (r.result == 0)
		r.result = open_native(&h);
	if (err.text[0] != '\0')
		log_error("%s", err.text);
	r.events = h.python.events | h.native.events;
	if (!reply(fd, &r) || r.result != 0 || r.events == 0)
		return r.result;
	while ((len = hear(fd, p)) > 0) {
		if (p->m.moment == HELPER_LISTENERS) {
			take_listeners(&h, p->text, len - sizeof(p->m));
			continue;
		}
		r = (struct helper_reply){ .moment = p->m.moment };
		r.result = tell(&h, &h.python, &p->m);
		if (r.result == 0)
			r.result = tell(&h, &h.native, &p->m);
		/* Nobody may be left to hear it, but more be there to do. */
		reply(fd, &r);
	}
	fflush(NULL);
	return 0;
}
