/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_FORKED_H
#define BICORN_WORKER_FORKED_H

/*
 * A process that the application forks has a copy of the thread that did it,
 * with the server's functions further up on its stack, and shares sockets,
 * epoll and scoreboard with the worker.  It must not come back to them: it
 * ends where it would.  That it is one is found out when it is forked, so
 * that the worker has nothing to ask.
 */

struct worker;

/* From now on; once in a process, before the application may fork. */
void forked_watch(struct worker *w);

/* Says in the log what the application has to mend, and ends the process. */
void forked_leave(void) __attribute__((noreturn));

#endif
