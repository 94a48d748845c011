/* SPDX-License-Identifier: MIT */
#include "arbiter/hooks.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/title.h"
#include "log/log.h"
#include "net/listen.h"
#include "worker/helper.h"

/* For a helper to be ready, where boot_timeout sets no limit. */
#define READY_MS 60000
/* For one that has closed its socket to end. */
#define END_MS 1000

struct hooks *
hooks_hold(struct hooks *h)
{
	if (h != NULL)
		h->holders++;
	return h;
}

void
hooks_drop(struct hooks **hp)
{
	struct hooks *h = *hp;

	*hp = NULL;
	if (h == NULL || --h->holders > 0)
		return;
	fd_close(&h->fd);
	free(h);
}

void
hooks_forget(struct hooks *h)
{
	if (h != NULL)
		fd_close(&h->fd);
}

/* --- talking to it ------------------------------------------------------- */

static void
lost(struct hooks *h)
{
	log_error("The helper process (pid:%d) has ended: hooks of the arbiter "
		  "do not run before a reload", (int)h->pid);
	fd_close(&h->fd);
}

/* Takes the answers that nobody waits for. */
static void
drain(struct hooks *h)
{
	struct helper_reply r;
	ssize_t n;

	while (h->fd >= 0) {
		n = recv(h->fd, &r, sizeof(r), MSG_DONTWAIT);
		if (n == 0)
			lost(h);
		if (n <= 0 && errno != EINTR)
			break;
	}
}

static bool
send_packet(struct hooks *h, const void *data, size_t len)
{
	drain(h);
	if (h->fd < 0)
		return false;
	if (send(h->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)len) {
		h->late = false;
		return true;
	}
	if (errno != EAGAIN)
		lost(h);
	else if (!h->late)
		log_warning("The helper process (pid:%d) is busy: hooks of the "
			    "arbiter are left out", (int)h->pid);
	h->late = true;
	return false;
}

/* False when it was not sent. */
static bool
send_message(struct hooks *h, const struct helper_message *m)
{
	if (h == NULL || h->fd < 0 || (h->events & 1u << m->moment) == 0)
		return false;
	return send_packet(h, m, sizeof(*m));
}

static bool
add_listener(struct buf *b, const struct listener *l)
{
	char numbers[32];
	int n = snprintf(numbers, sizeof(numbers), "%u%c%d%c%d", l->port, 0,
	    l->is_unix, 0, l->tls);

	return buf_add(b, l->name, strlen(l->name) + 1) &&
	    buf_add(b, l->spec, strlen(l->spec) + 1) &&
	    buf_add(b, l->host, strlen(l->host) + 1) &&
	    buf_add(b, numbers, (size_t)n + 1);
}

void
hooks_tell_listeners(struct hooks *h, const struct sockets *s)
{
	const struct helper_message m = { .moment = HELPER_LISTENERS };
	struct buf b = { 0 };
	bool ok;

	if (h == NULL || h->fd < 0)
		return;
	ok = buf_add(&b, &m, sizeof(m));
	for (size_t i = 0; ok && i < s->count; i++)
		ok = add_listener(&b, s->items[i]);
	if (ok && b.len <= sizeof(m) + HELPER_TEXT_MAX)
		send_packet(h, b.data, b.len);
	buf_fini(&b);
}

void
hooks_tell(struct hooks *h, const struct helper_message *m)
{
	send_message(h, m);
}

/* The answer to that moment; false when there was none in time. */
static bool
await(struct hooks *h, uint32_t moment, int64_t ms, struct helper_reply *out)
{
	int64_t end_ms = clock_ms() + ms;

	while (h->fd >= 0) {
		struct pollfd p = { .fd = h->fd, .events = POLLIN };
		int64_t left = end_ms - clock_ms();
		ssize_t n;

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(h->fd, out, sizeof(*out), MSG_DONTWAIT);
		if (n == sizeof(*out) && out->moment == moment)
			return true;
		if (n == 0)
			lost(h);
	}
	return false;
}

int
hooks_ask(struct hooks *h, const struct helper_message *m, int64_t ms)
{
	struct helper_reply r = { 0 };

	if (!send_message(h, m))
		return 0;
	if (await(h, m->moment, ms, &r))
		return r.result;
	log_warning("A hook of the arbiter takes more than %lld s: it is not "
		    "waited for", (long long)ms / 1000);
	return 0;
}

void
hooks_finish(struct hooks *h, int64_t ms)
{
	const struct helper_message leaving = { .moment = BICORN_ON_EXIT };
	int64_t end_ms = clock_ms() + ms, left;
	struct helper_reply r;
	int status;

	if (h == NULL || h->fd < 0)
		return;
	send_message(h, &leaving);
	/* It reads what is there, then the end, and leaves. */
	if (h->fd >= 0)
		shutdown(h->fd, SHUT_WR);
	while (h->fd >= 0 && (left = end_ms - clock_ms()) > 0) {
		struct pollfd p = { .fd = h->fd, .events = POLLIN };

		if (poll(&p, 1, (int)left) > 0 &&
		    recv(h->fd, &r, sizeof(r), MSG_DONTWAIT) == 0)
			break;
	}
	if (!helper_wait(h->pid, end_ms, &status))
		log_warning("The helper process (pid:%d) is killed: a hook "
			    "does not end", (int)h->pid);
	h->pid = 0;
	fd_close(&h->fd);
}

