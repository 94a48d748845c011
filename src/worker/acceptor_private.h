/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_ACCEPTOR_PRIVATE_H
#define BICORN_WORKER_ACCEPTOR_PRIVATE_H

/* The acceptor from inside.  All of it belongs to who leads: worker/lead.h. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wheel.h"
#include "score/counts.h"
#include "worker/source.h"

struct client;
struct listener;
struct peers;
struct worker;

/* A listener as epoll knows it. */
struct listening {
	struct source source; /* SOURCE_LISTENER */
	const struct listener *listener;
	bool registered; /* in epoll */
};

struct acceptor {
	struct worker *w;
	int epoll;
	int64_t now_ms; /* of the round in hand ... */
	int64_t now_us; /* ... in microseconds */
	_Atomic int64_t looked_us; /* the same, for others to read */
	unsigned asked;   /* requests that came in this millisecond, and from */
	unsigned arrived; /* ... so many clients */
	unsigned crowd;   /* clients in each of those before it; 0: they asked
			     more than once */
	unsigned pace;    /* requests in each of those */
	unsigned handed;  /* ... and in the last round */
	struct wheel wheel;
	struct source wake; /* SOURCE_WAKE */

	/* Clients: all that are open, and memory for new ones. */
	struct client *open;   /* the newest */
	struct client *oldest; /* meaningless while open is NULL */
	struct client *hand;   /* of evict.c: the next to be looked at */
	struct client *spare;

	/* Clients in a TLS handshake, or just out of it. */
	struct client *opening;        /* the newest */
	struct client *opening_oldest; /* meaningless while opening is NULL */
	int64_t opening_count;

	/* Complete requests of this round, for one push. */
	struct client *batch_first;
	struct client *batch_last;
	size_t batch_count;
	int64_t patient_ms; /* clients wait and threads sleep, since then; */
	uint64_t patient_goal; /* ... those are served when queue_taken() is
				  as much as this */
	int64_t metrics_ms; /* when they are sent next */
	int64_t held_ms;  /* since when answers may be held; CLOCK_NEVER: not
			     at all */
	int64_t watch_ms; /* when the watchdog looks next; CLOCK_NEVER: it
			     has nothing to look at */
	int64_t status_ms;  /* when to tell the scoreboard how things are */
	int64_t filled;     /* worker.buffered, at the most of late ... */
	int64_t filled_ms;  /* ... and when it was last near to that */
	unsigned busy;      /* threads, as the title says */
	int64_t parent_ms;  /* when to look next whether the arbiter lives */
	int64_t sweep_ms;   /* when to look next for vanished clients */
	bool somebody_left; /* of those that queue or pool own */

	/* Accepting. */
	int64_t room; /* connections, see worker_room() */
	struct listening *listening;
	size_t listening_count;
	bool registered;      /* the listeners ought to be in epoll */
	bool unsettled;       /* ... and some are not, or the reverse */
	int64_t resume_ms;    /* do not accept before */
	int64_t evict_ms;     /* nor, when full, before */
	int64_t evict_after_ms; /* who did nothing for so long has to go */
	int64_t hard_times_ms;  /* until then; then that is long again */
	int64_t evicted;        /* since that was last changed */
	bool spread;          /* connections may be left to other workers */
	unsigned left_times;  /* so often they could have taken the next */
	unsigned circled;     /* ... and how often it came back from them */
	int64_t left_ms;      /* since when they can; 0: nothing was left */
	bool starved;         /* it pauses until a thread is free */
	int64_t starved_ms;   /* no thread was free since; CLOCK_NEVER */
	unsigned taken;       /* accepted in this round */
	struct source left;   /* SOURCE_LEFT */
	struct peers *peers;  /* NULL: addresses do not count */
	int64_t complained_ms; /* the last warning about accept() */

	/* Leaving. */
	int64_t accepted_ms;   /* a client came last; 0: none yet */
	int64_t close_ms;      /* listeners are closed then */
	int64_t patience_end_ms; /* half a head is waited for no longer */
	int64_t drain_end_ms;  /* CLOCK_NEVER: not draining */
	int64_t idle_close_ms; /* then idle clients are closed */
};

/* --- acceptor.c ----------------------------------------------------------- */

enum round {
	ROUND_LOOK, /* what has happened */
	ROUND_WAIT, /* for something to happen; the acceptor */
	ROUND_LEAD, /* the same; a pool thread, which is asleep meanwhile */
};

/* Does what is to be done for events and deadlines.  Who leads. */
void acceptor_round(struct acceptor *a, enum round how);

/* The acceptor has something to do that no other thread does for it. */
bool acceptor_has_to_act(const struct acceptor *a, int64_t now_ms);

/* --- status.c ------------------------------------------------------------- */

/*
 * Tells those who look on how things are, and heeds what they ask for, once
 * a second: sets status_ms.
 */
void status_update(struct acceptor *a);

/* --- accept.c ------------------------------------------------------------- */

/* Accepts what this worker ought to take from l. */
void accept_some(struct acceptor *a, struct listening *l);

/* The same from all that it listens on. */
void accept_from_all(struct acceptor *a);

/* Listens, or does not, as load and limits say; every round. */
void accept_adjust(struct acceptor *a);

/*
 * Takes what is left in the backlog, at once and, as there is room for it, in
 * the following rounds; then closes the listeners.
 */
void accept_stop(struct acceptor *a);
void accept_rest(struct acceptor *a);

/*
 * Lets c in, who is known by now: counts its address, begins TLS.  False
 * when it has to go.
 */
bool accept_admit(struct acceptor *a, struct client *c);

/* --- spread.c ------------------------------------------------------------- */

/*
 * True when the next connection is not for this worker now; accepting then
 * pauses.
 */
bool spread_leaves(struct acceptor *a);

/* Another worker left a connection, perhaps to this one. */
void spread_look(struct acceptor *a);

/* Ends a pause when what it was made for has happened; every round. */
void spread_resume(struct acceptor *a);

/* --- announce.c ----------------------------------------------------------- */

/* CLIENT_PROXY: looks for the header, and goes on when it is there. */
void tend_announced(struct acceptor *a, struct client *c);

/* --- evict.c -------------------------------------------------------------- */

/* Closes a client that does nothing, or too little; false: there is none. */
bool evict_one(struct acceptor *a);

/*
 * Closes the client that has been in its handshake for longest; false: none
 * waits for its client, all for this machine.
 */
bool evict_opening(struct acceptor *a);

/* c enters its handshake, and has left it; the latter may be repeated. */
void evict_opens(struct acceptor *a, struct client *c);
void evict_opened(struct acceptor *a, struct client *c);

/* c is about to be taken out of the list of open clients. */
void evict_forget(struct acceptor *a, const struct client *c);

/* --- tend.c: clients that the acceptor owns ------------------------------- */

/* Goes on with c, whose flags say what events came. */
void tend_client(struct acceptor *a, struct client *c);

/*
 * Comes back to c after the other clients had their turn, although no event
 * says so.  The acceptor gives it out of hand until then.
 */
void tend_later(struct acceptor *a, struct client *c);

/*
 * The request of c cannot be served for now: 503.  COUNT_REFUSED_QUEUE_FULL
 * or COUNT_REFUSED_QUEUE_TIMEOUT.
 */
void tend_overload(struct acceptor *a, struct client *c, enum count_id why);

/* The deadline of c is over. */
void tend_expired(struct acceptor *a, struct client *c);

/* Sees to it that the timer of c fires no later than its deadline. */
void tend_timer(struct acceptor *a, struct client *c);

/* Closes c at once. */
void tend_close(struct acceptor *a, struct client *c);

#endif
