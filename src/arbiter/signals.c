/* SPDX-License-Identifier: MIT */
#include "arbiter/signals.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/process.h"

static const int arbiter_signals[] = {
	SIGTERM,
	SIGINT,
	SIGQUIT,
	SIGHUP,
	SIGTTIN,
	SIGTTOU,
	SIGUSR1,
	SIGUSR2,
	SIGWINCH,
	SIGCHLD,
};

/* No operator is that fast. */
#define ECHO_MS 50

#define SIGNAL_COUNT (sizeof(arbiter_signals) / sizeof(arbiter_signals[0]))

static void
set_action(int number, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	if (handler != SIG_DFL && handler != SIG_IGN)
		action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL); /* the numbers are all valid */
}

static bool
is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 &&
	    action.sa_handler == SIG_IGN;
}

int
signals_init(struct signals *s, bool daemon, struct err *err)
{
	s->fd = -1;
	s->last = 0;
	sigemptyset(&s->handled);
	for (size_t i = 0; i < SIGNAL_COUNT; i++) {
		if (arbiter_signals[i] == SIGHUP && is_ignored(SIGHUP) &&
		    !daemon)
			continue;
		sigaddset(&s->handled, arbiter_signals[i]);
		/* An ignored SIGCHLD would reap children behind our back. */
		set_action(arbiter_signals[i], SIG_DFL);
	}
	set_action(SIGPIPE, SIG_IGN);
	/* A file that is too large is an error of that write (ulimit -f). */
	set_action(SIGXFSZ, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &s->handled, &s->before) != 0) {
		err_sys(err, "signals");
		return -1;
	}
	s->fd = signalfd(-1, &s->handled, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->fd < 0) {
		err_sys(err, "signals");
		sigprocmask(SIG_SETMASK, &s->before, NULL);
		return -1;
	}
	return 0;
}

static bool
read_one(const struct signals *s, struct signalfd_siginfo *info)
{
	ssize_t n;

	do
		n = read(s->fd, info, sizeof(*info));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*info);
}

/* Whether it is but the echo of the one before. */
static bool
is_echo(struct signals *s, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;
	int64_t now_ms = clock_ms();
	bool echo;

	if (number != SIGTERM && number != SIGINT && number != SIGQUIT)
		return false; /* each of these counts */
	echo = number == s->last && info->ssi_pid == s->last_sender &&
	    now_ms < s->last_ms + ECHO_MS;
	s->last = number;
	s->last_sender = info->ssi_pid;
	s->last_ms = now_ms;
	return echo;
}

int
signals_next(struct signals *s)
{
	struct signalfd_siginfo info;

	while (read_one(s, &info)) {
		if (is_echo(s, &info))
			continue;
		s->sender = (struct sender){
			.code = info.ssi_code,
			.pid = (pid_t)info.ssi_pid,
			.uid = info.ssi_uid,
		};
		return (int)info.ssi_signo;
	}
	return 0;
}

void
signals_wait(const struct signals *s, int64_t ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	poll(&p, 1, (int)ms); /* being woken early does no harm */
}

static void
do_nothing(int number)
{
	(void)number;
}

void
signals_restore(struct signals *s)
{
	sigset_t mask = s->before;

	for (size_t i = 0; i < SIGNAL_COUNT; i++) {
		sigdelset(&mask, arbiter_signals[i]);
		if (sigismember(&s->handled, arbiter_signals[i]) == 1)
			set_action(arbiter_signals[i], SIG_DFL);
	}
	/* A handler, unlike SIG_IGN, does not cross an exec. */
	if (sigismember(&s->handled, SIGHUP) == 1)
		set_action(SIGHUP, do_nothing);
	fd_close(&s->fd);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

void
signals_end(struct signals *s)
{
	fd_close(&s->fd);
}

void
signals_fini(struct signals *s)
{
	if (s->fd < 0)
		return;
	fd_close(&s->fd);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

const char *
signals_name(int number, char out[16])
{
	const char *abbrev = process_signal(number);
	size_t i;

	if (abbrev == NULL) {
		snprintf(out, 16, "%d", number);
		return out;
	}
	for (i = 0; abbrev[i] != '\0' && i < 15; i++)
		out[i] = (char)tolower((unsigned char)abbrev[i]);
	out[i] = '\0';
	return out;
}
