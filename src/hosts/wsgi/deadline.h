/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_DEADLINE_H
#define BICORN_HOSTS_WSGI_DEADLINE_H

/*
 * Requests that run too long: an exception is raised in their thread, which
 * `except Exception` does not catch, and their Python stack is shown.
 */

#include "wsgi.h"

/* Makes the exception and gets ready to show stacks; -1 with an exception. */
int deadline_init(struct wsgi *w);
/* In a worker forked from a template: stacks of its own. */
int deadline_forked(struct wsgi *w);

void deadline_fini(struct wsgi *w);

/*
 * Says that the thread now runs the application for that exchange, and that
 * it no longer does: an exception on its way is then called back.
 */
void deadline_begin(struct wsgi_thread *t, uint64_t number);
void deadline_end(struct wsgi_thread *t);

/* Whether the exception that is set is the one of a deadline. */
bool deadline_passed(const struct wsgi *w);

/* Members of struct bicorn_app; without the interpreter lock. */
void deadline_interrupt(void *app, void *thread, uint64_t number);
int deadline_dump(void *app, void *thread, int fd);

#endif
