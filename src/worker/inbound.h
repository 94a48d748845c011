/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_INBOUND_H
#define BICORN_WORKER_INBOUND_H

/*
 * A request while it is received and answered: the bytes, the parsed head,
 * the body in memory or in a spool file.  Taken when the first byte of a
 * request arrives and given back when the request is done and nothing is
 * left behind it, so an idle connection has none.  Belongs to its client.
 *
 * In memory the buffer holds, one behind the other: the head, the body as
 * far as it is in memory (decoded), and what the client sent behind it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/trust.h"
#include "base/buf.h"
#include "http/chunked.h"
#include "http/head.h"
#include "score/counts.h"

struct client;
struct http_cgi;
struct worker;

struct inbound {
	struct inbound *next; /* spare ones */
	struct buf in;
	struct buf given;     /* `in` as the application knows it, if that had
				 to change since: see inbound_pull() */
	struct http_head head;
	struct http_chunked chunked;
	struct http_cgi *cgi; /* heap, once it had a uwsgi request */
	struct trust_result trust;
	struct buf trailer;   /* of a chunked body: raw lines */
	bool head_done;
	bool complete;        /* the body is all there */
	bool streamed;        /* the application takes it as it arrives */
	bool continue_due;    /* the client waits for a 100 */
	size_t body_len;      /* bytes of the body in `in`, behind the head */
	uint64_t body_total;  /* bytes of the body, in memory or in the file */
	uint64_t received;    /* bytes read, of this request and behind it */
	int spool;            /* the file, -1: the body is in memory */
	size_t counted;       /* of the buffers, in worker.buffered */
	unsigned refusal;     /* status to refuse with, after INBOUND_REFUSE */
	const char *reason;   /* why: static text */
	enum count_id overload; /* what the refusal counts as; 0: by status */
};

enum inbound_verdict {
	INBOUND_MORE,   /* wait for the next edge, or, if readable, a turn */
	INBOUND_READY,  /* the request is complete */
	INBOUND_REFUSE, /* answer in->refusal and close */
	INBOUND_END,    /* the client went without asking anything */
};

/*
 * An empty one, for c to own; NULL when out of memory.  inbound_step() takes
 * its own.
 */
struct inbound *inbound_take(struct worker *w, const struct client *c);

/*
 * Reads what the socket has and moves the request of c on; takes an inbound
 * for c when bytes are there.  Sets c->state and c->deadline_ms.  Called by
 * the owner of c, acceptor or pool; never blocks, but for the disk.
 */
enum inbound_verdict inbound_step(struct worker *w, struct client *c,
    int64_t now_ms);

/*
 * For a streamed body, whose bytes in memory were all taken: forgets those
 * and reads more.  INBOUND_MORE: nothing is there yet, wait for the socket;
 * INBOUND_READY: there are bytes, or the body is complete.  Otherwise there
 * will be no more.  The pool thread that owns c.
 */
enum inbound_verdict inbound_pull(struct worker *w, struct client *c);

/*
 * Drops the request that was answered.  What the client sent behind it stays
 * and is the beginning of the next one; if there is nothing, the inbound is
 * given back.
 */
void inbound_done(struct worker *w, struct client *c);

/*
 * The same, but if there is nothing behind, the empty inbound stays with the
 * caller: a pool thread may be about to need it.  Otherwise NULL.  It goes to
 * inbound_return(), which takes NULL, or becomes c->in again.
 */
struct inbound *inbound_detach(struct client *c);
void inbound_return(struct worker *w, struct inbound *in);

/* Gives back the inbound of c, if it has one. */
void inbound_drop(struct worker *w, struct client *c);

/* The head where the application has it; the same bytes as in `in`. */
static inline const char *
inbound_head(const struct inbound *in)
{
	return in->given.data != NULL ? in->given.data : in->in.data;
}

static inline const char *
inbound_body(const struct inbound *in)
{
	return in->in.data + in->head.length;
}

/* Whether nothing was received behind what is known of the request. */
static inline bool
inbound_is_all(const struct inbound *in)
{
	return in->in.len == in->head.length + in->body_len;
}

/* Frees one for good. */
void inbound_free(struct inbound *in);

#endif
