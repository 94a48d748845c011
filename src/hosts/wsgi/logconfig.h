/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_LOGCONFIG_H
#define BICORN_HOSTS_WSGI_LOGCONFIG_H

struct bicorn_server;

/*
 * Configures Python's logging by the settings logconfig_dict,
 * logconfig_json or logconfig, the first that is set; -1 with an exception.
 */
int logconfig_apply(const struct bicorn_server *server);

/*
 * Has Python's logging begin, once it is imported, with the loggers that
 * gunicorn's has: gunicorn.error writes to the error log.  -1 with an
 * exception.
 */
int logconfig_loggers(const struct bicorn_server *server);

#endif
