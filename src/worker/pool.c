/* SPDX-License-Identifier: MIT */
#include "worker/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/must.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/exchange.h"
#include "worker/heritage.h"
#include "worker/lead.h"
#include "worker/queue.h"
#include "worker/scoreboard.h"
#include "worker/serve.h"
#include "worker/worker.h"
#include "worker/worker_private.h"

/*
 * note_waits() looks at so many clients, once so many have come before them
 * and this time has passed: to look costs as much as a short request.
 */
#define LOOK_AT 64
#define LOOK_AFTER 32
#define LOOK_REST_US 10000

struct pool_thread {
	struct worker *w;
	struct pool *pool;
	unsigned number;
	pthread_t id;
	bool running; /* id is to be joined */
	bool failed;  /* thread_start() refused; read after `started` */

	/* What note_waits() has seen. */
	int schedstat;      /* of this thread, in /proc; -1: none */
	bool looking;
	unsigned clients;   /* since it last slept, or began to look */
	int64_t look_us;    /* not before then again */
	int64_t busy_us;    /* how long it was busy with those looked at */
	int64_t lock_us;    /* ... and waited for the lock that all want */
	int64_t began_ns;   /* not_waited_ns() before the first of them */

	struct exchange x;
};

struct pool {
	size_t count;
	sem_t started; /* posted once by each thread */
	struct pool_thread threads[];
};

static bool
start_application(struct pool_thread *t)
{
	const struct bicorn_app *ops = t->w->app.ops;

	return !APP_HAS(ops, thread_start) ||
	    ops->thread_start(t->w->app.instance, t->number,
		&t->x.pub.thread) == 0;
}

static void
name_thread(const struct pool_thread *t)
{
	char name[16];

	snprintf(name, sizeof(name), "pool-%u", t->number);
	pthread_setname_np(pthread_self(), name);
}

/* This thread is free: there is room for another connection. */
static void
feed_acceptor(struct worker *w)
{
	if (atomic_load_explicit(&w->starved, memory_order_relaxed) &&
	    queue_length(w->queue) == 0 &&
	    atomic_exchange(&w->starved, false))
		worker_wake(w);
}

/*
 * How long this thread ran or waited for a processor, ever, in nanoseconds;
 * -1 when the system does not say.  What schedstat (proc(5)) has of the first
 * is as old as the last tick.
 */
static int64_t
not_waited_ns(int schedstat)
{
	char text[128];
	ssize_t n = pread(schedstat, text, sizeof(text) - 1, 0);
	struct timespec ran;
	int64_t delayed;

	if (n <= 0 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran) != 0)
		return -1;
	text[n] = '\0';
	if (sscanf(text, "%*d %" SCNd64, &delayed) != 1)
		return -1;
	return (int64_t)ran.tv_sec * 1000000000 + ran.tv_nsec + delayed;
}

static void
begin_look(struct pool_thread *t)
{
	t->looking = true;
	t->clients = 0;
	t->busy_us = t->lock_us = 0;
	t->began_ns = not_waited_ns(t->schedstat);
	if (t->began_ns < 0)
		queue_note_waits(t->w->queue, 1, 1);
}

static void
stop_look(struct pool_thread *t)
{
	t->looking = false;
	t->clients = 0;
}

/* What is left of the time is what requests waited for something. */
static void
end_look(struct pool_thread *t)
{
	int64_t now_ns = not_waited_ns(t->schedstat), waited_us;

	stop_look(t);
	t->look_us = t->x.ended_us + LOOK_REST_US;
	if (now_ns < 0 || t->began_ns < 0)
		return;
	waited_us = t->busy_us - t->lock_us - (now_ns - t->began_ns) / 1000;
	queue_note_waits(t->w->queue, waited_us > 0 ? waited_us : 0,
	    t->busy_us);
}

/*
 * Finds out whether the application waits for anything, from so many clients
 * that came one after another: between them this thread did not sleep, but it
 * may have led, so that a little less than what they waited is seen.
 */
static void
note_waits(struct pool_thread *t)
{
	t->clients++;
	if (t->looking) {
		t->busy_us += t->x.ended_us - t->x.started_us;
		t->lock_us += t->x.lock_us;
		if (t->clients == LOOK_AT)
			end_look(t);
	} else if (t->clients > LOOK_AFTER && t->x.ended_us >= t->look_us) {
		begin_look(t);
	}
}

/* A client of those that came while this thread led; NULL: another leads. */
static struct client *
lead(struct pool_thread *t)
{
	struct worker *w = t->w;
	struct client *c = NULL;

	while (c == NULL && lead_take(w, t->x.pub.thread))
		c = queue_take(w->queue, -1);
	return c;
}

