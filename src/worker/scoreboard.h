/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_SCOREBOARD_H
#define BICORN_WORKER_SCOREBOARD_H

/*
 * The scoreboard: memory shared by the arbiter and its workers, made before
 * the fork.  Each worker writes its own slot, each thread its own line of
 * it; the arbiter and the other workers read.  It answers: is the worker
 * alive, is it ready, how much has it to do, what was it doing when it died.
 *
 * Each field is written by one side only, with relaxed atomics: a reader
 * may see a state that is a moment old, never half a number.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "score/counts.h"

struct err;

enum worker_state {
	WORKER_NONE,     /* the slot is free */
	WORKER_BOOTING,  /* forked, loading the application */
	WORKER_READY,    /* accepting */
	WORKER_RETIRING, /* accepting, and wants to be replaced */
	WORKER_DRAINING, /* finishes what it has, then leaves */
};

/* What connections do, for those who look on. */
enum score_connection {
	SCORE_HANDSHAKE,
	SCORE_IDLE,   /* between two requests */
	SCORE_HEAD,
	SCORE_BODY,
	SCORE_ACTIVE, /* queued, or with a thread */
	SCORE_FLUSH,  /* taking the rest of a response */
	SCORE_LINGER,
	SCORE_CONNECTIONS
};

#define SCORE_METHOD_MAX 24
#define SCORE_TARGET_MAX 142

#define SCORE_WHY_MAX 256

/* What a request is called; longer names are cut. */
struct score_text {
	uint8_t method_len;
	uint8_t target_len;
	char method[SCORE_METHOD_MAX];
	char target[SCORE_TARGET_MAX];
};

#define SCORE_WORDS (sizeof(struct score_text) / sizeof(uint64_t))

/* What a pool thread does.  Written by that thread. */
struct score_thread {
	_Alignas(64) _Atomic int64_t started_ms; /* 0: idle */
	_Atomic uint64_t requests; /* answered by this thread */
	_Atomic uint32_t sequence; /* odd while the words below change */
	_Atomic uint64_t words[SCORE_WORDS]; /* a struct score_text */
};

/*
 * How much a worker has to do.  It is the queue's own count, kept where the
 * other workers see it: written under the queue's lock.
 */
struct score_load {
	_Alignas(64) _Atomic uint32_t queued; /* requests without a thread */
	_Atomic uint32_t sleeping;            /* threads without a request */
	_Atomic int64_t busy_us_16; /* a client keeps a thread so long, on
				       average, times 16; 0: not known */
};

struct score_worker {
	/* Written by the arbiter, before the fork and after the reaping. */
	_Alignas(64) _Atomic pid_t pid;
	_Atomic uint32_t generation;
	_Atomic uint32_t number;     /* counts up, over all workers */
	_Atomic int64_t forked_ms;

	/*
	 * The service is about to stop.  Written by the arbiter, or by a
	 * worker that has lost it.
	 */
	_Atomic bool stopping;

	/*
	 * Written by the worker's acceptor; the state also by the arbiter,
	 * connections also by the threads that close one.
	 */
	_Alignas(64) _Atomic int state; /* enum worker_state */
	_Atomic int64_t beat_ms;        /* last sign of life, 0: none yet */
	_Atomic uint32_t connections;   /* held at present */
	_Atomic int64_t changed_ns;     /* of a file that changed (reload) */
	_Atomic bool stuck;             /* retires for a request that hangs */
	_Atomic uint32_t queued;        /* requests that wait for a thread */
	_Atomic uint32_t by_state[SCORE_CONNECTIONS]; /* while watched */
	_Atomic uint32_t dumped;        /* dump_wanted of the last dump */
	_Atomic uint32_t dump_len;      /* bytes of it */

	/*
	 * The last signal that was to end the worker, and who sent it, if
	 * that was not the arbiter.  Written by the worker's handler.
	 */
	_Atomic int signal; /* 0: none */
	_Atomic int signal_code;
	_Atomic pid_t signal_pid;
	_Atomic uid_t signal_uid;

	/*
	 * Why it could not boot; "": nothing was said.  Written by the worker
	 * before it exits, read by the arbiter after it has.
	 */
	char why[SCORE_WHY_MAX];

