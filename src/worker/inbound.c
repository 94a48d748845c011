/* SPDX-License-Identifier: MIT */
#include "worker/inbound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/must.h"
#include "base/span.h"
#include "conf/conf.h"
#include "http/uwsgi.h"
#include "log/log.h"
#include "net/conn.h"
#include "net/listen.h"
#include "net/proxy.h"
#include "worker/client.h"
#include "worker/front.h"
#include "worker/redirect.h"
#include "worker/spool.h"
#include "worker/worker_private.h"

/* What a request's buffer begins with: most heads fit. */
#define FIRST_ROOM 4096
/* A spare one keeps no more than this; more counts as memory in use. */
#define SPARE_ROOM 16384
/* ... and the places for so many fields. */
#define SPARE_FIELDS 1024
/* Spare ones that are kept. */
#define SPARE_MAX 256
/* Read at once, on the stack, when the body goes to a file, ... */
#define SPOOL_READ 65536
/* ... up to a multiple of this in the file. */
#define SPOOL_ALIGN 16384
/* Read from one client before the others have their turn. */
#define TURN_BYTES 262144

/* --- taking and giving back ----------------------------------------------- */

/*
 * Anyone gives one back to the shared list; only the acceptor takes, all of
 * it at once, into a stash of its own, which is safe without counting
 * versions.  A pool thread goes on with the one that it has; where it needs
 * another, which is rare, it makes it.
 */
static void
spare_push(struct worker *w, struct inbound *in)
{
	struct inbound *top = atomic_load_explicit(&w->spare_inbound,
	    memory_order_relaxed);

	do {
		in->next = top;
	} while (!atomic_compare_exchange_weak_explicit(&w->spare_inbound,
	    &top, in, memory_order_release, memory_order_relaxed));
}

static struct inbound *
spare_pop(struct worker *w)
{
	struct inbound *in = w->stash;

	if (in == NULL)
		in = atomic_exchange_explicit(&w->spare_inbound, NULL,
		    memory_order_acquire);
	if (in == NULL)
		return NULL;
	w->stash = in->next;
	atomic_fetch_sub_explicit(&w->spare_count, 1, memory_order_relaxed);
	return in;
}

static bool
is_acceptors(const struct client *c)
{
	return (atomic_load_explicit(&c->owner, memory_order_relaxed) &
		   OWNED_BY_POOL) == 0;
}

struct inbound *
inbound_take(struct worker *w, const struct client *c)
{
	struct inbound *in = is_acceptors(c) ? spare_pop(w) : NULL;

	if (in == NULL) {
		in = calloc(1, sizeof(*in));
		if (in == NULL)
			return NULL;
		in->spool = -1;
	}
	in->next = NULL;
	return in;
}

void
inbound_free(struct inbound *in)
{
	if (in->cgi != NULL)
		http_cgi_fini(in->cgi);
	free(in->cgi);
	buf_fini(&in->in);
	buf_fini(&in->given);
	buf_fini(&in->trailer);
	http_head_fini(&in->head);
	fd_close(&in->spool);
	free(in);
}

/* Everything of a request but the bytes in the buffer. */
static void
reset(struct inbound *in)
{
	http_head_reset(&in->head);
	in->chunked = (struct http_chunked){ 0 };
	in->trailer.len = 0;
	in->head_done = false;
	in->overload = (enum count_id)0;
	in->complete = false;
	in->streamed = false;
	in->continue_due = false;
	in->body_len = 0;
	in->body_total = 0;
	in->received = 0;
	buf_fini(&in->given);
	fd_close(&in->spool);
}

static size_t
countable(const struct buf *b)
{
	return b->room > SPARE_ROOM ? b->room : 0;
}

/*
 * What a buffer has beyond its usual size counts; the usual size is bounded
 * by worker_connections.
 */
static void
count_memory(struct worker *w, struct inbound *in)
{
	size_t now = countable(&in->in) + countable(&in->given) +
	    countable(&in->trailer);

	if (now == in->counted)
		return;
	atomic_fetch_add_explicit(&w->buffered,
	    (int64_t)now - (int64_t)in->counted, memory_order_relaxed);
	in->counted = now;
}