/* The next client, once there is one; NULL when there will be none. */
static struct client *
next_client(struct pool_thread *t, int64_t busy_us)
{
	struct worker *w = t->w;
	struct client *c = queue_take(w->queue, busy_us);

	if (c == NULL) {
		later_send(&t->x);
		c = lead(t);
	}
	if (c != NULL) {
		note_waits(t);
		return c;
	}
	stop_look(t);
	if (APP_HAS(w->app.ops, thread_idle))
		w->app.ops->thread_idle(w->app.instance, t->x.pub.thread);
	queue_yield(w->queue);
	c = lead(t); /* whoever did may have let go meanwhile */
	return c != NULL ? c : queue_pop(w->queue);
}

/*
 * The application has ended a thread that is not its own, by pthread_exit() or
 * pthread_cancel(): its client and whatever it holds are lost to the worker.
 */
static void
thread_lost(void *arg)
{
	const struct pool_thread *t = arg;

	log_critical("The application has ended thread pool-%u of the server "
		     "(pthread_exit, pthread_cancel): the worker cannot go on",
	    t->number);
	_exit(WORKER_EXIT_ABORTED);
}

static void *
thread_main(void *arg)
{
	struct pool_thread *t = arg;
	const struct heritage *h = t->w->heritage;
	struct client *c;

	pthread_cleanup_push(thread_lost, t);
	name_thread(t);
	exchange_init(&t->x, t->w,
	    scoreboard_thread(h->board, h->slot, t->number),
	    scoreboard_counts(h->board, h->slot, t->number));
	t->x.number = t->number;
	t->schedstat = open("/proc/thread-self/schedstat",
	    O_RDONLY | O_CLOEXEC);
	t->failed = !start_application(t);
	must(sem_post(&t->pool->started) == 0);
	if (!t->failed) {
		int64_t busy_us = -1;

		while ((c = next_client(t, busy_us)) != NULL) {
			serve_client(&t->x, c);
			later_look(&t->x);
			lead_look(t->w, t->x.ended_us);
			feed_acceptor(t->w);
			busy_us = t->x.ended_us - t->x.run_us;
		}
		if (APP_HAS(t->w->app.ops, thread_stop))
			t->w->app.ops->thread_stop(t->w->app.instance,
			    t->x.pub.thread);
	}
	fd_close(&t->schedstat);
	exchange_fini(&t->x);
	pthread_cleanup_pop(0);
	return NULL;
}

static void
wait_started(struct pool *p)
{
	while (sem_wait(&p->started) != 0)
		must(errno == EINTR);
}

/* Starts one and waits for it: an application sees them come in order. */
static int
start_thread(struct pool *p, struct worker *w, unsigned number,
    struct err *err)
{
	struct pool_thread *t = &p->threads[number];
	int rc;

	t->w = w;
	t->pool = p;
	t->number = number;
	rc = pthread_create(&t->id, NULL, thread_main, t);
	if (rc != 0) {
		err_set(err, "thread %u of %zu: %s", number + 1, p->count,
		    strerror(rc));
		return -1;
	}
	t->running = true;
	wait_started(p);
	if (t->failed) {
		err_set(err, "the application refused to start thread %u",
		    number + 1);
		return -1;
	}
	return 0;
}

int
pool_start(struct worker *w, struct pool **out, struct err *err)
{
	size_t count = (size_t)w->settings->threads;
	struct pool *p = calloc(1,
	    sizeof(*p) + count * sizeof(struct pool_thread));

	*out = NULL;
	if (p == NULL) {
		err_set(err, "out of memory for %zu threads", count);
		return -1;
	}
	p->count = count;
	must(sem_init(&p->started, 0, 0) == 0);
	for (unsigned i = 0; i < count; i++)
		if (start_thread(p, w, i, err) != 0) {
			queue_close(w->queue);
			pool_join(&p);
			return -1;
		}
	*out = p;
	return 0;
}

pthread_t
pool_thread_id(const struct pool *p, size_t i)
{
	return p->threads[i].id;
}

void *
pool_app_thread(const struct pool *p, size_t i)
{
	return p->threads[i].x.pub.thread;
}

struct exchange *
pool_exchange(struct pool *p, size_t i)
{
	return &p->threads[i].x;
}

struct client *
pool_held(const struct pool *p, size_t i)
{
	return atomic_load(&p->threads[i].x.held);
}

struct later *
pool_later(struct pool *p, size_t i)
{
	return &p->threads[i].x.later;
}

void
pool_join(struct pool **pp)
{
	struct pool *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->count; i++)
		if (p->threads[i].running)
			pthread_join(p->threads[i].id, NULL);
	sem_destroy(&p->started);
	free(p);
}
