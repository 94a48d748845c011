/* SPDX-License-Identifier: MIT */
#include "worker/watchdog.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/must.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/backtrace.h"
#include "worker/heritage.h"
#include "worker/pool.h"
#include "worker/scoreboard.h"
#include "worker/serve.h"
#include "worker/tally.h"
#include "worker/worker.h"
#include "worker/worker_private.h"

enum step {
	STEP_NONE,
	STEP_INTERRUPTED, /* asked to end */
	STEP_STUCK,       /* it did not: the worker is to be replaced */
};

/* One pool thread.  The acceptor's, but for the last part. */
struct watched {
	enum step step;
	uint64_t number; /* of the request that step is about */
	int64_t step_ms; /* when step was taken */

	uint64_t slow; /* number + 1 of the request whose stack was logged */

	/* From the acceptor to the watchdog's thread: one request at most. */
	_Atomic uint64_t slow_wanted; /* number + 1 to log, 0: nothing */
	_Atomic uint64_t wanted;  /* number + 1 to interrupt, 0: nothing */
	_Atomic bool in_interrupt; /* the call has not returned */
};

struct watchdog {
	/* Constant after watchdog_start(). */
	struct worker *w;
	size_t count;
	pthread_t id;

	sem_t work; /* posted when there is something to do */
	_Atomic bool dump_all;
	_Atomic bool trim;
	_Atomic uint32_t dump_asked; /* for the scoreboard; 0: nothing yet */
	_Atomic bool leave;
	_Atomic bool aborts;

	struct watched threads[];
};

static struct score_thread *
line_of(const struct watchdog *d, size_t i)
{
	const struct heritage *h = d->w->heritage;

	return scoreboard_thread(h->board, h->slot, i);
}

/* --- the watchdog's thread ------------------------------------------------ */

static void
dump_thread(struct watchdog *d, size_t i, int fd)
{
	const struct bicorn_app *ops = d->w->app.ops;

	if (APP_HAS(ops, dump) &&
	    ops->dump(d->w->app.instance, pool_app_thread(d->w->pool, i),
		fd) == 0)
		return;
	backtrace_thread(pool_thread_id(d->w->pool, i), fd);
}

/* The request that a thread is at. */
static void
say_what(struct watchdog *d, size_t i, char *what, size_t size)
{
	int64_t started_ms;

	if (!score_read(line_of(d, i), what, size, &started_ms))
		snprintf(what, size, "idle");
}

static void
dump_all(struct watchdog *d)
{
	for (size_t i = 0; i < d->count; i++) {
		char what[1024];

		say_what(d, i, what, sizeof(what));
		log_info("Stack of thread pool-%zu (%s):", i, what);
		dump_thread(d, i, log_fd());
	}
}

/* What a look at the scoreboard shows of the threads, with their stacks. */
static void
dump_to_file(struct watchdog *d, int fd)
{
	for (size_t i = 0; i < d->count; i++) {
		char what[1024];

		say_what(d, i, what, sizeof(what));
		dprintf(fd, "%sThread pool-%zu (%s):\n", i > 0 ? "\n" : "",
		    i, what);
		dump_thread(d, i, fd);
	}
}

static void
dump_to_board(struct watchdog *d)
{
	const struct heritage *h = d->w->heritage;
	struct score_worker *score = d->w->score;
	uint32_t asked = atomic_load(&d->dump_asked);
	ssize_t n = 0;
	int fd;

	if (asked == atomic_load(&score->dumped))
		return;
	fd = memfd_create("bicorn-stacks", MFD_CLOEXEC);
	if (fd >= 0) {
		dump_to_file(d, fd);
		n = fd_pread_all(fd, scoreboard_dump(h->board, h->slot),
		    SCORE_DUMP_MAX, 0);
		fd_close(&fd);
	}
	atomic_store(&score->dump_len, n > 0 ? (uint32_t)n : 0);
	atomic_store(&score->dumped, asked);
}

