/* SPDX-License-Identifier: MIT */
#include "worker/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "worker/worker.h"

/* Signal flags: written by the handlers, read by the acceptor. */
static atomic_bool signals_flags[SIGNALS_COUNT];
static atomic_int signals_wake_fd = -1;
static atomic_int signals_owner; /* the worker's pid */

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
on_signal(int sig)
{
	if (getpid() != atomic_load(&signals_owner)) {
		default_action(sig);
		return;
	}
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
		_exit(WORKER_EXIT_ABORTED);
	}
}

static void
set_handler(int sig, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
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
signals_install(int wake_fd)
{
	atomic_store(&signals_wake_fd, wake_fd);
	atomic_store(&signals_owner, getpid());
	set_handler(SIGTERM, on_signal);
	set_handler(SIGINT, on_signal);
	set_handler(SIGQUIT, on_signal);
	set_handler(SIGUSR1, on_signal);
	set_handler(SIGUSR2, on_signal);
	set_handler(SIGABRT, on_signal);
	/*
	 * Not for a worker, and not ignored: a program that the application
	 * starts would inherit that, but gets the default for a handler.
	 */
	set_handler(SIGHUP, on_signal);
	set_handler(SIGTTIN, on_signal);
	set_handler(SIGTTOU, on_signal);
	/* A spool file over RLIMIT_FSIZE fails its request, nothing else. */
	set_handler(SIGXFSZ, on_signal);
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
