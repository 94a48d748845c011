/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_FUNCTIONS_H
#define BICORN_HOSTS_WSGI_FUNCTIONS_H

/*
 * The functions that an application is given, bound to a call: new
 * references, or NULL with an exception.
 */

#include "wsgi.h"

PyObject *functions_start_response(struct wsgi_call *call);
PyObject *functions_write(struct wsgi_call *call);
PyObject *functions_early_hints(struct wsgi_call *call);
PyObject *functions_client_gone(struct wsgi_call *call);

#endif