/* One that was reset. */
static void
give_back(struct worker *w, struct inbound *in)
{
	in->in.len = 0;
	if (in->in.room > SPARE_ROOM)
		buf_fini(&in->in);
	if (in->trailer.room > SPARE_ROOM)
		buf_fini(&in->trailer);
	if (in->head.field_room > SPARE_FIELDS)
		http_head_fini(&in->head);
	count_memory(w, in);
	if (atomic_fetch_add_explicit(&w->spare_count, 1,
		memory_order_relaxed) < SPARE_MAX) {
		spare_push(w, in);
		return;
	}
	atomic_fetch_sub_explicit(&w->spare_count, 1, memory_order_relaxed);
	inbound_free(in);
}

void
inbound_drop(struct worker *w, struct client *c)
{
	if (c->in != NULL) {
		reset(c->in);
		give_back(w, c->in);
	}
	c->in = NULL;
}

struct inbound *
inbound_detach(struct client *c)
{
	struct inbound *in = c->in;

	buf_drop(&in->in, in->head.length + in->body_len);
	reset(in);
	if (in->in.len > 0)
		return NULL;
	c->in = NULL;
	return in;
}

void
inbound_return(struct worker *w, struct inbound *in)
{
	if (in != NULL)
		give_back(w, in);
}

void
inbound_done(struct worker *w, struct client *c)
{
	struct inbound *in = c->in;

	buf_drop(&in->in, in->head.length + in->body_len);
	if (in->in.len == 0)
		inbound_drop(w, c);
	else
		reset(in);
}

/* --- the body ------------------------------------------------------------- */

static enum inbound_verdict
refuse(struct inbound *in, unsigned status, const char *reason)
{
	in->refusal = status;
	in->reason = reason;
	return INBOUND_REFUSE;
}

static enum inbound_verdict
spool_failed(const struct worker *w, struct inbound *in)
{
	bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
	bool passes = errno == EMFILE || errno == ENFILE || errno == ENOMEM;

	log_error("Cannot keep the body of a request in a file of %s: %s",
	    spool_directory(w->settings->tmp_upload_dir), strerror(errno));
	if (passes) {
		in->overload = COUNT_REFUSED_STORAGE;
		return refuse(in, 503, "no room for the body now");
	}
	return full ? refuse(in, 507, "no space left for the body")
		    : refuse(in, 500, "the body could not be stored");
}

/*
 * Moves the part of the body that is in memory to the end of the file, which
 * is made when there is none yet.
 */
static enum inbound_verdict
spool_memory(struct worker *w, struct inbound *in)
{
	char *body = in->in.data + in->head.length;
	size_t len = in->body_len;

	if (in->spool < 0)
		in->spool = spool_open(w->settings->tmp_upload_dir);
	if (in->spool < 0 ||
	    fd_pwrite_all(in->spool, body, len,
		(off_t)(in->body_total - len)) != 0)
		return spool_failed(w, in);
	memmove(body, body + len, in->in.len - in->head.length - len);
	in->in.len -= len;
	in->body_len = 0;
	buf_trim(&in->in, FIRST_ROOM);
	return INBOUND_MORE;
}

static bool
over_limit(const struct worker *w, uint64_t length)
{
	int64_t limit = w->settings->limit_request_body_bytes;

	return limit != 0 && length > (uint64_t)limit;
}

/*
 * From then on only small bodies are kept in memory, and heads and trailers of
 * an unusual length, which nobody has to end soon, are refused: the rest is
 * for requests that are complete, and for their answers.
 */
static bool
is_memory_short(const struct worker *w)
{
	return atomic_load_explicit(&w->buffered, memory_order_relaxed) >
	    w->settings->buffer_memory_bytes / 2;
}

static enum inbound_verdict
refuse_for_memory(struct inbound *in)
{
	return refuse(in, 503, "the server has no memory to spare");
}

static bool
over_buffer(const struct worker *w, uint64_t length)
{
	if (length > (uint64_t)w->settings->body_buffer_bytes)
		return true;
	return length > SPARE_ROOM / 2 && is_memory_short(w);
}

/*
 * Takes raw bytes of the body, which stand in data[0..len).  *used_out: how
 * many were the body's; *kept_out: how many bytes of content stand at data
 * now.
 */
