/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_SUPPORT_H
#define BICORN_HOSTS_WSGI_SUPPORT_H

/*
 * support.py, which is compiled into this module: settings files, hooks and
 * whatever else is not on the way of a request.
 */

#include "wsgi.h"

/*
 * Imports it for a process that server belongs to: a new reference, or NULL
 * with an exception.
 */
PyObject *support_import(const struct bicorn_server *server);

/* The same, once for w, and borrowed. */
PyObject *support_of(struct wsgi *w);

/* _log(level, text) of it as an object, or NULL with an exception. */
PyObject *support_log_function(const struct bicorn_server *server);

/* Whether a setting is "true". */
bool support_is_on(const struct bicorn_server *server, const char *name);

/* bicorn_app.settings */
int support_settings(struct bicorn_settings *s);

#endif
