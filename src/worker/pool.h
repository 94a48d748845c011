/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_POOL_H
#define BICORN_WORKER_POOL_H

/*
 * The pool: a fixed number of threads that take clients from the queue and
 * run the application for them.
 */

#include <pthread.h>
#include <stddef.h>

struct err;
struct exchange;
struct later;
struct pool;
struct worker;

/*
 * Starts the threads and waits until the application accepted each.  0, or
 * -1 with err when one could not start; no thread is left then.
 */
int pool_start(struct worker *w, struct pool **out, struct err *err);

/* A running thread, and what the application left for it. */
pthread_t pool_thread_id(const struct pool *p, size_t i);
void *pool_app_thread(const struct pool *p, size_t i);

/* What that thread works on: worker/turn.h says what may be touched. */
struct exchange *pool_exchange(struct pool *p, size_t i);

/* The client whose answer that thread holds, or NULL.  The acceptor. */
struct client *pool_held(const struct pool *p, size_t i);

/* The answers of that thread that wait to be sent.  The acceptor. */
struct later *pool_later(struct pool *p, size_t i);

/*
 * Waits until every thread has ended, which they do once the queue is
 * closed and empty, and frees the pool.
 */
void pool_join(struct pool **pp);

#endif
