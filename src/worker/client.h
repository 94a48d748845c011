/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_CLIENT_H
#define BICORN_WORKER_CLIENT_H

/*
 * A client: one connection as the worker sees it, and who owns it.
 *
 * At every instant one side owns a client, and only the owner touches it
 * (whoever leads is the acceptor: worker/lead.h):
 *
 *	ACCEPTOR  owner word is 0.  All states but CLIENT_READY.
 *	QUEUE     OWNED_BY_POOL, state CLIENT_READY, linked into the queue.
 *	POOL      OWNED_BY_POOL, held by the thread that popped it; or, in
 *	          CLIENT_HANDSHAKE, with the thread that opens connections.
 *	RETURNED  OWNED_BY_POOL, on worker.returned, for the acceptor to take.
 *
 * The acceptor sets OWNED_BY_POOL before it pushes; whoever has the client
 * in the pool clears it, either by client_release() (the connection is idle
 * again, no message is sent) or through client_return() and the acceptor.
 *
 * An event that arrives while the pool owns the client only sets its bit in
 * the owner word, which is seen when the word is cleared.  Registration with
 * epoll is edge-triggered and made once, so no event may be forgotten: what
 * an edge said is kept in `readable` and `peer_closed` until a read finds
 * the socket drained.
 *
 * Memory is given back by the acceptor alone, after the batch of events in
 * hand, so that no event can name a freed client.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wheel.h"
#include "net/conn.h"
#include "worker/outbound.h"
#include "worker/slow.h"
#include "worker/source.h"

struct inbound;
struct peer;
struct record_line;

enum client_state {
	CLIENT_PROXY,     /* a PROXY header comes first, or may */
	CLIENT_HANDSHAKE, /* the transport opens */
	CLIENT_IDLE,      /* between two requests: holds no buffer */
	CLIENT_HEAD,      /* the head of a request has begun */
	CLIENT_BODY,      /* its body is arriving */
	CLIENT_READY,     /* a complete request: queue and pool */
	CLIENT_FLUSH,     /* output is left that the socket did not take */
	CLIENT_LINGER,    /* half-closed, reads to the end */
	CLIENT_CLOSED,    /* the socket is closed; memory to be given back */
};

enum owner_bits {
	OWNED_BY_POOL = 1,
	EVENT_READ = 2,  /* bytes, or the end, can be read */
	EVENT_WRITE = 4, /* the socket takes bytes again */
	EVENT_GONE = 8,  /* the peer ended its side, or the connection broke */
	EVENT_LOST = 16, /* and nobody is there to read an answer */
};

struct client {
	struct source source; /* SOURCE_CLIENT; first: epoll points here */
	_Atomic uint32_t owner;

	/* Owned by the owner. */
	struct conn conn;
	enum client_state state;
	bool readable;    /* the socket may hold bytes no edge will tell of */
	bool peer_closed; /* the peer ended its side */
	bool keep;        /* after CLIENT_FLUSH: wait for another request */
	bool fresh;       /* nothing was received yet */
	bool brittle;     /* client_brittle() */
	bool sounded;     /* client_sound() was called, and sent ... */
	uint8_t begun;    /* ... so many bytes of the next status line */
	bool reprieved;   /* its time was over once, and bytes had come */
	bool watches_output; /* epoll was asked about output, too */
	struct inbound *in;  /* the request being received or answered */
	struct outbound out; /* what the socket did not take */
	bool lent;           /* ... may be with the acceptor: worker/loan.h */
	bool holding;        /* ... was not yet offered: output_hold() */
	struct slow slow;    /* how slow it was with the body or response */
	int64_t deadline_ms; /* of the state; the timer may be earlier */
	uint64_t sent;       /* CLIENT_FLUSH: bytes given to the socket */
	uint64_t drained;    /* CLIENT_LINGER: bytes read and dropped */
	int unread;          /* ... and what the client has not yet got of the
				response, when that was last looked at */
	int64_t ready_us;    /* CLIENT_READY: since then; 0: it did not wait */
	int64_t left_us;     /* output was left then; 0: it is all sent */
	int64_t send_us;     /* ... and until then this went into sending ... */
	int64_t total_us;    /* ... and this into all of the request */
	struct record_line *line; /* of that request, for record_sent() */
	bool served;         /* it had a request answered before */
	void *thread;        /* the application's, which answers */
	struct client *next; /* in the queue, or on worker.returned */

	/* CLIENT_READY: since when it waits.  Owner writes, acceptor reads. */
	_Atomic int64_t queued_ms;

	/* Whose `out` is while the application runs: worker/loan.c. */
	_Atomic uint32_t loan;

	/* Constant while it is open: its address, to be counted, or NULL. */
	struct peer *peer;

	/* Owned by the acceptor. */
	int64_t seen_ms;     /* when evict.c looked at it, and ... */
	uint64_t seen_bytes; /* what had moved by then */
	struct timer timer;
	bool opening;        /* it is in acceptor.opening */
	struct client *prev_opening; /* newer */
	struct client *next_opening;
	struct client *prev_open; /* all open clients of the worker */
	struct client *next_open;
};

/* So much of the status line that is sent now was sent before. */
static inline size_t
client_begun(struct client *c)
{
	size_t begun = c->begun;

	if (begun != 0)
		c->begun = 0;
	return begun;
}

#endif
