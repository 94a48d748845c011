/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_ENVIRON_H
#define BICORN_HOSTS_WSGI_ENVIRON_H

/* environ: what a request looks like to a WSGI application. */

#include "wsgi.h"

/* Makes w->keys and w->environ; -1 with an exception. */
int environ_init(struct wsgi *w);

/*
 * Makes t->environ from it, with the objects of the thread; -1 with an
 * exception.  environ_set() exchanges one of those objects.
 */
int environ_thread(struct wsgi_thread *t);
int environ_set(struct wsgi_thread *t, enum wsgi_key key, PyObject *value);

/* The environ of one request: a new dict, or NULL with an exception. */
PyObject *environ_new(struct wsgi_thread *t, struct bicorn_exchange *x);

/*
 * Tells the access log what {name}e stands for, after the request.  With no
 * exception set; leaves none.
 */
void environ_note(const struct wsgi *w, PyObject *env,
    struct bicorn_exchange *x);

/* Lets go of texts that are too long to be kept between requests. */
void environ_trim(struct wsgi_thread *t);

#endif
