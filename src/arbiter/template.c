/* SPDX-License-Identifier: MIT */
/*
 * The template, as the arbiter sees it.  They talk over a socket pair: an
 * order names a slot, the answer the pid of the worker for it.
 */
#include "arbiter/template.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/death.h"
#include "arbiter/generation.h"
#include "arbiter/template_private.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "log/log.h"

/* Hooks of the application that run before a fork may take so long. */
#define FORK_MAX_MS 10000

/* When one could not be made. */
#define RETRY_MS 1000

static bool
start(struct arbiter *a, struct generation *g, int64_t now_ms)
{
	struct template *t = &g->template;
	int pair[2];
	pid_t pid;

	/* Workers of the template become the arbiter's when it lets go. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		fd_close(&pair[0]);
		template_run(a, g, pair[1]);
	}
	fd_close(&pair[1]);
	if (pid < 0) {
		fd_close(&pair[0]);
		return false;
	}
	*t = (struct template){
		.pid = pid,
		.sock = pair[0],
		.forked_ms = now_ms,
	};
	return true;
}

bool
template_is_ready(struct arbiter *a, struct generation *g, int64_t now_ms)
{
	struct template *t = &g->template;

	if (t->pid != 0)
		return t->ready;
	if (!start(a, g, now_ms)) {
		log_error("fork of the template: %s", strerror(errno));
		g->backoff.next_ms = now_ms + RETRY_MS;
	}
	return false;
}

bool
template_is_booting(const struct generation *g)
{
	return g->template.pid != 0 && !g->template.ready;
}

/* 1: got one, 0: nothing there, -1: it is gone. */
static int
hear(struct template *t, struct template_word *word)
{
	ssize_t n;

	do
		n = recv(t->sock, word, sizeof(*word), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(*word))
		return 1;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

static void
heed(struct template *t, const struct template_word *word)
{
	if (word->kind == TEMPLATE_READY)
		t->ready = true;
	if (word->kind == TEMPLATE_FAILED)
		snprintf(t->why, sizeof(t->why), "%.*s",
		    (int)sizeof(word->why) - 1, word->why);
}

/* Waits for the pid of a worker. */
static int
wait_worker(struct template *t, struct template_word *word)
{
	int64_t end_ms = clock_ms() + FORK_MAX_MS, left;
	struct pollfd p = { .fd = t->sock, .events = POLLIN };
	int got;

	while ((got = hear(t, word)) >= 0) {
		if (got > 0 && word->kind == TEMPLATE_WORKER)
			return 0;
		left = end_ms - clock_ms();
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		poll(&p, 1, (int)left);
	}
	errno = ESRCH;
	return -1;
}

pid_t
template_fork(struct generation *g, size_t slot)
{
	struct template *t = &g->template;
	struct template_word word = {
		.kind = TEMPLATE_FORK,
		.slot = slot,
		.reopen = t->reopen,
	};
	int error;

	if (send(t->sock, &word, sizeof(word), MSG_NOSIGNAL) ==
		(ssize_t)sizeof(word) &&
	    wait_worker(t, &word) == 0) {
		errno = word.error;
		return word.error == 0 ? word.pid : -1;
	}
	/* It would fork a worker that nobody knows: it has to go. */
	error = errno;
	kill(t->pid, SIGKILL);
	t->ready = false;
	t->stuck = true;
	errno = error;
	return -1;
}

void
template_watch(struct generation *g, int64_t now_ms)
{
	struct template *t = &g->template;
	struct template_word word;

	if (t->pid == 0)
		return;
	while (hear(t, &word) > 0)
		heed(t, &word);
	if (now_ms >= template_deadline(g)) {
		t->late = true;
		kill(t->pid, SIGKILL);
	}
}

int64_t
template_deadline(const struct generation *g)
{
	const struct template *t = &g->template;
	int64_t limit = g->settings->boot_timeout_ms;

	if (t->pid == 0 || t->ready || t->late || t->stuck ||
	    limit == 0)
		return CLOCK_NEVER;
	return t->forked_ms + limit;
}

void
template_forget(struct generation *g)
{
	struct template *t = &g->template;

	if (t->pid != 0)
		fd_close(&t->sock);
	t->pid = 0;
}

void
template_end(struct generation *g)
{
	if (g->template.pid != 0)
		kill(g->template.pid, SIGKILL);
	template_forget(g);
}

/* --- its death ------------------------------------------------------------ */

static struct generation *
find(struct arbiter *a, pid_t pid)
{
	struct generation *lists[] = { a->serving, a->candidate };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (lists[i] != NULL && lists[i]->template.pid == pid)
			return lists[i];
	return NULL;
}

static void
log_end(struct arbiter *a, const struct death *d, bool stuck)
{
	char text[TEMPLATE_WHY_MAX];
	const char *why = "";

	if (d->was.late)
		why = ": it was not ready within boot_timeout";
	else if (stuck)
		why = ": it made no worker in time";
	if (d->number != 0)
		snprintf(text, sizeof(text),
		    "Template (pid:%d) was ended by SIG%s%s", (int)d->was.pid,
		    process_signal(d->number) != NULL ?
			process_signal(d->number) : "?",
		    why);
	else
		snprintf(text, sizeof(text),
		    "Template (pid:%d) exited with code %d", (int)d->was.pid,
		    d->code);
	log_error("%s", text);
	snprintf(a->last_death, sizeof(a->last_death), "%.*s",
	    (int)sizeof(a->last_death) - 1,
	    d->why[0] != '\0' ? d->why : text);
}

/*
 * One that was ready is made anew when a worker is wanted.  One that failed
 * is as a worker that did not boot.
 */
bool
template_ended(struct arbiter *a, pid_t pid, int status, int64_t now_ms)
{
	struct generation *g = find(a, pid);
	struct death d = { .g = g, .status = status };
	struct template *t;

	if (g == NULL)
		return false;
	t = &g->template;
	template_watch(g, t->forked_ms); /* its last words */
	d.was = (struct child){ .pid = pid, .late = t->late };
	d.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	d.number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	snprintf(d.why, sizeof(d.why), "%s", t->why);
	template_forget(g);
	log_end(a, &d, t->stuck);
	if (t->ready)
		return true;
	backoff_died(&g->backoff,
	    (struct backoff_death){ .by_itself = d.number == 0 }, now_ms);
	death_heed(a, &d);
	return true;
}
