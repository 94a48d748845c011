/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_TURN_H
#define BICORN_WORKER_TURN_H

/*
 * Whose turn it is to answer a request: its thread's, unless that does not
 * come back from the application.
 *
 * A thread offers the turn before it runs application code, and takes it back
 * before it touches the connection: to send the first byte of the response,
 * which it then keeps it for, to read more of the body, and when the
 * application has returned.  Who gives a request up, the acceptor, seizes it
 * meanwhile.  One of the two has it: the word names the request, so that a
 * later one of the same thread is never meant.
 *
 * Who has seized it may read the request, as it is constant while the
 * application runs, and write to the connection, which waits for nothing else
 * then.  The response in the making, and the client with all its memory, stay
 * the thread's: should it come back it waits until the answer is given, finds
 * the client gone, and closes it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum turn {
	TURN_THREAD,
	TURN_OFFERED,
	TURN_SEIZED,   /* the acceptor is at it */
	TURN_ANSWERED, /* ... and has done it */
};

/* Of a thread: the number of its request, and an enum turn in the last bits. */
typedef _Atomic uint64_t turn_word;

#define TURN_BITS 2
/* An answer takes some microseconds; more where a log lets it wait. */
#define TURN_WAIT_NS 50000

static inline uint64_t
turn_of(uint64_t number, enum turn turn)
{
	return number << TURN_BITS | turn;
}

static inline enum turn
turn_state(const turn_word *t)
{
	return (enum turn)(atomic_load_explicit(t, memory_order_relaxed) &
	    ((1 << TURN_BITS) - 1));
}

/* The thread: somebody else answers, or has done so. */
static inline bool
turn_is_lost(const turn_word *t)
{
	return turn_state(t) >= TURN_SEIZED;
}

/* The thread: of a request that begins. */
static inline void
turn_begin(turn_word *t, uint64_t number)
{
	atomic_store_explicit(t, turn_of(number, TURN_THREAD),
	    memory_order_relaxed);
}

/* The thread, which has the turn.  What it did is there for who seizes it. */
static inline void
turn_offer(turn_word *t, uint64_t number)
{
	atomic_store_explicit(t, turn_of(number, TURN_OFFERED),
	    memory_order_release);
}

/* The thread: false when the turn was seized, and the answer is given. */
static inline bool
turn_take(turn_word *t, uint64_t number)
{
	const struct timespec pause = { .tv_nsec = TURN_WAIT_NS };
	uint64_t seen = turn_of(number, TURN_OFFERED);

	if (turn_state(t) == TURN_THREAD ||
	    atomic_compare_exchange_strong_explicit(t, &seen,
		turn_of(number, TURN_THREAD), memory_order_relaxed,
		memory_order_relaxed))
		return true;
	while (atomic_load_explicit(t, memory_order_acquire) !=
	    turn_of(number, TURN_ANSWERED))
		nanosleep(&pause, NULL);
	return false;
}

/* The acceptor: false when the request is over, or being answered. */
static inline bool
turn_seize(turn_word *t, uint64_t number)
{
	uint64_t seen = turn_of(number, TURN_OFFERED);

	return atomic_compare_exchange_strong_explicit(t, &seen,
	    turn_of(number, TURN_SEIZED), memory_order_acquire,
	    memory_order_relaxed);
}

/* The acceptor, which has seized it: the client is the thread's alone again. */
static inline void
turn_answered(turn_word *t, uint64_t number)
{
	atomic_store_explicit(t, turn_of(number, TURN_ANSWERED),
	    memory_order_release);
}

#endif