static enum inbound_verdict
body_decode(struct worker *w, struct inbound *in, char *data, size_t len,
    size_t *used_out, size_t *kept_out)
{
	enum http_verdict v;
	uint64_t left;

	if (in->head.chunked) {
		v = http_chunked_decode(&in->chunked, data, len, used_out,
		    kept_out, &w->limits, &in->trailer);
		if (v == HTTP_BAD)
			return refuse(in, in->chunked.status,
			    in->chunked.reason);
		in->complete = v == HTTP_DONE;
		if (in->trailer.room > SPARE_ROOM && is_memory_short(w))
			return refuse_for_memory(in);
		in->body_total += *kept_out;
		/* What a chunk says it will be counts as much. */
		if (over_limit(w, in->body_total + in->chunked.left))
			return refuse(in, 413, "the body is too large");
	} else {
		left = (uint64_t)in->head.content_length - in->body_total;
		*used_out = len < left ? len : (size_t)left;
		*kept_out = *used_out;
		in->body_total += *kept_out;
		in->complete = *used_out == left;
	}
	return in->complete ? INBOUND_READY : INBOUND_MORE;
}

/* Decodes what stands in the buffer behind head and body. */
static enum inbound_verdict
body_in_memory(struct worker *w, struct inbound *in)
{
	size_t at = in->head.length + in->body_len, used, kept;
	enum inbound_verdict v, spooled;

	v = body_decode(w, in, in->in.data + at, in->in.len - at, &used,
	    &kept);
	if (v == INBOUND_REFUSE)
		return v;
	memmove(in->in.data + at + kept, in->in.data + at + used,
	    in->in.len - at - used);
	in->in.len -= used - kept;
	in->body_len += kept;
	if (!in->streamed &&
	    (over_buffer(w, in->body_len) ||
		(!in->head.chunked &&
		    over_buffer(w, (uint64_t)in->head.content_length)))) {
		spooled = spool_memory(w, in);
		if (spooled == INBOUND_REFUSE)
			return spooled;
	}
	return v;
}

/* Decodes bytes that were just read, into the file. */
static enum inbound_verdict
body_in_file(struct worker *w, struct inbound *in, char *data, size_t len)
{
	uint64_t at = in->body_total;
	size_t used, kept;
	enum inbound_verdict v;

	v = body_decode(w, in, data, len, &used, &kept);
	if (v == INBOUND_REFUSE)
		return v;
	if (fd_pwrite_all(in->spool, data, kept, (off_t)at) != 0)
		return spool_failed(w, in);
	if (!buf_add(&in->in, data + used, len - used))
		return refuse(in, 503, "out of memory");
	return v;
}

/* --- the head ------------------------------------------------------------- */

/*
 * A 100 is sent only now that the body is wanted (RFC 9110, 10.1.1).  All of
 * it is sent or nothing: a client that gets none goes on after a while.
 */
static void
send_continue(struct worker *w, struct client *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uint64_t put;

	c->in->continue_due = false;
	if ((!outbound_empty(&c->out) && !c->holding) ||
	    outbound_add(&c->out, &w->keep, text, sizeof(text) - 1) !=
		OUTBOUND_KEPT)
		return;
	/* What does not fit goes in front of the response; so does an error. */
	outbound_flush(&c->out, &w->keep, &c->conn, &put);
}

/* What proxies have to say, in the head and in front of it. */
static enum http_verdict
learn(struct worker *w, struct client *c, struct inbound *in)
{
	const struct proxy_info *proxy = c->conn.proxy;
	const struct trust_peers peers = { front_hop(c), &c->conn.peer };
	const struct http_cgi *cgi = in->head.cgi;
	bool https;

	if (cgi != NULL) {
		/* Its variables say it all; the fields are the client's. */
		https = cgi->https ||
		    (!cgi->scheme_given && c->conn.tls != NULL);
		in->trust = (struct trust_result){ .scheme = https ?
			    TRUST_SCHEME_HTTPS : TRUST_SCHEME_HTTP };
		return HTTP_DONE;
	}
	if (trust_apply(w->trust, &peers, &in->head, in->in.data,
		&in->trust) == HTTP_BAD)
		return HTTP_BAD;
	if (proxy != NULL && proxy->ssl &&
	    in->trust.scheme == TRUST_SCHEME_NONE)
		in->trust.scheme = TRUST_SCHEME_HTTPS;
	return HTTP_DONE;
}

