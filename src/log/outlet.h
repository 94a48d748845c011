/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_OUTLET_H
#define BICORN_LOG_OUTLET_H

/*
 * A socket to somebody who collects what we say: a message is one send(),
 * which never waits for long.  One who is away loses messages, and is looked
 * for again once a second.  The descriptor stays the same number.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/endpoint.h"

struct err;

struct outlet {
	/* Constant after outlet_open(). */
	int fd;
	bool stream;
	bool patient; /* a full queue is waited for, a moment */
	bool undecided; /* a stream where it is no datagram socket */
	struct sockaddr_storage to;
	socklen_t to_len;

	/* Any thread. */
	_Atomic int64_t retry_ms; /* not connected anew before that */
	atomic_bool stuck;        /* whoever reads there does not */
	_Atomic uint64_t lost;    /* messages, not reported yet */
};

/*
 * Looks the address up and connects, waiting a second at most.  An address
 * that there is not is an error; when nobody is there, *away_out says so.
 */
int outlet_open(struct outlet *o, const struct endpoint *e, bool patient,
    bool *away_out, struct err *err);
void outlet_close(struct outlet *o);

/* How many were lost since the last question, once it works again. */
static inline uint64_t
outlet_lost(struct outlet *o)
{
	if (atomic_load_explicit(&o->lost, memory_order_relaxed) == 0 ||
	    atomic_load_explicit(&o->stuck, memory_order_relaxed))
		return 0;
	return atomic_exchange_explicit(&o->lost, 0, memory_order_relaxed);
}

/* Any thread; keeps errno.  The parts are one message. */
void outlet_send(struct outlet *o, const struct iovec *parts, int count);

#endif
