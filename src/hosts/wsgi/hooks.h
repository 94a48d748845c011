/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_HOOKS_H
#define BICORN_HOSTS_WSGI_HOOKS_H

/*
 * The functions of a settings file in Python that gunicorn calls hooks, in
 * a worker and in the helper process.
 */

#include "wsgi.h"

/* All moments that a hook may be about. */
#define HOOKS_EVENTS \
	(BICORN_MOMENT(BICORN_POST_FORK) | \
	    BICORN_MOMENT(BICORN_POST_WORKER_INIT) | \
	    BICORN_MOMENT(BICORN_WORKER_INT) | \
	    BICORN_MOMENT(BICORN_WORKER_ABORT) | \
	    BICORN_MOMENT(BICORN_WORKER_EXIT) | \
	    BICORN_MOMENT(BICORN_ON_STARTING) | \
	    BICORN_MOMENT(BICORN_WHEN_READY) | \
	    BICORN_MOMENT(BICORN_ON_RELOAD) | \
	    BICORN_MOMENT(BICORN_PRE_FORK) | \
	    BICORN_MOMENT(BICORN_CHILD_EXIT) | \
	    BICORN_MOMENT(BICORN_FORKED) | \
	    BICORN_MOMENT(BICORN_NWORKERS_CHANGED) | \
	    BICORN_MOMENT(BICORN_PRE_EXEC) | \
	    BICORN_MOMENT(BICORN_ON_EXIT) | \
	    BICORN_MOMENT(BICORN_REOPEN))

/*
 * Runs the settings file in this worker, if it has hooks for one.  -1 with an
 * exception.
 */
int hooks_read(struct wsgi *w, const struct bicorn_load *l);

/*
 * Runs logger_class, and post_fork.  Before the application is imported.  -1
 * with an exception, or when a hook failed, and that is told.
 */
int hooks_start(struct wsgi *w, const struct bicorn_load *l);

/* worker_exit of a worker whose application did not load. */
void hooks_give_up(struct wsgi *w);

/* bicorn_app.event and bicorn_app.helper */
int hooks_event(void *app, const struct bicorn_event *e);
int hooks_helper(struct bicorn_load *l);

/*
 * With w->request_hooks: pre_request, and what post_request will need, -1
 * with an exception; then, when the response was sent, what Python logs of it
 * and post_request.
 */
int hooks_before(struct wsgi_thread *t, struct bicorn_exchange *x,
    PyObject *env);
void hooks_after(struct wsgi_thread *t, struct bicorn_exchange *x);

#endif
