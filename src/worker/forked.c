/* SPDX-License-Identifier: MIT */
#include "worker/forked.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <bicorn/app.h>

#include "log/log.h"
#include "worker/worker_private.h"

/* A handler of pthread_atfork() has no argument. */
static struct worker *_Atomic forked_worker;

void
forked_leave(void)
{
	log_error("A process that the application forked came back to the "
		  "server: it has to end with _exit(), which is os._exit() "
		  "in Python");
	_exit(EXIT_FAILURE);
}

/* --- what is lent, as a child has it ------------------------------------- */

static int
child_respond(struct bicorn_exchange *x, unsigned status,
    struct bicorn_str reason, const struct bicorn_header *headers,
    size_t count, int64_t length)
{
	(void)x;
	(void)status;
	(void)reason;
	(void)headers;
	(void)count;
	(void)length;
	forked_leave();
}

static int
child_write(struct bicorn_exchange *x, const void *data, size_t len)
{
	(void)x;
	(void)data;
	(void)len;
	forked_leave();
}

static int
child_writev(struct bicorn_exchange *x, const struct bicorn_str *parts,
    size_t count)
{
	(void)x;
	(void)parts;
	(void)count;
	forked_leave();
}

static int
child_send_file(struct bicorn_exchange *x, int fd, int64_t offset, int64_t len)
{
	(void)x;
	(void)fd;
	(void)offset;
	(void)len;
	forked_leave();
}

static int
child_flush(struct bicorn_exchange *x)
{
	(void)x;
	forked_leave();
}

static void
child_abort(struct bicorn_exchange *x)
{
	(void)x;
	forked_leave();
}

/* inform() and error() */
static int
child_answer(struct bicorn_exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	(void)x;
	(void)status;
	(void)headers;
	(void)count;
	forked_leave();
}

static int
child_take_over(struct bicorn_exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count, int *fd_out)
{
	(void)x;
	(void)status;
	(void)headers;
	(void)count;
	(void)fd_out;
	forked_leave();
}

static int64_t
child_raw_read(struct bicorn_exchange *x, void *buf, size_t len,
    int64_t timeout_ms)
{
	(void)x;
	(void)buf;
	(void)len;
	(void)timeout_ms;
	forked_leave();
}

static void
in_child(void)
{
	struct worker *w = atomic_load(&forked_worker);
	struct bicorn_server *lent = &w->lent.table;

	w->forked = true;
	lent->respond = child_respond;
	lent->write = child_write;
	lent->writev = child_writev;
	lent->send_file = child_send_file;
	lent->flush = child_flush;
	lent->finish = child_flush;
	lent->abort = child_abort;
	lent->inform = child_answer;
	lent->error = child_answer;
	lent->take_over = child_take_over;
	lent->raw_read = child_raw_read;
	lent->raw_write = child_write;
}

void
forked_watch(struct worker *w)
{
	atomic_store(&forked_worker, w);
	/* Without memory for that, children are the application's care. */
	(void)pthread_atfork(NULL, NULL, in_child);
}
