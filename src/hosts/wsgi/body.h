/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_BODY_H
#define BICORN_HOSTS_WSGI_BODY_H

/* What an application returned, on its way out. */

#include "wsgi.h"

/*
 * Sends the body that is result, or gathers it in t->response and sets
 * pending there.  Returns at the end of the body or when the client is gone;
 * -1 with an exception.
 */
int body_send(struct wsgi_thread *t, PyObject *result);

/* Calls close() of result, if it has one; -1 with an exception. */
int body_close(const struct wsgi *w, PyObject *result);

#endif
