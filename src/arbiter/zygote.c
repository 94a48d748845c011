/* SPDX-License-Identifier: MIT */
/*
 * The template's own life: it loads the application and then forks a worker
 * for each order.
 *
 * A worker has to be the arbiter's child, whose death the arbiter sees and
 * which hears of the arbiter's.  clone(2) with CLONE_PARENT would do that in
 * one step, but past libc: handlers of pthread_atfork(), by which libraries
 * put their locks and random numbers right, would not run.  So the template
 * forks a process that forks the worker and ends, and the worker passes to
 * the next subreaper, which the arbiter is.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "arbiter/template_private.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/access.h"
#include "log/log.h"
#include "worker/heritage.h"
#include "worker/scoreboard.h"
#include "worker/worker.h"

struct zygote {
	struct arbiter *a;
	struct generation *g;
	struct worker *w; /* the application, loaded */
	int sock;
};

static void
say(const struct zygote *z, const struct template_word *word)
{
	ssize_t n = send(z->sock, word, sizeof(*word), MSG_NOSIGNAL);

	(void)n; /* without the arbiter the next order does not come */
}

/* --- in the worker -------------------------------------------------------- */

/*
 * Waits until the arbiter is the parent: the kernel sends the signal after
 * it has passed the worker on.
 */
static void
wait_for_parent(pid_t middle)
{
	const struct timespec limit = { .tv_sec = 1 };
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &before);
	prctl(PR_SET_PDEATHSIG, SIGUSR2);
	while (getppid() == middle)
		sigtimedwait(&set, NULL, &limit);
	prctl(PR_SET_PDEATHSIG, 0);
	/* It may have come in between. */
	while (sigtimedwait(&set, NULL, &(struct timespec){ 0 }) == SIGUSR2)
		;
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Since the template was made, the logs were moved away. */
static void
reopen_logs(const struct generation *g)
{
	struct err err;

	if (log_reopen(&err) != 0)
		log_error("%s", err.text);
	if (g->access != NULL && access_reopen(g->access, &err) != 0)
		log_error("%s", err.text);
}

static _Noreturn void
be_worker(struct zygote *z, const struct template_word *word, pid_t middle)
{
	fd_close(&z->sock);
	wait_for_parent(middle);
	if (word->reopen)
		reopen_logs(z->g);
	worker_forked(z->w, WORKER_FORK_CHILD);
	child_serve(z->a, z->g, word->slot, z->w);
}

/* --- in between ----------------------------------------------------------- */

static _Noreturn void
be_middle(struct zygote *z, struct template_word *word)
{
	pid_t self = getpid(), pid = fork();

	if (pid == 0)
		be_worker(z, word, self);
	word->kind = TEMPLATE_WORKER;
	word->pid = pid;
	word->error = pid < 0 ? errno : 0;
	say(z, word);
	_exit(0);
}

/* --- in the template ------------------------------------------------------ */

static void
make_worker(struct zygote *z, struct template_word *word)
{
	pid_t pid;
	int error;

	fflush(NULL);
	worker_forked(z->w, WORKER_FORK_PREPARE);
	pid = fork();
	if (pid == 0)
		be_middle(z, word);
	error = errno;
	worker_forked(z->w, WORKER_FORK_PARENT);
	if (pid > 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return;
	}
	word->kind = TEMPLATE_WORKER;
	word->error = error;
	say(z, word);
}

static void
obey(struct zygote *z)
{
	struct template_word word;
	ssize_t n;

	for (;;) {
		n = recv(z->sock, &word, sizeof(word), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(word))
			return; /* the arbiter is gone */
		if (word.kind == TEMPLATE_FORK)
			make_worker(z, &word);
	}
}

static int
load(struct zygote *z, struct err *err)
{
	const struct heritage h = {
		.settings = z->g->settings,
		.access = z->g->access,
		.generation = z->g->number,
		.arbiter = z->a->pid,
	};
	int64_t begun_ms = clock_ms();
	int rc;

	if (child_settle(z->a, z->g, CHILD_TEMPLATE, err) != 0)
		return WORKER_EXIT_BOOT;
	log_info("Booting template with pid: %d", (int)getpid());
	rc = worker_preload(&h, &z->w, err);
	if (rc == 0)
		log_info("Preloaded the application in %.1f s (pid: %d)",
		    (double)(clock_ms() - begun_ms) / 1000, (int)getpid());
	return rc;
}

_Noreturn void
template_run(struct arbiter *a, struct generation *g, int sock)
{
	struct zygote z = { .a = a, .g = g, .sock = sock };
	struct template_word word = { .kind = TEMPLATE_READY };
	struct err err;
	int code = load(&z, &err);

	if (code != 0) {
		log_error("%s", err.text);
		word.kind = TEMPLATE_FAILED;
		snprintf(word.why, sizeof(word.why), "%.*s",
		    (int)sizeof(word.why) - 1, err.text);
	}
	say(&z, &word);
	scoreboard_notify(g->board);
	if (code == 0)
		obey(&z);
	fflush(NULL);
	/* Exit functions are for those who serve. */
	_exit(code);
}
