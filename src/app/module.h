/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_MODULE_H
#define BICORN_APP_MODULE_H

/*
 * An application, loaded: the shared object that APP means, checked against
 * the interface, and its life from load() to unload().
 */

#include <stddef.h>

#include <bicorn/app.h>

struct err;
struct settings;

/* True when a module has that optional member: it may be older than we. */
#define APP_HAS(ops, member) \
	((ops)->size >= offsetof(struct bicorn_app, member) + \
		sizeof((ops)->member) && \
	    (ops)->member != NULL)

struct app {
	void *object;                 /* of dlopen() */
	const struct bicorn_app *ops;
	void *instance;               /* what load() left */
	char *target;                 /* what load() was given */
};

/*
 * Finds, opens, checks and loads what s->app means.  Returns 0, or the exit
 * code that says how it failed: 3 the application failed to start, 4 there
 * is no such application; err is one line.  Runs on the thread that also
 * calls app_unload(), before any pool thread exists.
 */
int app_load(const struct settings *s, const struct bicorn_server *server,
    struct app *out, struct err *err);

/*
 * Calls unload().  The object stays open: what an application registered
 * with libc must still be there when the process exits.
 */
void app_unload(struct app *a);

#endif