/* The head is complete: is the request one to go on with? */
static enum inbound_verdict
head_complete(struct worker *w, struct client *c, struct inbound *in)
{
	struct http_head *h = &in->head;
	enum inbound_verdict v;
	unsigned status;

	if (learn(w, c, in) == HTTP_BAD)
		return refuse(in, 400, in->trust.reason);
	in->head_done = true;
	status = redirect_status(w, c);
	if (status != 0)
		return refuse(in, status, status == 400 ?
			"the request does not say for which host it is" :
			NULL);
	if (atomic_load_explicit(&w->buffered, memory_order_relaxed) >
	    w->settings->buffer_memory_bytes)
		return refuse_for_memory(in);
	if (!h->chunked && h->content_length <= 0) {
		in->complete = true;
		return INBOUND_READY;
	}
	if (!h->chunked && over_limit(w, (uint64_t)h->content_length))
		return refuse(in, 413, "the body is too large");
	c->state = CLIENT_BODY;
	in->streamed = w->settings->stream_body;
	v = body_in_memory(w, in);
	in->continue_due = v == INBOUND_MORE && h->expect_continue &&
	    inbound_is_all(in) && in->body_total == 0;
	if (v == INBOUND_MORE && in->streamed)
		return INBOUND_READY;
	if (in->continue_due)
		send_continue(w, c);
	return v;
}

/* And makes in ready for that; otherwise in->refusal says why not. */
static bool
may_speak_uwsgi(struct worker *w, struct client *c, struct inbound *in)
{
	if (!front_may_uwsgi(w, c)) {
		refuse(in, 403, "a uwsgi request of who may not send any");
		return false;
	}
	if (in->cgi == NULL)
		in->cgi = calloc(1, sizeof(*in->cgi));
	else
		http_cgi_reset(in->cgi);
	if (in->cgi != NULL)
		return true;
	refuse(in, 503, "out of memory");
	return false;
}

static enum inbound_verdict
head_parse(struct worker *w, struct client *c, struct inbound *in)
{
	enum http_verdict v;

	if (c->conn.listener->uwsgi) {
		if (!may_speak_uwsgi(w, c, in))
			return INBOUND_REFUSE;
		v = http_uwsgi_parse(&in->head, in->cgi, in->in.data,
		    in->in.len, &w->limits);
	} else {
		v = http_head_parse(&in->head, in->in.data, in->in.len,
		    &w->limits);
	}
	switch (v) {
	case HTTP_MORE:
		return INBOUND_MORE;
	case HTTP_BAD:
		return refuse(in, in->head.status, in->head.reason);
	case HTTP_DONE:
		return head_complete(w, c, in);
	}
	return INBOUND_MORE;
}

/* --- reading -------------------------------------------------------------- */

/* The client ended its side before the request was complete. */
static enum inbound_verdict
ended(struct inbound *in)
{
	if (in == NULL || in->in.len == 0)
		return INBOUND_END;
	return refuse(in, 400, "the client ended the request half-way");
}

static bool
has_room(const struct inbound *in)
{
	return in->in.room - in->in.len > FIRST_ROOM / 2;
}

/*
 * Room for the next read; one byte more than a known body needs, so that a
 * read that fills less shows the socket to be drained.  A client gets room
 * for what it sends, at most for twice as much, not for what it announces.
 */
static bool
make_room(struct inbound *in)
{
	size_t want = FIRST_ROOM;
	uint64_t left;

	if (has_room(in))
		return true;
	if (in->head_done && !in->head.chunked) {
		left = (uint64_t)in->head.content_length - in->body_total;
		want = in->in.len < SPARE_ROOM - FIRST_ROOM
		    ? SPARE_ROOM - in->in.len
		    : in->in.len;
		want = left < want ? (size_t)left + 1 : want;
	}
	return buf_reserve(&in->in, want);
}

static enum inbound_verdict
read_failed(struct inbound *in, struct client *c, enum io io)
{
	switch (io) {
	case IO_AGAIN:
		c->readable = false;
		return INBOUND_MORE;
	case IO_EOF:
		c->peer_closed = true;
		return ended(in);
	default:
		return INBOUND_END;
	}
}

static enum inbound_verdict
read_to_memory(struct worker *w, struct client *c, struct inbound *in)
{
	bool drained;
	size_t got;
	enum io io;

	if (!in->head_done && in->in.room >= SPARE_ROOM && !has_room(in) &&
	    is_memory_short(w))
		return refuse_for_memory(in);
	if (!make_room(in))
		return refuse(in, 503, "out of memory");
	io = c->conn.transport->read(&c->conn, in->in.data + in->in.len,
	    in->in.room - in->in.len, &got, &drained);
	c->readable = !drained || c->peer_closed;
	if (io != IO_OK)
		return read_failed(in, c, io);
	in->in.len += got;
	in->received += got;
	return in->head_done ? body_in_memory(w, in) : head_parse(w, c, in);
}

