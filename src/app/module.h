/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_MODULE_H
#define BICORN_APP_MODULE_H

/*
 * An application, loaded: the shared object that APP means, checked against
 * the interface, and its life from load() to unload().
 */

#include <stdbool.h>
#include <stddef.h>

#include <bicorn/app.h>

struct err;
struct settings;

/* True when a module has that optional member: it may be older than we. */
#define APP_HAS(ops, member) \
	((ops)->size >= offsetof(struct bicorn_app, member) + \
		sizeof((ops)->member) && \
	    (ops)->member != 0)

struct app {
	void *object;                 /* of dlopen() */
	const struct bicorn_app *ops;
	void *instance;               /* what load() left */
	char *target;                 /* what load() was given */
	unsigned traits;              /* BICORN_TRAIT_..., after load() */
};

/* What bicorn_load says besides; zeroed: nothing. */
struct app_start {
	unsigned flags;  /* BICORN_LOAD_... */
	unsigned number; /* of the worker */
	int arbiter;
};

/*
 * Finds, opens, checks and loads what s->app means.  Returns 0, or the exit
 * code that says how it failed: 3 the application failed to start, 4 there
 * is no such application; err is one line.  Runs on the thread that also
 * calls app_unload(), before any pool thread exists.
 */
int app_load(const struct settings *s, const struct bicorn_server *server,
    const struct app_start *start, struct app *out, struct err *err);

/*
 * The same without load(): for the moments of the arbiter, and for settings
 * files in Python.  0 or -1.
 */
int app_open(const struct settings *s, struct app *out, struct err *err);
int app_open_python(const struct settings *s, struct app *out,
    struct err *err);

/* Tells the application of a moment that it wants to hear of; else 0. */
int app_event(const struct app *a, const struct bicorn_event *e);

static inline bool
app_hears(const struct app *a, enum bicorn_moment moment)
{
	return APP_HAS(a->ops, event) &&
	    (a->ops->events & BICORN_MOMENT(moment)) != 0;
}

/*
 * Calls unload().  The object stays open: what an application registered
 * with libc must still be there when the process exits.
 */
void app_unload(struct app *a);

#endif
