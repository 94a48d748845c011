/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_HOOKS_H
#define BICORN_ARBITER_HOOKS_H

/*
 * The helper process of a generation, which runs what is to be run when
 * something happens to the arbiter (worker/helper.h).  It is told, and waited
 * for only where that is said.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct arbiter;
struct err;
struct generation;
struct helper_message;
struct sockets;

struct hooks {
	unsigned holders; /* hooks_hold() and hooks_drop() */
	int fd;           /* to the helper; -1: it is not there */
	pid_t pid;        /* 0: it has ended ... */
	int status;       /* ... in this way, as of waitpid(2) */
	uint32_t events;  /* the moments that are wanted */
	bool late;        /* said that some were lost */
	bool booting;     /* it was not heard of yet ... */
	int64_t due_ms;   /* ... and has to be by then */
};

/*
 * Starts the helper of g, where its settings want one, and waits for it to
 * be ready.  0 or -1.
 */
int hooks_start(struct arbiter *a, struct generation *g, struct err *err);

/*
 * The same without waiting.  Until it is ready it is booting, and is told
 * nothing.
 */
int hooks_launch(struct arbiter *a, struct generation *g, struct err *err);

/* h may be NULL, here and below. */
bool hooks_are_booting(const struct hooks *h);

/* Looks at one that boots.  1: it is ready, 0: not yet, -1: it failed. */
int hooks_watch(const struct generation *g, int64_t now_ms, struct err *err);

/* Nobody waits for it any more: ends one that boots. */
void hooks_give_up(struct hooks *h);

/* What to wait for, and until when, while it boots; -1 and CLOCK_NEVER. */
int hooks_fd(const struct hooks *h);
int64_t hooks_deadline(const struct hooks *h);

struct hooks *hooks_hold(struct hooks *h);

/* Nulls *hp.  The last one lets the helper go.  Keeps nothing waiting. */
void hooks_drop(struct hooks **hp);

/* In a child: the helper is its parent's. */
void hooks_forget(struct hooks *h);

/* Tells of a moment.  Never blocks. */
void hooks_tell(struct hooks *h, const struct helper_message *m);

/* Tells which listeners there are.  Once. */
void hooks_tell_listeners(struct hooks *h, const struct sockets *s);

/*
 * Tells of a moment, and waits until the helper has dealt with it, up to ms.
 * What event() returned, or 0.
 */
int hooks_ask(struct hooks *h, const struct helper_message *m, int64_t ms);

/*
 * The end: on_exit, and whatever it has still to do, up to ms.  Then it is
 * gone.
 */
void hooks_finish(struct hooks *h, int64_t ms);

/* A process has ended; true when it was a helper. */
bool hooks_ended(struct arbiter *a, pid_t pid, int status);

#endif
