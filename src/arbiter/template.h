/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_TEMPLATE_H
#define BICORN_ARBITER_TEMPLATE_H

/*
 * The template of a generation, with preload_app: a process that loads the
 * application once and from which the workers are forked, so that they share
 * its memory.  It serves nobody, and lives as long as its generation serves;
 * the arbiter stays free of application code.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arbiter;
struct generation;

#define TEMPLATE_WHY_MAX 256

/* As the arbiter keeps it; all zero: there is none. */
struct template {
	pid_t pid;         /* 0: there is none */
	int sock;          /* to talk to it, while pid is not 0 */
	int64_t forked_ms;
	bool ready;        /* the application is loaded */
	bool late;         /* killed: it was not within boot_timeout */
	bool stuck;        /* killed: it did not fork in time */
	bool reopen;       /* the logs were opened again since the fork */
	char why[TEMPLATE_WHY_MAX]; /* what it said before it failed */
};

/*
 * Whether workers can be forked from it.  Makes one where there is none; it
 * says by the event of the scoreboard that it is ready.
 */
bool template_is_ready(struct arbiter *a, struct generation *g,
    int64_t now_ms);

/* It loads the application: an event tells when it has. */
bool template_is_booting(const struct generation *g);

/*
 * Has it fork the worker for a slot, which becomes a child of the arbiter.
 * Returns its pid, or -1 with errno.  May wait for hooks of the application,
 * within a bound.
 */
pid_t template_fork(struct generation *g, size_t slot);

/* Takes notice of what it says, and of what it fails to say. */
void template_watch(struct generation *g, int64_t now_ms);

/* When template_watch() has something to do that no event tells. */
int64_t template_deadline(const struct generation *g);

/* A process has ended; true when it was a template. */
bool template_ended(struct arbiter *a, pid_t pid, int status, int64_t now_ms);

/* Ends it at once: no more workers are made from it. */
void template_end(struct generation *g);

/* In another process: only its descriptor. */
void template_forget(struct generation *g);

#endif
