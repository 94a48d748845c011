/* SPDX-License-Identifier: MIT */
#include "worker/loan.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/client.h"
#include "worker/worker_private.h"

/*
 * client.loan.  The pool thread goes from NONE to OUT and back; the acceptor
 * from OUT to FLUSHING and back.  A pool thread that finds FLUSHING makes it
 * RECALLED and sleeps until the acceptor, which then has to wake it, is done.
 */
enum loan {
	LOAN_NONE,
	LOAN_OUT,
	LOAN_FLUSHING,
	LOAN_RECALLED,
};

static void
sleep_while(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Epoll tells of room from now on, and at once when there is some. */
static void
ask_for_room(struct worker *w, struct client *c)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = &c->source,
	};

	/* Should that fail, the next write of the application sends it. */
	epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->conn.fd, &ev);
}

/* False when nothing is left, or an error, which the next write will find. */
static bool
send_some(struct worker *w, struct client *c, enum io *io_out)
{
	uint64_t put;

	*io_out = outbound_flush(&c->out, &w->keep, &c->conn, &put);
	c->slow.bytes += put;
	return !outbound_empty(&c->out) &&
	    (*io_out == IO_OK || *io_out == IO_AGAIN);
}

void
loan_give(struct worker *w, struct client *c)
{
	enum io io;
	bool left;

	if (c->lent || outbound_empty(&c->out))
		return; /* in this order: what is lent is not ours to look at */
	if (!c->watches_output) {
		c->watches_output = c->lent = true;
		atomic_store(&c->loan, LOAN_OUT);
		ask_for_room(w, c);
		return;
	}
	do {
		c->lent = true;
		atomic_store(&c->loan, LOAN_OUT);
		/*
		 * The acceptor sets the bit and then looks at the loan, so
		 * that one of the two sees what the other did.
		 */
		if ((atomic_load(&c->owner) & EVENT_WRITE) == 0)
			return;
		loan_recall(c);
		/* Before the socket is asked: what comes then is news. */
		atomic_fetch_and(&c->owner, ~(uint32_t)EVENT_WRITE);
		do {
			left = send_some(w, c, &io);
		} while (left && io == IO_OK);
	} while (left);
}

void
loan_hold(struct worker *w, struct client *c)
{
	c->lent = true;
	atomic_store(&c->loan, LOAN_OUT);
	/* In this order, and the acceptor the other way round. */
	if (!atomic_load(&w->holding) && !atomic_exchange(&w->holding, true))
		worker_wake(w);
}

void
loan_recall(struct client *c)
{
	uint32_t seen = LOAN_OUT;

	if (!c->lent)
		return;
	c->lent = false;
	while (!atomic_compare_exchange_strong(&c->loan, &seen, LOAN_NONE)) {
		if (seen == LOAN_RECALLED ||
		    atomic_compare_exchange_strong(&c->loan, &seen,
			LOAN_RECALLED))
			sleep_while(&c->loan, LOAN_RECALLED);
		seen = LOAN_OUT;
	}
	/*
	 * EVENT_WRITE stays: the acceptor may have set it, and have found no
	 * loan.  Who calls it back need not write, and no edge tells again.
	 */
}

void
loan_flush(struct worker *w, struct client *c)
{
	uint32_t seen = LOAN_OUT;
	enum io io;

	if (!atomic_compare_exchange_strong(&c->loan, &seen, LOAN_FLUSHING))
		return;
	/* After enough for one turn, epoll tells again, behind the others. */
	if (send_some(w, c, &io) && (io == IO_OK || !c->watches_output)) {
		c->watches_output = true;
		ask_for_room(w, c);
	}
	if (atomic_exchange(&c->loan, LOAN_OUT) == LOAN_RECALLED)
		wake(&c->loan);
}
