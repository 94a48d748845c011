/* SPDX-License-Identifier: MIT */
#ifndef BICORN_SCORE_LEDGER_H
#define BICORN_SCORE_LEDGER_H

/*
 * What the arbiter knows, in shared memory, for those who show it: how the
 * service is, and the counts of workers that are gone, so that sums over all
 * workers never go back.  Written by the arbiter alone.
 *
 * A worker that ends is taken over in one step for readers: sequence is odd
 * while its counts move from its slot to `past`.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "score/counts.h"

struct err;

enum restart_id {
#define RESTART(id, reason) RESTART_##id,
#include "score/restarts.def"
#undef RESTART
	RESTART_COUNT
};

extern const char *const restart_reasons[RESTART_COUNT];

enum ledger_state {
	LEDGER_STARTING,
	LEDGER_SERVING,
	LEDGER_RELOADING,
	LEDGER_STOPPING,
};

#define LEDGER_TEXT 256

struct ledger {
	_Alignas(64) _Atomic uint32_t sequence;
	struct score_counts past;
	_Atomic uint64_t restarts[RESTART_COUNT];
	_Atomic uint64_t lost;     /* requests that ended with their worker */
	_Atomic uint64_t reloads;  /* that succeeded */
	_Atomic uint64_t failed_reloads;
	_Atomic uint64_t forks;

	_Atomic int state; /* enum ledger_state */
	_Atomic pid_t arbiter;
	_Atomic int64_t started_ms;   /* monotonic clock */
	_Atomic int64_t started_wall; /* seconds */
	_Atomic uint32_t serving;     /* number of the generation; 0: none */
	_Atomic uint32_t candidate;   /* of one that boots; 0: none */
	_Atomic uint32_t wanted;      /* workers that there should be */
	_Atomic int64_t certificate_expiry; /* of the first; seconds, 0: none */
	_Atomic uint32_t text_sequence; /* odd while the text changes */
	char reload_error[LEDGER_TEXT]; /* "": the last one was fine */
};

/* Shared with all that are forked from now on. */
struct ledger *ledger_new(struct err *err);
void ledger_free(struct ledger **lp);

/* Around what readers are to see as one step.  The arbiter. */
void ledger_begin(struct ledger *l);
void ledger_end(struct ledger *l);

/*
 * Reading in one step: ledger_look() before, ledger_seen() after; false:
 * something moved, read again.
 */
uint32_t ledger_look(const struct ledger *l);
bool ledger_seen(const struct ledger *l, uint32_t look);

static inline void
ledger_count(_Atomic uint64_t *at, uint64_t more)
{
	atomic_store_explicit(at,
	    atomic_load_explicit(at, memory_order_relaxed) + more,
	    memory_order_relaxed);
}

/* The arbiter; and the other way round, for anybody. */
void ledger_set_error(struct ledger *l, const char *text);
void ledger_get_error(const struct ledger *l, char out[LEDGER_TEXT]);

/*
 * Handing the counts to another arbiter: text, a line for each number, so
 * that the two may be of different versions.  `live` are the counts of the
 * workers that there are (may be NULL).  0, or -1 with errno.  Loading adds
 * to what is there; lines that it does not know are passed over.
 */
int ledger_save(const struct ledger *l, const struct score_counts *live,
    int fd);
int ledger_load(struct ledger *l, int fd);

#endif
