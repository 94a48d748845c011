/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_HEAD_H
#define BICORN_HOSTS_WSGI_HEAD_H

/*
 * The head of a response as an application states it: checked, so that
 * nothing that could split a response reaches the server.
 */

#include "wsgi.h"

/*
 * Takes status and headers over into r, which holds no head; -1 with an
 * exception, and then r holds none either.
 */
int head_set(struct wsgi_response *r, PyObject *status, PyObject *headers);
void head_clear(struct wsgi_response *r);

/* Drops what was remembered of earlier heads. */
void head_forget(struct wsgi_response *r);

/*
 * Name and value of a field: str (Latin-1) or, where bytes_too, bytes.  The
 * spans live as long as the objects.  -1 with an exception.
 */
int head_name(PyObject *name, bool bytes_too, struct bicorn_str *out);
int head_value(PyObject *value, bool bytes_too, struct bicorn_str *out);

/* A field as a tuple of two: a new reference, or NULL with an exception. */
PyObject *head_pair(PyObject *field);

#endif