	/* Written by those who look on: another number asks for a dump. */
	_Alignas(64) _Atomic uint32_t dump_wanted;

	struct score_load load;
};

/* A dump of a worker's stacks is cut at this size. */
#define SCORE_DUMP_MAX 65536

/* Of the whole board. */
struct score_head {
	uint32_t size; /* of this struct: others may map the board */
	uint32_t workers;
	uint32_t threads;
	uint32_t bytes_counts; /* of one worker's counts */
	uint64_t bytes;        /* of all */

	/* Written by those who look on: only then states are counted. */
	_Atomic int64_t looked_ms;

	/* By the arbiter: enum log_level + 1, 0: that of the settings. */
	_Atomic uint32_t log_level;

	/* Who left the last connection: written by any worker. */
	_Alignas(64) _Atomic uint32_t left_by;
};

struct scoreboard;

/*
 * Room for `workers` slots of `threads` lines each.  Shared with every
 * process forked from now on; freed by the arbiter alone.
 */
struct scoreboard *scoreboard_new(size_t workers, size_t threads,
    struct err *err);
void scoreboard_free(struct scoreboard **bp);

size_t scoreboard_workers(const struct scoreboard *b);
size_t scoreboard_threads(const struct scoreboard *b);
struct score_worker *scoreboard_worker(struct scoreboard *b, size_t i);
struct score_thread *scoreboard_thread(struct scoreboard *b, size_t worker,
    size_t thread);

struct score_head *scoreboard_head(struct scoreboard *b);

/* The counts of a thread, and of what no thread of the pool counts. */
struct score_counts *scoreboard_counts(struct scoreboard *b, size_t worker,
    size_t thread);
struct score_counts *scoreboard_shared_counts(struct scoreboard *b,
    size_t worker);

/* Adds all counts of a worker to `to`. */
void scoreboard_sum(struct scoreboard *b, size_t worker,
    struct score_counts *to);

/* Room for SCORE_DUMP_MAX bytes that the worker writes. */
char *scoreboard_dump(struct scoreboard *b, size_t worker);

/*
 * The descriptor of the memory, owned by b, or -1 and errno; and the view of a
 * process that got it from the arbiter, which takes fd, also on an error.
 */
int scoreboard_fd(const struct scoreboard *b);
struct scoreboard *scoreboard_attach(int fd, struct err *err);

/* For a worker's last words: why it does not boot. */
void scoreboard_why(struct scoreboard *b, size_t worker, const char *text);

/* Zeroes a slot and its threads.  Arbiter, while no worker has the slot. */
void scoreboard_clear(struct scoreboard *b, size_t worker);

/* Requests answered by a worker: the sum over its threads. */
uint64_t scoreboard_requests(struct scoreboard *b, size_t worker);

/*
 * An eventfd that becomes readable when a worker's state changes: the
 * arbiter polls it.  scoreboard_notify() is async-signal-safe.
 */
int scoreboard_event(const struct scoreboard *b);
void scoreboard_notify(const struct scoreboard *b);

/*
 * The worker in that slot leaves a connection to the others: one that waits
 * for the eventfd scoreboard_left() wakes up.  Nobody reads that, it is
 * watched for edges; who left may be told as well.
 */
void scoreboard_leave(struct scoreboard *b, size_t slot);
int scoreboard_left(const struct scoreboard *b);

/* Who left the last one. */
size_t scoreboard_left_by(struct scoreboard *b);

/* Writing one's line: what this thread now runs, and that it is done. */
void score_begin(struct score_thread *t, const char *method,
    size_t method_len, const char *target, size_t target_len, int64_t now_ms);
void score_end(struct score_thread *t);

/*
 * Reads a line into a text "GET /path" with control bytes escaped.  False
 * when the thread is idle.  Any process, any time.
 *
 * A thread that is writing its line meanwhile is waited for, for a moment;
 * if it does not get to the end of it, because it died or was stopped there,
 * the text is SCORE_HALF_WRITTEN.  It is never made of two requests.
 */
#define SCORE_HALF_WRITTEN "a request that just began"

bool score_read(const struct score_thread *t, char *out, size_t room,
    int64_t *started_ms_out);

#endif
