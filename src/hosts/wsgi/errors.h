/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_ERRORS_H
#define BICORN_HOSTS_WSGI_ERRORS_H

/* wsgi.errors: text that an application writes to the error log. */

#include "wsgi.h"

PyTypeObject *errors_type_new(void);

/* A new reference, or NULL with an exception.  server outlives it. */
PyObject *errors_new(PyTypeObject *type, const struct bicorn_server *server);

/* Logs what was written without an end of line. */
void errors_flush(PyObject *self);

#endif
