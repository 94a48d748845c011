/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_LATER_H
#define BICORN_WORKER_LATER_H

/*
 * Answers that stand in their sockets for a moment.  To wake a client costs
 * the thread that answers 10 to 25 us, more than all else that bicorn does
 * for a request.  Where clients wait for this thread anyway, it gives some
 * answers to their sockets, which hold them (MSG_MORE), and has them sent
 * together: those who are woken then find several.  TCP without TLS only.
 *
 * Nobody waits for long: the thread sends them after half a millisecond, and
 * before it looks for work where there is none, and the acceptor does when the
 * thread takes its time with a request.  All that is kept is the descriptor; whose
 * connection was closed meanwhile has had its answer, and to ask another
 * socket to send what it has does no harm.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct pool;
struct worker;

#define LATER_MAX 16

/* Of a pool thread, which adds; the acceptor's thread reads it. */
struct later {
	_Atomic unsigned count;
	_Atomic int64_t since_us; /* the first one stands there since then */
	_Atomic int fds[LATER_MAX];

	/* The acceptor's thread: of those since then it has sent so many. */
	int64_t sent_since_us;
	unsigned sent;
};

/* Whether the end of x's answer, about to be written, may wait. */
bool later_may(const struct exchange *x);

/* It was written, to be sent later. */
void later_add(struct exchange *x);

/* Sends them if it is time to; the thread, after each client. */
void later_look(struct exchange *x);

/* Sends them now.  The thread. */
void later_send(struct later *l);

/*
 * Sends those of all threads that stand there since before that, each once.
 * The acceptor's thread, leading or not.
 */
void later_send_all(const struct worker *w, int64_t before_us);

#endif
