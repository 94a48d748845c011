/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_LATER_H
#define BICORN_WORKER_LATER_H

/*
 * Answers that are sent together.  To send an answer wakes its client, and
 * where that runs on the same processor it interrupts the thread that sends
 * the next one: two switches for each, more than all else that bicorn does for
 * a request.  So while clients wait for this thread anyway it keeps small
 * answers for a moment, and gives all of them to their sockets by one system
 * call (io_submit(2)), during which nobody interrupts it.  Without TLS only.
 *
 * Nobody waits for long: the thread sends them after a millisecond, and before
 * it looks for work where there is none; when it takes its time with a request
 * the acceptor does.  By then the access log has the request, as complete, and
 * has it so where the client turns out to be gone.
 *
 * Who owns what: the client of an answer that is kept belongs to the pool
 * thread that keeps it.  Under the lock the acceptor may take such a client
 * over, with what is to be sent to it.  The answer of the request in hand may
 * be there as well: the application goes on behind it, as in close().  Its
 * client the acceptor cannot have, but it sends the bytes.
 */

#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"

struct client;
struct exchange;
struct iovec;
struct pool;
struct worker;

#define LATER_MAX 32

struct later_answer {
	struct client *c;
	uint32_t at;  /* of what is still to be sent, in later.data */
	uint32_t len; /* of that: 0 when it was sent */
	bool broken;  /* it cannot be sent */
};

/* Of a pool thread. */
struct later {
	struct lock lock; /* rank LOCK_LATER */

	/* Written with the lock, read by all without it. */
	_Atomic unsigned count;
	_Atomic int64_t since_us; /* the first one is kept since then */

	/* Guarded by lock. */
	struct later_answer answers[LATER_MAX];
	bool in_hand; /* the last one is that of the request in hand */

	/* The acceptor sends what is in data, without the lock. */
	atomic_bool taken_over;

	/* The thread's; what answers name it changes only behind their end. */
	char *data; /* heap, or NULL */
	size_t used;
	aio_context_t aio;
	enum { AIO_UNKNOWN, AIO_READY, AIO_NONE } state;
};

void later_init(struct later *l);
void later_fini(struct later *l);

/*
 * Keeps the end of x's answer, which is about to be written, if that may wait.
 * False: it is to be sent now.
 */
bool later_put(struct exchange *x, const struct iovec *iov, int count);

/*
 * Takes it back and sends it, for an exchange after which the connection does
 * not go on as was thought.
 */
void later_back(struct exchange *x);

/*
 * The exchange whose answer was put is over.  True: its client waits for the
 * answer to be sent, and is out of the caller's hands; false: it was sent.
 */
bool later_leave(struct exchange *x);

/* Sends them if it is time to; the thread, after each client. */
void later_look(struct exchange *x);

/* Sends them now; the thread, between two clients. */
void later_send(struct exchange *x);

/*
 * Sends those of all threads that are kept since before that.  The acceptor's
 * thread, leading or not.
 */
void later_take_over(struct worker *w, int64_t before_us);

#endif