static bool
is_reaped(struct hooks *h, pid_t pid, int status)
{
	if (h == NULL || h->pid != pid)
		return false;
	if (h->fd >= 0 && !h->booting)
		lost(h);
	h->pid = 0; /* another process may get the number */
	h->status = status;
	return true;
}

bool
hooks_ended(struct arbiter *a, pid_t pid, int status)
{
	struct generation *lists[] = { a->serving, a->candidate, a->retired };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (struct generation *g = lists[i]; g != NULL; g = g->next)
			if (is_reaped(g->hooks, pid, status))
				return true;
	return is_reaped(a->hooks, pid, status);
}

/* --- starting it --------------------------------------------------------- */

_Noreturn static void
run(struct arbiter *a, struct generation *g, int fd)
{
	pid_t arbiter = a->pid;
	struct err err;
	int code = 1;

	signals_restore(&a->signals);
	prctl(PR_SET_NAME, "bicorn-helper");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	title_set(a->title, "bicorn: helper [%s]", generation_name(g));
	if (child_environment(g->settings, &err) != 0)
		log_error("%s", err.text);
	else if (getppid() == arbiter)
		code = helper_main(g->settings, fd, arbiter);
	_exit(code);
}

static int
launch(struct arbiter *a, struct generation *g, struct hooks *h,
    struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
		err_sys(err, "helper process: socketpair");
		return -1;
	}
	h->pid = fork();
	if (h->pid == 0)
		run(a, g, fds[1]);
	fd_close(&fds[1]);
	h->fd = fds[0];
	if (h->pid > 0)
		return 0;
	err_sys(err, "helper process: fork");
	return -1;
}

bool
hooks_are_booting(const struct hooks *h)
{
	return h != NULL && h->booting;
}

void
hooks_give_up(struct hooks *h)
{
	if (hooks_are_booting(h) && h->pid > 0)
		kill(h->pid, SIGKILL);
}

int
hooks_fd(const struct hooks *h)
{
	return hooks_are_booting(h) ? h->fd : -1;
}

int64_t
hooks_deadline(const struct hooks *h)
{
	return hooks_are_booting(h) ? h->due_ms : CLOCK_NEVER;
}

static int
greet(struct hooks *h, const struct helper_reply *r, struct err *err)
{
	h->booting = false;
	if (r->result != 0) {
		err_set(err, "the hooks of the arbiter do not load");
		return -1;
	}
	h->events = r->events;
	if (h->events == 0)
		fd_close(&h->fd);
	return 1;
}

/*
 * It has closed its end of the socket: code of the application, which runs
 * when its object is opened, has ended the process.
 */
static void
explain_end(struct hooks *h, const char *name, struct err *err)
{
	static const char who[] = "the helper process, which runs the hooks,";
	const char *signal;

	if (h->pid > 0)
		helper_wait(h->pid, clock_ms() + END_MS, &h->status);
	h->pid = 0;
	if (!WIFSIGNALED(h->status)) {
		err_set(err, "%s: %s exited with code %d", name, who,
		    WEXITSTATUS(h->status));
		return;
	}
	signal = process_signal(WTERMSIG(h->status));
	err_set(err, "%s: %s was sent SIG%s", name, who,
	    signal != NULL ? signal : "NAL");
}

int
hooks_watch(const struct generation *g, int64_t now_ms, struct err *err)
{
	const char *name = generation_name(g);
	struct hooks *h = g->hooks;
	struct helper_reply r;
	ssize_t n;

	do
		n = recv(h->fd, &r, sizeof(r), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(r))
		return greet(h, &r, err);
	if (n < 0 && errno == EAGAIN && now_ms < h->due_ms)
		return 0;
	if (n < 0 && errno == EAGAIN)
		err_set(err, "%s: the helper process, which runs the hooks, "
		    "was not ready within boot_timeout", name);
	else
		explain_end(h, name, err);
	return -1;
}

int
hooks_launch(struct arbiter *a, struct generation *g, struct err *err)
{
	int64_t limit_ms = g->settings->boot_timeout_ms;
	struct hooks *h;

	if (!helper_is_wanted(g->settings))
		return 0;
	h = calloc(1, sizeof(*h));
	if (h == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	h->holders = 1;
	h->fd = -1;
	g->hooks = h;
	if (launch(a, g, h, err) != 0)
		return -1;
	h->booting = true;
	h->due_ms = clock_ms() + (limit_ms > 0 ? limit_ms : READY_MS);
	return 0;
}

int
hooks_start(struct arbiter *a, struct generation *g, struct err *err)
{
	struct hooks *h;
	int rc = 0;

	if (hooks_launch(a, g, err) != 0)
		return -1;
	h = g->hooks;
	while (hooks_are_booting(h) && rc == 0) {
		struct pollfd p = { .fd = h->fd, .events = POLLIN };
		int64_t left = h->due_ms - clock_ms();

		poll(&p, 1, left > 0 ? (int)left : 0);
		rc = hooks_watch(g, clock_ms(), err);
	}
	return rc < 0 ? -1 : 0;
}
