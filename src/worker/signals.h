/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_SIGNALS_H
#define BICORN_WORKER_SIGNALS_H

/*
 * Signals of a worker.  Handlers set a flag and wake the acceptor.  They are
 * handlers and not a signalfd, which needs the signals blocked: programs
 * that an application starts would inherit the mask, and could not be
 * stopped by a TERM.
 */

#include <stdbool.h>
#include <sys/types.h>

struct score_worker;

enum signals_flag {
	SIGNALS_DRAIN,  /* TERM */
	SIGNALS_QUIT,   /* INT, QUIT */
	SIGNALS_REOPEN, /* USR1 */
	SIGNALS_DUMP,   /* USR2 */
	SIGNALS_COUNT,
};

/*
 * While the application loads: INT, QUIT and TERM end the process, USR1 and
 * HUP do nothing yet.
 */
void signals_boot(void);

/*
 * From now on handlers are in place, and write to wake_fd (an eventfd).  Who
 * sends the signals that end a worker is noted in score, the arbiter apart.
 */
void signals_install(int wake_fd, struct score_worker *score, pid_t arbiter);

/* Says in the log who, if not the arbiter, told the worker to leave. */
void signals_tell(void);

/*
 * On SIGABRT act(arg) is called, in the handler, instead of ending the
 * process: it sees to that.
 */
void signals_on_abort(void (*act)(void *arg), void *arg);

/* Whether the signal came. */
bool signals_seen(enum signals_flag flag);

/* Whether it came since the last call. */
bool signals_take(enum signals_flag flag);

#endif