/*
 * What is written at once stays in one piece of memory where the system can
 * align it in the file; anywhere else, in many small ones, which costs more.
 */
static enum inbound_verdict
read_to_file(struct worker *w, struct client *c, struct inbound *in)
{
	char scratch[SPOOL_READ];
	size_t room = sizeof(scratch) - in->body_total % SPOOL_ALIGN, got;
	bool drained;
	enum io io;

	io = c->conn.transport->read(&c->conn, scratch, room, &got, &drained);
	c->readable = !drained || c->peer_closed;
	if (io != IO_OK)
		return read_failed(in, c, io);
	in->received += got;
	return body_in_file(w, in, scratch, got);
}

/* One read, and what it brings; INBOUND_MORE: go on while c->readable. */
static enum inbound_verdict
read_once(struct worker *w, struct client *c)
{
	if (c->in == NULL) {
		c->in = inbound_take(w, c);
		if (c->in == NULL)
			return INBOUND_END;
	}
	return c->in->spool >= 0 ? read_to_file(w, c, c->in)
				 : read_to_memory(w, c, c->in);
}

/* What the application points to stays; more goes to a buffer beside it. */
static bool
leave_given(struct inbound *in)
{
	struct buf own = { 0 };

	if (!buf_reserve(&own, in->in.len + FIRST_ROOM))
		return false;
	buf_add(&own, in->in.data, in->in.len);
	in->given = in->in;
	in->in = own;
	return true;
}

enum inbound_verdict
inbound_pull(struct worker *w, struct client *c)
{
	struct inbound *in = c->in;
	size_t at = in->head.length + in->body_len;
	enum inbound_verdict v = INBOUND_MORE;
	uint64_t before = in->body_total;

	if (in->continue_due)
		send_continue(w, c);
	if (in->streamed) {
		memmove(in->in.data + in->head.length, in->in.data + at,
		    in->in.len - at);
		in->in.len -= in->body_len;
		in->body_len = 0;
	}
	if (in->given.data == NULL && !leave_given(in))
		return refuse(in, 503, "out of memory");
	while (v == INBOUND_MORE && c->readable && in->body_total == before)
		v = read_once(w, c);
	count_memory(w, in);
	return v == INBOUND_MORE && in->body_total != before ? INBOUND_READY
							     : v;
}

/* A body's deadline moves when bytes of it came, a head's never. */
static void
note_progress(struct worker *w, struct client *c, bool was_body,
    uint64_t before, int64_t now_ms)
{
	if (c->state == CLIENT_BODY) {
		if (!was_body)
			c->slow = (struct slow){ .since_ms = now_ms };
		c->slow.bytes = c->in->body_total;
		if (!was_body || c->in->body_total != before)
			c->deadline_ms = now_ms +
			    slow_body_ms(w->settings, &c->slow, now_ms);
	} else if (c->state == CLIENT_IDLE) {
		c->state = CLIENT_HEAD;
		c->deadline_ms = now_ms + w->settings->header_timeout_ms;
	}
}

/* A client that sends faster than is read has had enough for now. */
static bool
had_its_turn(const struct client *c, uint64_t received)
{
	return c->in != NULL && c->in->received - received >= TURN_BYTES;
}

enum inbound_verdict
inbound_step(struct worker *w, struct client *c, int64_t now_ms)
{
	enum inbound_verdict v = INBOUND_MORE;
	uint64_t before = c->in != NULL ? c->in->body_total : 0;
	uint64_t received = c->in != NULL ? c->in->received : 0;
	bool was_body = c->state == CLIENT_BODY;

	must(was_body || c->state == CLIENT_IDLE || c->state == CLIENT_HEAD);
	if (c->in != NULL && !c->in->head_done && c->in->in.len > 0)
		v = head_parse(w, c, c->in);
	while (v == INBOUND_MORE && c->readable && !had_its_turn(c, received))
		v = read_once(w, c);
	if (v != INBOUND_REFUSE && c->in != NULL && c->in->in.len == 0)
		inbound_drop(w, c);
	if (c->in == NULL)
		return v;
	c->fresh = false;
	count_memory(w, c->in);
	if (v == INBOUND_MORE)
		note_progress(w, c, was_body, before, now_ms);
	return v;
}
