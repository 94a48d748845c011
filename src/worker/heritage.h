/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_HERITAGE_H
#define BICORN_WORKER_HERITAGE_H

/*
 * All that crosses the fork from the arbiter to a worker, besides the log
 * sink.  The arbiter owns every part; the worker has a copy of its memory.
 */

#include <stddef.h>
#include <sys/types.h>

struct access_log;
struct bulletin;
struct listener;
struct scoreboard;
struct settings;
struct title;

struct heritage {
	const struct settings *settings;
	struct listener *const *listeners;
	size_t listener_count;
	struct access_log *access; /* NULL: no access log */
	struct bulletin *vault;   /* bundles of the listeners; NULL: no TLS */
	struct bulletin *tickets; /* keys of session tickets; NULL: no TLS */
	struct scoreboard *board;
	size_t slot;               /* of the board: this worker's */
	unsigned generation;
	pid_t arbiter;             /* leave when it is no longer the parent */
	struct title *title;       /* of this process, NULL: it has none */
	const char *name;          /* for the title */
};

#endif
