/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_FORK_H
#define BICORN_HOSTS_WSGI_FORK_H

/* Processes that an application forks. */

struct wsgi;

/* Looks after them from now on; -1 with an exception. */
int fork_watch(struct wsgi *w);

/*
 * Ends such a process, which came back from its view, with an exception or
 * without.  With the interpreter lock.
 */
void fork_leave(const struct wsgi *w) __attribute__((noreturn));

#endif
