/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_SOCKET_H
#define BICORN_HOSTS_WSGI_SOCKET_H

/*
 * gunicorn.socket: what libraries for WebSockets want of a server with
 * threads.  A socket.socket, which the application has as soon as it uses it;
 * until then the request is as any other.
 */

#include "wsgi.h"

PyTypeObject *socket_type_new(void);

/* A new reference, or NULL with an exception. */
PyObject *socket_new(PyTypeObject *type, struct wsgi_call *call);

#endif