/* The stack of a request that is slow, as it is now. */
static void
show_slow(struct watchdog *d, size_t i)
{
	uint64_t wanted = atomic_exchange(&d->threads[i].slow_wanted, 0);
	struct score_thread *line = line_of(d, i);
	char text[1024];
	int64_t started_ms;

	/* It may be over by now, and another one be there. */
	if (wanted == 0 || wanted != atomic_load(&line->requests) + 1 ||
	    !score_read(line, text, sizeof(text), &started_ms))
		return;
	log_warning("Slow request: %s is running on thread pool-%zu; its "
		    "stack:", text, i);
	dump_thread(d, i, log_fd());
}

static void
interrupt(struct watchdog *d, size_t i)
{
	const struct bicorn_app *ops = d->w->app.ops;
	uint64_t wanted = atomic_exchange(&d->threads[i].wanted, 0);

	if (wanted == 0)
		return;
	dump_thread(d, i, log_fd());
	if (!APP_HAS(ops, interrupt))
		return;
	atomic_store(&d->threads[i].in_interrupt, true);
	ops->interrupt(d->w->app.instance, pool_app_thread(d->w->pool, i),
	    wanted - 1);
	atomic_store(&d->threads[i].in_interrupt, false);
}

/* Takes a moment for each page, which nobody who serves can spare. */
static void
trim_memory(void)
{
#ifdef HAVE_MALLOC_TRIM
	malloc_trim(0);
#endif
}

static void *
watchdog_main(void *arg)
{
	struct watchdog *d = arg;

	pthread_setname_np(pthread_self(), "watchdog");
	for (;;) {
		while (sem_wait(&d->work) != 0)
			must(errno == EINTR);
		if (atomic_load(&d->leave))
			break;
		if (atomic_load(&d->aborts)) {
			worker_tell(d->w, BICORN_WORKER_ABORT);
			_exit(WORKER_EXIT_ABORTED);
		}
		if (atomic_exchange(&d->dump_all, false))
			dump_all(d);
		if (atomic_exchange(&d->trim, false))
			trim_memory();
		dump_to_board(d);
		for (size_t i = 0; i < d->count; i++) {
			show_slow(d, i);
			interrupt(d, i);
		}
	}
	return NULL;
}

void
watchdog_abort(void *arg)
{
	struct watchdog *d = arg;

	atomic_store(&d->aborts, true);
	sem_post(&d->work);
}

/* --- the acceptor --------------------------------------------------------- */

static void
log_step(const struct watchdog *d, size_t i, enum log_level level,
    const char *what, int64_t now_ms)
{
	char text[1024];
	int64_t started_ms;

	if (score_read(line_of(d, i), text, sizeof(text), &started_ms))
		log_at(level, "Request deadline: %s, %.1f s on thread pool-%zu "
		    "of worker (pid:%d): %s", text,
		    (double)(now_ms - started_ms) / 1000, i, (int)getpid(),
		    what);
}

static void
take_interrupt(struct watchdog *d, size_t i, uint64_t number, int64_t now_ms)
{
	struct watched *t = &d->threads[i];
	bool can = APP_HAS(d->w->app.ops, interrupt);

	tally(d->w, COUNT_TIMEOUT_REQUEST);
	t->step = STEP_INTERRUPTED;
	t->number = number;
	t->step_ms = now_ms;
	log_step(d, i, LEVEL_ERROR,
	    can ? "interrupting it" : "it cannot be interrupted", now_ms);
	atomic_store(&t->wanted, number + 1);
	must(sem_post(&d->work) == 0);
}

static void
take_stuck(struct watchdog *d, size_t i, int64_t now_ms)
{
	struct watched *t = &d->threads[i];
	bool waits = false;

	for (size_t j = 0; j < d->count; j++)
		waits = waits || atomic_load(&d->threads[j].in_interrupt);
	t->step = STEP_STUCK;
	t->step_ms = now_ms;
	log_step(d, i, LEVEL_CRITICAL,
	    waits ? "it did not end, and the interpreter's lock is not given "
		    "up; replacing the worker"
		  : "it did not end; replacing the worker",
	    now_ms);
	serve_given_up(pool_exchange(d->w->pool, i), t->number, 504,
	    "the application did not answer in time");
	atomic_store(&d->w->score->stuck, true);
	worker_retire(d->w);
}

