/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_EXCHANGE_H
#define BICORN_WORKER_EXCHANGE_H

/*
 * One request and its response, as a pool thread works on it.  Each thread
 * has one of these for all its life and uses it for one request after
 * another, so that serving allocates nothing once the buffers have grown.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bicorn/app.h>

#include "app/request.h"
#include "base/buf.h"
#include "http/response.h"
#include "worker/ident.h"
#include "worker/later.h"
#include "worker/turn.h"

struct client;
struct score_counts;
struct score_thread;
struct worker;

enum response_state {
	RESPONSE_NONE,    /* bicorn_respond() was not called */
	RESPONSE_STARTED, /* the head stands in `out`, and may be replaced */
	RESPONSE_SENDING, /* the head is on its way */
	RESPONSE_DONE,    /* complete */
	RESPONSE_ABORTED, /* cannot be completed */
	RESPONSE_RAW,     /* the connection was taken over */
};

/*
 * `out` holds, one behind the other: status line, Server and Date; room for
 * Connection and framing, which are known only when the head is sent; the
 * application's fields and the empty line; body bytes that were gathered.
 * The head stays there until the next response, for the access log.
 */
struct exchange {
	struct bicorn_exchange pub; /* first: applications point here */

	/* Constant for the thread. */
	struct worker *w;
	struct score_thread *score;
	struct score_counts *counts;
	unsigned number; /* of the thread */

	turn_word turn; /* who answers: worker/turn.h */

	/* A client with loan_hold(); set by the thread, for the acceptor. */
	_Atomic(struct client *) held;

	struct later later; /* answers that are sent together */

	/* Of the request in hand. */
	struct client *c;
	struct request request;
	uint64_t body_at;     /* what bicorn_read() has read */
	bool broken_body;     /* a streamed one: no more of it will come */
	void *map;            /* of a spooled body, or NULL */
	size_t map_len;
	struct bicorn_header *trailers_in; /* heap, or NULL */
	struct ident id;      /* with the setting request_id */
	struct buf notes;     /* for the access log, see record.c */
	struct bicorn_header *variables; /* heap, kept for the next one */
	size_t variable_room;
	int64_t started_us;
	int64_t started_wall;
	int64_t queue_us;     /* it waited so long for this thread */
	int64_t send_us;      /* what went into sending so far */
	int64_t sent_us;      /* when something was last sent */
	int64_t lock_us;      /* it waited so long for Python's lock */
	unsigned run;         /* so many of the client, one after the other, */
	int64_t run_us;       /* ... since then */
	int64_t ended_us;     /* when the application was done; -1: not yet */

	/* Of the response. */
	enum response_state state;
	unsigned status;
	bool no_body;      /* HEAD, 204, 304: no byte of it is sent */
	bool head_only;    /* HEAD */
	bool chunked;
	bool keep_open;    /* the connection may serve another request */
	bool until_close;  /* the end of the connection ends the body */
	bool bare;         /* RESPONSE_RAW: the application has the socket */
	bool broken;       /* the client is gone, or was too slow */
	bool ending;       /* what is emitted now is the end of it */
	bool head_sent;    /* given to the socket or to client.out */
	bool later_put;    /* the end of it is in `later` */
	bool logged;       /* the application logs it */
	int64_t length;    /* of the whole body; -1: not known */
	uint64_t taken;    /* body bytes the application gave, cut at length */
	uint64_t put;      /* body bytes given to socket or client.out */
	struct buf out;
	size_t first_len;  /* status line, Server, Date */
	size_t fields_at;
	size_t gather_at;  /* where gathered body bytes begin */
	struct buf trailers_out;

	/* Of the thread: the Date field, made anew each second. */
	int64_t date_s;
	char date[HTTP_DATE_LEN];
};

/* The thread of x, for both. */
void exchange_init(struct exchange *x, struct worker *w,
    struct score_thread *score, struct score_counts *counts);
void exchange_fini(struct exchange *x);

/*
 * Makes x ready for the complete request of c.  False when out of memory:
 * the request can be refused and recorded, but not be run.
 */
bool exchange_begin(struct exchange *x, struct client *c);

/*
 * True when the thread of x may go on with another request of the client in
 * hand, if one is there: nobody else waits, or it was quick so far.
 */
bool exchange_may_go_on(const struct exchange *x);

/*
 * Before the connection is touched for a request whose turn was offered.
 * False when that was seized: the client is as good as gone, x is broken.
 */
static inline bool
exchange_take_turn(struct exchange *x)
{
	if (turn_take(&x->turn, x->pub.number))
		return true;
	x->broken = true;
	return false;
}

/* Frees what belongs to the one request. */
void exchange_end(struct exchange *x);

/* The response functions of struct bicorn_server.  The thread of x. */
int response_start(struct exchange *x, unsigned status, struct span reason,
    const struct bicorn_header *headers, size_t count, int64_t length);
int response_write(struct exchange *x, const struct bicorn_str *parts,
    size_t count);
int response_file(struct exchange *x, int fd, int64_t offset, int64_t len);
int response_flush(struct exchange *x);
int response_trailers(struct exchange *x, const struct bicorn_header *headers,
    size_t count);
int response_finish(struct exchange *x);
void response_abort(struct exchange *x);
int response_inform(struct exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count);
int response_take_over(struct exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count);

/* A page for that status, with headers added to its own. */
int response_page(struct exchange *x, unsigned status, const char *why,
    const struct bicorn_header *headers, size_t count);

/* Answers a page that says what went wrong; closes the connection. */
void response_error(struct exchange *x, unsigned status, const char *text);

/* Who talks to whom, as far as that is known. */
void exchange_fill_addresses(struct bicorn_request *v, const struct client *c);

/* One of the functions that are lent: bicorn_variables(). */
size_t exchange_variables(struct bicorn_exchange *pub,
    const struct bicorn_header **out);

/* ... and another: bicorn_listener_at(). */
int exchange_listener(const struct bicorn_server *server, size_t number,
    struct bicorn_listener *out);

/* The table that is lent to applications, filled in. */
void lent_init(struct worker *w);

#endif
