/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_GENERATION_H
#define BICORN_ARBITER_GENERATION_H

/*
 * A generation: one reading of the settings and the workers that run by it.
 * Everything that a reload may change hangs off it, so that two of them can
 * live side by side: the one that serves and a candidate for its place, or
 * those that are leaving.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arbiter/backoff.h"
#include "arbiter/certificates.h"
#include "arbiter/sockets.h"
#include "arbiter/template.h"

struct access_log;
struct err;
struct hooks;
struct scoreboard;
struct settings;

/* A worker, as the arbiter keeps it: its slot is that of the scoreboard. */
struct child {
	pid_t pid;         /* 0: the slot is free */
	unsigned number;   /* counts up over all workers of this arbiter */
	int64_t forked_ms;
	int64_t ready_ms;  /* 0: it has not reported READY yet */
	int64_t kill_ms;   /* SIGKILL then; CLOCK_NEVER: not planned */
	int64_t retire_ms; /* replaced then; CLOCK_NEVER: not for its age */
	int64_t memory;    /* bytes, at the last look */
	bool born_heavy;   /* was above max_worker_memory when READY */
	bool leaving;      /* told to, or on its own: it counts no more */
	bool retiring;     /* ... but serves until its successor is READY */
	bool late;         /* was killed for not being READY in time */
	bool silent;       /* was sent SIGABRT for its silence */
	bool killed;       /* was sent SIGKILL by us */
	bool reopen;       /* is to open its logs again once READY */
	int why;           /* it is replaced: enum restart_id + 1; 0: not yet */
};

struct generation {
	/* Constant after generation_new(). */
	unsigned number;
	struct settings *settings;
	struct access_log *access; /* NULL: no access log */
	struct scoreboard *board;
	size_t room;               /* slots */
	size_t limit;              /* what wanted may grow to */

	struct certificates certificates;
	struct sockets sockets; /* empty at first, and once retired */
	struct hooks *hooks;    /* NULL: nobody wants to hear of it */
	struct child *children; /* room of them */
	struct template template; /* with preload_app */
	size_t wanted;          /* workers that there should be */
	size_t handed;          /* places of these that the candidate has */
	size_t step;            /* as a candidate: boots so many at a time;
				   0: all */
	bool failed;            /* it takes no more places and will go */
	struct backoff backoff;
	int64_t sample_ms;      /* when memory is looked at next */
	bool warned_heavy;      /* said that max_worker_memory is too low */
	bool proven;            /* one of its workers was READY */
	bool complete;          /* all of them were, once */
	bool retired;           /* its workers are leaving ... */
	bool lingers;           /* ... once the others have all theirs */
	struct generation *next; /* in the list of the retired */
};

/* What the settings say of the access log; 0 or -1. */
int generation_check_log(const struct settings *s, struct err *err);

/*
 * Opens all that the settings name but the sockets.  The settings are taken,
 * also on an error.  Freed with generation_free().
 */
int generation_new(unsigned number, struct settings *s,
    struct generation **out, struct err *err);

/* Its workers are gone, or it is another process that forgets them. */
void generation_free(struct generation **gp);

/* How many workers it has, and how many of these are not leaving. */
size_t generation_alive(const struct generation *g);
size_t generation_active(const struct generation *g);

/* How many are READY, and not leaving. */
size_t generation_ready(const struct generation *g);

/* How many workers are to stay, and how many it should have at present. */
size_t generation_keeps(const struct generation *g);
size_t generation_target(const struct generation *g);

/* Whether all that are wanted are there and READY. */
bool generation_full(const struct generation *g);

/* What stands in the brackets of the process titles. */
const char *generation_name(const struct generation *g);

/* Which file was read, and what there is to say about its contents. */
void generation_log_settings(const struct settings *s);

/* "Listening at: ..." */
void generation_announce(const struct generation *g);

#endif