static void
look_for_slow(struct watchdog *d, size_t i, uint64_t number, int64_t ran_ms)
{
	const struct settings *s = d->w->settings;
	struct watched *t = &d->threads[i];

	if (!s->slow_request_stack || s->slow_request_ms == 0 ||
	    ran_ms < s->slow_request_ms || t->slow == number + 1)
		return;
	t->slow = number + 1;
	atomic_store(&t->slow_wanted, number + 1);
	must(sem_post(&d->work) == 0);
}

bool
watchdog_wanted(const struct settings *s)
{
	return s->request_timeout_ms > 0 ||
	    (s->slow_request_stack && s->slow_request_ms > 0);
}

static bool
look_at(struct watchdog *d, size_t i, int64_t now_ms)
{
	const struct settings *s = d->w->settings;
	struct score_thread *line = line_of(d, i);
	struct watched *t = &d->threads[i];
	uint64_t number = atomic_load_explicit(&line->requests,
	    memory_order_relaxed);
	int64_t started = atomic_load_explicit(&line->started_ms,
	    memory_order_acquire);

	if (t->step != STEP_NONE && (started == 0 || t->number != number))
		t->step = STEP_NONE; /* it has come to its end */
	if (started == 0)
		return false;
	look_for_slow(d, i, number, now_ms - started);
	if (s->request_timeout_ms == 0)
		return true;
	if (t->step == STEP_NONE && now_ms - started >= s->request_timeout_ms)
		take_interrupt(d, i, number, now_ms);
	else if (t->step == STEP_INTERRUPTED &&
	    now_ms - t->step_ms >= s->interrupt_timeout_ms)
		take_stuck(d, i, now_ms);
	return true;
}

bool
watchdog_look(struct watchdog *d, int64_t now_ms)
{
	bool running = false;

	for (size_t i = 0; i < d->count; i++)
		running = look_at(d, i, now_ms) || running;
	return running;
}

void
watchdog_dump(struct watchdog *d)
{
	atomic_store(&d->dump_all, true);
	must(sem_post(&d->work) == 0);
}

void
watchdog_trim(struct watchdog *d)
{
	atomic_store(&d->trim, true);
	must(sem_post(&d->work) == 0);
}

void
watchdog_dump_board(struct watchdog *d, uint32_t asked)
{
	if (asked == atomic_exchange(&d->dump_asked, asked))
		return;
	must(sem_post(&d->work) == 0);
}

size_t
watchdog_stuck(const struct watchdog *d)
{
	size_t stuck = 0;

	for (size_t i = 0; i < d->count; i++) {
		const struct watched *t = &d->threads[i];

		stuck += t->step == STEP_STUCK &&
		    t->number == atomic_load(&line_of(d, i)->requests);
	}
	return stuck;
}

int
watchdog_start(struct worker *w, struct watchdog **out, struct err *err)
{
	size_t count = (size_t)w->settings->threads;
	struct watchdog *d = calloc(1,
	    sizeof(*d) + count * sizeof(struct watched));
	int rc;

	*out = NULL;
	if (d == NULL) {
		err_set(err, "watchdog: out of memory");
		return -1;
	}
	d->w = w;
	d->count = count;
	must(sem_init(&d->work, 0, 0) == 0);
	backtrace_prepare();
	rc = pthread_create(&d->id, NULL, watchdog_main, d);
	if (rc != 0) {
		err_set(err, "watchdog: %s", strerror(rc));
		sem_destroy(&d->work);
		free(d);
		return -1;
	}
	*out = d;
	return 0;
}

void
watchdog_stop(struct watchdog **dp)
{
	struct watchdog *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	atomic_store(&d->leave, true);
	must(sem_post(&d->work) == 0);
	pthread_join(d->id, NULL);
	sem_destroy(&d->work);
	free(d);
}
