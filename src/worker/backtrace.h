/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_BACKTRACE_H
#define BICORN_WORKER_BACKTRACE_H

/*
 * The stack of another thread, as addresses and symbols: the thread is sent
 * a signal, and writes its own stack.
 */

#include <pthread.h>

/* Once, before there is anything to look at: installs the handler. */
void backtrace_prepare(void);

/*
 * Writes the stack of a running thread to fd.  Waits a second at most for
 * the thread to do so.  Any thread.
 */
void backtrace_thread(pthread_t id, int fd);

#endif
