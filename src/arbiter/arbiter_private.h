/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_ARBITER_PRIVATE_H
#define BICORN_ARBITER_ARBITER_PRIVATE_H

/* The arbiter's state, and what its files do to each other. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arbiter/certificates.h"
#include "arbiter/control.h"
#include "arbiter/daemon.h"
#include "arbiter/notify.h"
#include "arbiter/oom.h"
#include "arbiter/origin.h"
#include "arbiter/pidfile.h"
#include "arbiter/reading.h"
#include "arbiter/signals.h"
#include "arbiter/upgrade.h"
#include "conf/conf.h"

struct child;
struct err;
struct generation;
struct hooks;
struct ledger;
struct score_counts;
struct title;

enum arbiter_stop {
	STOP_NOT,
	STOP_LATER,    /* they serve on for shutdown_delay */
	STOP_GRACEFUL, /* workers finish what they have */
	STOP_QUICK,    /* they leave at once */
	STOP_NOW,      /* they are killed */
};

struct arbiter {
	/* Constant after boot. */
	int argc;
	char *const *argv;
	struct title *title;
	pid_t pid;
	bool daemonised;
	bool log_elsewhere; /* the terminal does not show the log */
	struct origin origin;
	struct pidfile pidfile;
	struct strlist inherited; /* sockets of the service manager */
	uid_t uid;                /* of the workers, until the next start */
	gid_t gid;

	struct ledger *ledger; /* shared: what others may know of all this */
	struct control control;

	struct signals signals;
	struct daemon daemon;
	struct notify notify;
	struct certificates_watch certificates;

	struct oom oom;
	struct upgrade upgrade;

	struct generation *serving;   /* NULL once it stops */
	struct generation *candidate; /* NULL: no reload is under way */
	struct generation *retired;   /* list */
	unsigned generations;         /* made so far */
	unsigned workers;             /* forked so far */
	bool started;                 /* was complete once */

	int64_t changed_ns; /* the last change of a file (reload) ... */
	bool changed;       /* ... which is to be acted on */
	struct conf_reading reading; /* a reload that has no candidate yet */

	struct hooks *hooks; /* those that hear of the end */

	char reload_error[NOTIFY_STATUS_MAX]; /* "": the last one was fine */

	int64_t looked_ms; /* when heartbeats were looked at last ... */
	int64_t due_ms;    /* ... are to be looked at again at the latest ... */
	int64_t awake_ms;  /* ... and since when they count */

	int64_t told_workers; /* what statsd knows */
	int64_t backlog_ms;   /* when it is told of the backlog next */

	enum arbiter_stop stop;
	int64_t stop_ms; /* when STOP_LATER becomes STOP_GRACEFUL */
	int exit_code;
	const char *reason; /* of a stop that nobody asked for, or NULL */
	char reason_text[512]; /* what reason points to, perhaps */
	char last_death[384];  /* how the last worker failed */
};

/*
 * boot.c: everything up to the loop, and undoing it.  s is taken.  An error
 * without a text: it was told to stop meanwhile.
 */
int boot_start(struct arbiter *a, struct settings *s, struct err *err);
void boot_undo(struct arbiter *a);

/* arbiter.c: USR1. */
void arbiter_reopen_logs(struct arbiter *a);

/* children.c */

/* Forks and retires workers so that g has what it wants, by and by. */
void children_maintain(struct arbiter *a, struct generation *g,
    int64_t now_ms);

/* Collects those that died, strangers too (process 1 of a container). */
void children_reap(struct arbiter *a, int64_t now_ms);

/* Tells all of g to leave, and kills them at kill_ms. */
void children_dismiss(struct generation *g, int number, int64_t kill_ms);

/* USR1: has the workers of g open their logs again. */
void children_reopen(struct generation *g);

/* child.c: a worker's life after the fork. */
_Noreturn void child_run(struct arbiter *a, struct generation *g, size_t slot);

/* Closes what is the arbiter's own.  A child that is no worker. */
void child_let_go(struct arbiter *a);

/* What a child of the arbiter is to be. */
enum child_kind {
	CHILD_WORKER,
	CHILD_TEMPLATE, /* workers are forked from it */
	CHILD_FORKED,   /* such a worker: the template has settled before */
};

/* Lets go of what is the arbiter's alone, and of privileges. */
int child_settle(struct arbiter *a, struct generation *g,
    enum child_kind kind, struct err *err);

/* The rest of the life of a worker that was forked from a template. */
struct worker;
_Noreturn void child_serve(struct arbiter *a, struct generation *g,
    size_t slot, struct worker *preloaded);

/* Puts raw_env into the environment. */
int child_environment(const struct settings *s, struct err *err);

/* watch.c */

/* Takes notice of what g's workers report, or fail to report. */
void watch_generation(struct arbiter *a, struct generation *g, int64_t now_ms);

/* Only what the worker of one slot reports. */
void watch_state(struct generation *g, size_t slot, int64_t now_ms);

/* When something is due in g that no event will tell. */
int64_t watch_deadline(const struct arbiter *a, const struct generation *g);

/* Whether a worker of g shows signs of life. */
bool watch_alive(const struct arbiter *a, const struct generation *g,
    int64_t now_ms);

/* recycle.c */

/* c has just become READY. */
void recycle_born(struct generation *g, struct child *c, int64_t now_ms);

/* Picks those of the serving generation that are to be replaced now. */
void recycle_due(struct generation *g, int64_t now_ms);

/* When there is something to pick. */
int64_t recycle_deadline(const struct generation *g);

/* account.c: the ledger. */

/* A worker of g is gone, for that reason; requests died with it. */
void account_death(struct arbiter *a, struct generation *g, size_t slot,
    int why, unsigned lost);

/* What may have changed since the last time. */
void account_state(struct arbiter *a);

/* All counts of workers that live, added to `to`: for a successor. */
void account_live(const struct arbiter *a, struct score_counts *to);

/* tell.c: status and signs of life for the service manager. */
void tell_manager(struct arbiter *a, int64_t now_ms);

/* reload.c */
void reload_begin(struct arbiter *a);

/* Gives up one that has no candidate yet. */
void reload_forget(struct arbiter *a);

/* What is due in one that is under way. */
void reload_continue(struct arbiter *a, int64_t now_ms);

/* The candidate takes over, its workers all being READY. */
void reload_finish(struct arbiter *a);

/* The candidate is given up; why ends a sentence. */
void reload_abandon(struct arbiter *a, const char *why);

/* stop.c */
void stop_begin(struct arbiter *a, enum arbiter_stop how);

/* The end of shutdown_delay, once it is due. */
void stop_continue(struct arbiter *a, int64_t now_ms);

/* Stops for a reason of our own. */
void stop_halt(struct arbiter *a, int exit_code, const char *reason);

/* Closes its sockets and moves it to the retired, whose workers leave. */
void stop_retire(struct arbiter *a, struct generation *g);

/* The same for a candidate that another one, or none, replaces. */
void stop_replaced(struct arbiter *a, struct generation *g);

/* Has those leave whose workers were needed for a while longer. */
void stop_lingering(struct arbiter *a);

#endif
