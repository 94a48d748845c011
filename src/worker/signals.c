/* SPDX-License-Identifier: MIT */
#include "worker/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "base/process.h"
#include "base/sender.h"
#include "log/log.h"
#include "worker/scoreboard.h"
#include "worker/worker.h"

/* Signal flags: written by the handlers, read by the acceptor. */
static atomic_bool signals_flags[SIGNALS_COUNT];
static atomic_int signals_wake_fd = -1;
static atomic_int signals_owner; /* the worker's pid */
static atomic_int signals_arbiter;
static _Atomic(struct score_worker *) signals_score;
static void (*_Atomic signals_abort)(void *arg);
static void *_Atomic signals_abort_arg;

static void
raise_flag(enum signals_flag flag)
{
	const uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	atomic_store(&signals_flags[flag], true);
	n = write(atomic_load(&signals_wake_fd), &one, sizeof(one));
	(void)n;
	errno = saved;
}

/*
 * A process that the application forked (multiprocessing) inherits the
 * handlers, but a signal for it is not one for the worker: it gets what it
 * would get without a handler, once the present one returns.
 */
static void
default_action(int sig)
{
	int saved = errno;
	struct sigaction sa = { .sa_handler = SIG_DFL };

	sigaction(sig, &sa, NULL);
	raise(sig);
	errno = saved;
}

static void
on_abort(void)
{
	void (*act)(void *arg) = atomic_load(&signals_abort);
	int saved = errno;

	if (act == NULL)
		_exit(WORKER_EXIT_ABORTED);
	act(atomic_load(&signals_abort_arg));
	errno = saved;
}

static void
note_sender(int sig, const siginfo_t *info)
{
	struct score_worker *score = atomic_load(&signals_score);

	if ((sig != SIGTERM && sig != SIGINT && sig != SIGQUIT &&
		sig != SIGABRT) ||
	    (info->si_code <= 0 &&
		info->si_pid == atomic_load(&signals_arbiter)))
		return;
	atomic_store(&score->signal_code, info->si_code);
	atomic_store(&score->signal_pid, info->si_pid);
	atomic_store(&score->signal_uid, info->si_uid);
	atomic_store(&score->signal, sig);
}

static void
on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (getpid() != atomic_load(&signals_owner)) {
		default_action(sig);
		return;
	}
	/* abort(3) ends it as it would have without us, core and all. */
	if (sig == SIGABRT && info->si_code <= 0 && info->si_pid == getpid()) {
		default_action(sig);
		return;
	}
	note_sender(sig, info);
	switch (sig) {
	case SIGTERM:
		raise_flag(SIGNALS_DRAIN);
		break;
	case SIGINT:
	case SIGQUIT:
		raise_flag(SIGNALS_QUIT);
		break;
	case SIGUSR1:
		raise_flag(SIGNALS_REOPEN);
		break;
	case SIGUSR2:
		raise_flag(SIGNALS_DUMP);
		break;
	case SIGABRT:
		on_abort();
		break;
	}
}

static void
set_handler(int sig, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

static void
set_catcher(int sig)
{
	struct sigaction sa = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_RESTART | SA_SIGINFO,
	};
	sigset_t one;

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
	/* load() may have blocked it, for threads that it has started. */
	sigemptyset(&one);
	sigaddset(&one, sig);
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

void
signals_boot(void)
{
	set_handler(SIGPIPE, SIG_IGN);
	set_handler(SIGHUP, SIG_IGN);
	set_handler(SIGUSR1, SIG_IGN);
	set_handler(SIGUSR2, SIG_IGN);
	set_handler(SIGWINCH, SIG_DFL);
	set_handler(SIGTTIN, SIG_IGN);
	set_handler(SIGTTOU, SIG_IGN);
	set_handler(SIGINT, SIG_DFL);
	set_handler(SIGQUIT, SIG_DFL);
	set_handler(SIGTERM, SIG_DFL);
	set_handler(SIGCHLD, SIG_DFL);
}

void
signals_install(int wake_fd, struct score_worker *score, pid_t arbiter)
{
	atomic_store(&signals_score, score);
	atomic_store(&signals_arbiter, arbiter);
	atomic_store(&signals_wake_fd, wake_fd);
	atomic_store(&signals_owner, getpid());
	set_catcher(SIGTERM);
	set_catcher(SIGINT);
	set_catcher(SIGQUIT);
	set_catcher(SIGUSR1);
	set_catcher(SIGUSR2);
	set_catcher(SIGABRT);
	/*
	 * Not for a worker, and not ignored: a program that the application
	 * starts would inherit that, but gets the default for a handler.
	 */
	set_catcher(SIGHUP);
	set_catcher(SIGTTIN);
	set_catcher(SIGTTOU);
	/* A spool file over RLIMIT_FSIZE fails its request, nothing else. */
	set_catcher(SIGXFSZ);
}

void
signals_tell(void)
{
	struct score_worker *score = atomic_load(&signals_score);
	int sig = atomic_load(&score->signal);
	struct sender sender = {
		.code = atomic_load(&score->signal_code),
		.pid = atomic_load(&score->signal_pid),
		.uid = atomic_load(&score->signal_uid),
	};
	char text[SENDER_TEXT_MAX];
	const char *name = process_signal(sig);

	if (sig == 0 || name == NULL)
		return;
	sender_text(&sender, text);
	log_info("Worker (pid:%d) leaves: it was sent SIG%s by %s",
	    (int)getpid(), name, text);
}

void
signals_on_abort(void (*act)(void *arg), void *arg)
{
	atomic_store(&signals_abort_arg, arg);
	atomic_store(&signals_abort, act);
}

bool
signals_seen(enum signals_flag flag)
{
	return atomic_load_explicit(&signals_flags[flag],
	    memory_order_relaxed);
}

bool
signals_take(enum signals_flag flag)
{
	return signals_seen(flag) &&
	    atomic_exchange(&signals_flags[flag], false);
}
