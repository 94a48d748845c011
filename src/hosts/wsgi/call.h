/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_CALL_H
#define BICORN_HOSTS_WSGI_CALL_H

/*
 * A call: the thread by which the objects that an application is given
 * (start_response, write, wsgi.input, ...) hang on their exchange.
 *
 * An application may keep those objects for longer than the request, and
 * may use them on threads of its own.  The call knows when the request is
 * over, and lets one thread at a time into the server's functions.
 */

#include "wsgi.h"

struct wsgi_call {
	PyObject_HEAD
	PyThread_type_lock lock; /* held around the server's functions */
	unsigned long holder;    /* the thread that holds it, 0: none */
	struct bicorn_exchange *x; /* NULL once the request is over */
	struct wsgi_thread *thread; /* valid while x is */
};

PyTypeObject *call_type_new(void);

/* A new reference, or NULL with an exception. */
struct wsgi_call *call_new(PyTypeObject *type);

void call_begin(struct wsgi_call *c, struct wsgi_thread *t,
    struct bicorn_exchange *x);

/* Waits until no other thread is inside, and shuts the door. */
void call_end(struct wsgi_call *c);

/*
 * Enters the exchange; false with an exception when the request is over.
 * May give the interpreter lock up while another thread is inside.
 */
bool call_enter(struct wsgi_call *c);
void call_leave(struct wsgi_call *c);

#endif
