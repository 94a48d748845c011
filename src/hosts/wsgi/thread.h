/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_THREAD_H
#define BICORN_HOSTS_WSGI_THREAD_H

/* Pool threads as Python sees them, and what they keep between requests. */

#include "wsgi.h"

/*
 * Makes the state of the calling thread and leaves it without the
 * interpreter lock.  NULL on failure, which is logged.
 */
struct wsgi_thread *thread_new(struct wsgi *w, unsigned number);

/* On the same thread, without the interpreter lock. */
void thread_free(struct wsgi_thread **t);

/*
 * Ties the thread's objects to an exchange, and unties them; those that the
 * application kept are replaced.  -1 with an exception.
 */
int thread_begin(struct wsgi_thread *t, struct bicorn_exchange *x);
void thread_end(struct wsgi_thread *t);

/* Flushes sys.stdout and sys.stderr; leaves no exception. */
void thread_flush_files(void);

/* Has each line of Python on this thread told, with --spew; -1 with an
 * exception. */
int spew_thread(const struct wsgi *w);

#endif
