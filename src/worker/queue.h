/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_QUEUE_H
#define BICORN_WORKER_QUEUE_H

/*
 * The ready queue: clients with a complete request, waiting for a thread.
 * The acceptor pushes what one round of events brought; a pool thread that
 * finds a pipelined request while others wait pushes it again, to a second
 * line: a client that sends thousands of requests at once is served when the
 * others have been.  Bounded by the number of clients of a worker.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct queue;
struct score_load;

/*
 * For a pool of that many threads.  How many clients wait and threads sleep
 * is counted in *load, which is zero and outlives the queue; NULL: nobody
 * else is to see it.  Returns NULL when out of memory.  The caller frees with
 * queue_free().
 */
struct queue *queue_new(unsigned threads, struct score_load *load);

/*
 * One thread at a time gets on in the application: while requests do not wait
 * for anything, more are woken only when one is stuck.  Before there are
 * threads.
 */
void queue_set_serial(struct queue *q);

/*
 * So many processors, at least one, are there for this pool: more of its
 * threads than that are not woken for short requests that do not wait for
 * anything.  Before there are threads; without it there are enough for all.
 */
void queue_set_processors(struct queue *q, unsigned count);

/* The eventfd that wakes a leader that is needed.  Before there are threads. */
void queue_set_leader_fd(struct queue *q, int fd);

/*
 * Hands a chain of `count` clients, linked through client.next, to the pool,
 * which owns them from now on.  Never blocks.
 */
void queue_push(struct queue *q, struct client *first, struct client *last,
    size_t count);

/*
 * The same for one client that was served just now and has more requests: it
 * comes behind all others, but for one in a few.
 */
void queue_push_again(struct queue *q, struct client *c);

/*
 * Gives a client to the caller, who then owns it, or NULL when none is there.
 * busy_us is how long the caller was busy with the client before, -1 the first
 * time: waking goes by it.
 */
struct client *queue_take(struct queue *q, int64_t busy_us);

/*
 * Lets the others run once before a thread goes to sleep, where requests are
 * short: on a machine with more threads than processors that is when the
 * acceptor brings the next clients, and nobody has to be woken for them.
 */
void queue_yield(const struct queue *q);

/*
 * The same after a queue_take() that found nothing: sleeps until there is one.
 * Returns NULL once the queue is closed and empty.
 */
struct client *queue_pop(struct queue *q);

/*
 * For the thread that pushes: while there is enough to do for the threads
 * that are up, it sleeps, for limit_us at most, until they have got through
 * with most of it.  What comes meanwhile is then pushed at once.
 */
void queue_rest(struct queue *q, int64_t limit_us);

/*
 * A pool thread that found nothing is about to wait for events, as who leads
 * (worker/lead.h), and is one of those that sleep until queue_led().
 * False, and it need not say that it is back, when clients have come meanwhile.
 */
bool queue_lead(struct queue *q);
void queue_led(struct queue *q);

/* Nobody waits, and no thread is up.  Takes no lock. */
bool queue_all_asleep(const struct queue *q);

/* How long those that are up will take for what waits.  Takes no lock. */
int64_t queue_ahead_us(const struct queue *q);

/* How long a client keeps a thread of late; 0: not known.  Takes no lock. */
int64_t queue_busy_us(const struct queue *q);

/*
 * True when clients wait although threads sleep: those that are up were
 * expected to get to them soon.  The acceptor then calls queue_nudge() a
 * moment later.  Takes no lock.
 */
bool queue_is_patient(const struct queue *q);

/*
 * How many clients were given to threads so far, and how many should be when
 * queue_nudge() would be called: else it need not.  Take no lock.
 */
uint64_t queue_taken(const struct queue *q);
uint64_t queue_goal(const struct queue *q);

/*
 * How long the application waited of late, for anything but a lock that all
 * want, and how long its requests took.
 */
void queue_note_waits(struct queue *q, int64_t waited_us, int64_t busy_us);

/* Wakes one more thread, if clients still wait and one sleeps. */
void queue_nudge(struct queue *q);

/*
 * Takes those that were queued before that time, as a chain through
 * client.next, which the caller owns from now on; NULL when there are none.
 */
struct client *queue_expire(struct queue *q, int64_t before_ms);

/* The same with those that client_vanished().  Looks at all that wait. */
struct client *queue_vanished(struct queue *q, int64_t now_ms);

/*
 * The same with those that client_doubtful() and that the acceptor brought;
 * and how it puts them, or some of them in the same order, back where they
 * were.
 */
struct client *queue_doubtful(struct queue *q, int64_t now_ms);
void queue_put_back(struct queue *q, struct client *chain);

/* How many wait, as of a moment ago.  Takes no lock. */
size_t queue_length(const struct queue *q);

/* Wakes every sleeper; pop returns NULL once nothing is left. */
void queue_close(struct queue *q);

/* Nulls *qp.  The queue must be closed, empty and without sleepers. */
void queue_free(struct queue **qp);

#endif
