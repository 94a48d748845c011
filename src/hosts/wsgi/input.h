/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_INPUT_H
#define BICORN_HOSTS_WSGI_INPUT_H

/* wsgi.input: the body of a request as a file. */

#include "wsgi.h"

PyTypeObject *input_type_new(void);

/* A new reference, or NULL with an exception. */
PyObject *input_new(PyTypeObject *type, struct wsgi_call *call);

/*
 * Starts and ends a request.  Bodies up to memory_limit are taken from the
 * server's memory, larger ones are read from its file.
 */
void input_begin(PyObject *self, const struct bicorn_request *r,
    int64_t memory_limit);
void input_end(PyObject *self);

#endif
