/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_LOGCONFIG_H
#define BICORN_HOSTS_WSGI_LOGCONFIG_H

#include "wsgi.h"

/*
 * Configures Python's logging by the settings logconfig_dict,
 * logconfig_json or logconfig, the first that is set; -1 with an exception.
 */
int logconfig_apply(const struct bicorn_server *server);

/*
 * Has Python's logging begin, once it is imported, with the loggers that
 * gunicorn's has: gunicorn.error writes to the error log, gunicorn.access to
 * the access log, if there is one.  -1 with an exception.
 */
int logconfig_loggers(struct wsgi *w);

/*
 * Fills w->logs_access and w->logs_error, when all had its chance to touch
 * these loggers.  -1 with an exception.
 */
int logconfig_look(struct wsgi *w);

/* Opens the files of FileHandlers again, as gunicorn does at SIGUSR1. */
void logconfig_reopen(struct wsgi *w);

/* The setting logger_class; NULL: gunicorn's own, or none. */
const char *logconfig_class(const struct bicorn_server *server);

#endif
